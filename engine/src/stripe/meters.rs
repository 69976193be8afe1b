//! Billing Meters: reporting usage to Stripe, and reading its count.
//! (Stripe docs, "Record usage for billing with the API".)

use billing::{CustomerId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use stripe_client_core::StripeMethod;

use super::gateway::{Gateway, Listed, Raw};
use super::gateway_error::GatewayError;
use super::objects::{ObjectError, text};

/// Usage to be billed.
#[derive(Debug)]
pub struct MeterEvent<'a> {
    /// The identifier, which Stripe counts once.
    pub identifier: &'a str,
    /// The meter's event name.
    pub event_name: &'a str,
    /// The customer to bill.
    pub customer: &'a CustomerId,
    /// The number of units.
    pub value: i64,
    /// The time of the usage, within the last 35 days.
    pub timestamp: Timestamp,
}

#[derive(Serialize)]
struct NewMeter<'a> {
    display_name: &'a str,
    event_name: &'a str,
    default_aggregation: Aggregation,
    customer_mapping: CustomerMapping,
    value_settings: ValueSettings,
}

#[derive(Serialize)]
struct Aggregation {
    formula: &'static str,
}

#[derive(Serialize)]
struct CustomerMapping {
    r#type: &'static str,
    event_payload_key: &'static str,
}

#[derive(Serialize)]
struct ValueSettings {
    event_payload_key: &'static str,
}

#[derive(Serialize)]
struct Form<'a> {
    event_name: &'a str,
    identifier: &'a str,
    payload: Payload<'a>,
    timestamp: i64,
}

#[derive(Serialize)]
struct Payload<'a> {
    stripe_customer_id: &'a str,
    value: String,
}

impl Gateway {
    /// Reports usage. A repeated report with the same identifier is not counted.
    pub async fn report_usage(&self, event: &MeterEvent<'_>) -> Result<(), GatewayError> {
        let form = Form {
            event_name: event.event_name,
            identifier: event.identifier,
            payload: Payload { stripe_customer_id: event.customer.as_str(), value: event.value.to_string() },
            timestamp: event.timestamp.0,
        };
        let path = "/billing/meter_events".to_owned();
        match self.send(&Raw { method: StripeMethod::Post, path, form: Some(&form) }, None).await {
            Ok(_) => Ok(()),
            Err(error) if is_duplicate(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates the meter that [`Gateway::report_usage`] reports to, which sums the values of each customer.
    pub async fn create_meter(&self, event_name: &str, display_name: &str) -> Result<String, GatewayError> {
        let form = NewMeter {
            display_name,
            event_name,
            default_aggregation: Aggregation { formula: "sum" },
            customer_mapping: CustomerMapping { r#type: "by_id", event_payload_key: "stripe_customer_id" },
            value_settings: ValueSettings { event_payload_key: "value" },
        };
        let created = self.post_meter(&form, &format!("meter:{event_name}")).await?;
        // Stripe remembers a key for a day: a meter that has since been deactivated is returned as created.
        match self.meter(event_name).await? {
            Some(active) => Ok(active),
            None => self.post_meter(&form, &format!("meter:{event_name}:after:{created}")).await,
        }
    }

    async fn post_meter(&self, form: &NewMeter<'_>, key: &str) -> Result<String, GatewayError> {
        let path = "/billing/meters".to_owned();
        let made = self.send(&Raw { method: StripeMethod::Post, path, form: Some(form) }, Some(key)).await?;
        let id = text(&made, "/id").ok_or(ObjectError { object: "billing.meter", field: "id" })?;
        Ok(id.to_owned())
    }

    /// Returns the id of the active meter with this event name.
    pub async fn meter(&self, event_name: &str) -> Result<Option<String>, GatewayError> {
        let mut after: Option<String> = None;
        loop {
            let starting = after.map(|id| format!("&starting_after={id}")).unwrap_or_default();
            let path = format!("/billing/meters?limit=100&status=active{starting}");
            let list = self.send(&Raw::<()> { method: StripeMethod::Get, path, form: None }, None).await?;
            let page = Listed::read(&list, |meter| {
                let id = text(meter, "/id").ok_or(ObjectError { object: "billing.meter", field: "id" })?;
                Ok((id.to_owned(), text(meter, "/event_name") == Some(event_name)))
            })?;
            if let Some((id, _)) = page.data.into_iter().find(|(_, is_match)| *is_match) {
                return Ok(Some(id));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Returns the units that the active meter with this event name has counted for a customer in `[from, to)`,
    /// which are full minutes; none without such a meter.
    pub async fn units_counted(
        &self,
        event_name: &str,
        customer: &CustomerId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<i64, GatewayError> {
        match self.meter(event_name).await? {
            Some(meter) => self.counted_units(&meter, customer, from, to).await,
            None => Ok(0),
        }
    }

    /// Returns the units that a meter has counted for a customer in `[from, to)`, which are full minutes.
    pub async fn counted_units(
        &self,
        meter: &str,
        customer: &CustomerId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<i64, GatewayError> {
        let mut sum = 0_i64;
        let mut after: Option<String> = None;
        loop {
            let starting = after.map(|id| format!("&starting_after={id}")).unwrap_or_default();
            let path = format!(
                "/billing/meters/{meter}/event_summaries?customer={customer}&start_time={}&end_time={}&limit=100{starting}",
                from.0, to.0
            );
            let list = self.send(&Raw::<()> { method: StripeMethod::Get, path, form: None }, None).await?;
            let page = Listed::read(&list, |summary| {
                let value = summary.pointer("/aggregated_value").and_then(whole_number);
                value.ok_or(ObjectError { object: "billing.meter_event_summary", field: "aggregated_value" })
            })?;
            sum = page.data.into_iter().fold(sum, i64::saturating_add);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(sum),
            }
        }
    }
}

/// Returns whether Stripe already has an event with this identifier: an earlier attempt succeeded, and only its
/// response was lost.
fn is_duplicate(error: &GatewayError) -> bool {
    let GatewayError::Rejected { code, message, .. } = error else { return false };
    code.as_deref() == Some("duplicate_meter_event") || message.starts_with("An event already exists with identifier")
}

/// Reads a whole number that may be written with decimals, such as `3.0`. Ours are whole and far below
/// 2⁵³, where such a number stops being exact; anything else is not ours.
fn whole_number(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT)?;
        format!("{float:.0}").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_duplicate_identifier_counts_as_sent() {
        let rejected = |code: Option<&str>, message: &str| GatewayError::Rejected {
            status: 400,
            code: code.map(str::to_owned),
            message: message.to_owned(),
        };
        assert!(is_duplicate(&rejected(Some("duplicate_meter_event"), "")));
        assert!(is_duplicate(&rejected(None, "An event already exists with identifier 0192.")));
        assert!(!is_duplicate(&rejected(None, "The event with identifier 0192 is too old")));
        assert!(!is_duplicate(&GatewayError::Unavailable("duplicate_meter_event".to_owned())));
    }

    #[test]
    fn an_aggregated_value_is_a_whole_number_or_an_error() {
        assert_eq!(whole_number(&json!(3)), Some(3));
        assert_eq!(whole_number(&json!(3.0)), Some(3));
        assert_eq!(whole_number(&json!(3.5)), None);
        assert_eq!(whole_number(&json!(1e300)), None);
        assert_eq!(whole_number(&json!("3")), None);
    }
}
