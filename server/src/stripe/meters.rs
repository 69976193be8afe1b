//! Billing Meters: telling Stripe what was used, and asking what it has counted.
//! (Stripe docs, "Record usage for billing with the API".)

use billing::{CustomerId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use stripe_client_core::StripeMethod;

use super::gateway::{Gateway, GatewayError, Page, Raw};
use super::shape::{ShapeError, text};

/// Use to be billed.
#[derive(Debug)]
pub struct MeterEvent<'a> {
    /// Stripe counts it once for each identifier.
    pub identifier: &'a str,
    /// The meter's event name.
    pub event_name: &'a str,
    /// Who pays.
    pub customer: &'a CustomerId,
    /// How much: a whole number.
    pub value: i64,
    /// When it was used: within the last 35 days.
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
    /// Tells Stripe what was used. Telling it again under the same identifier counts nothing.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn report_use(&self, event: &MeterEvent<'_>) -> Result<(), GatewayError> {
        let form = Form {
            event_name: event.event_name,
            identifier: event.identifier,
            payload: Payload { stripe_customer_id: event.customer.as_str(), value: event.value.to_string() },
            timestamp: event.timestamp.0,
        };
        let path = "/billing/meter_events".to_owned();
        match self.send(&Raw { method: StripeMethod::Post, path, form: Some(&form) }, None).await {
            Ok(_) => Ok(()),
            // It came through before, and only its answer was lost.
            Err(GatewayError::Refused { code, message, .. })
                if code.as_deref() == Some("duplicate_meter_event") || message.contains(event.identifier) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the meter that [`Gateway::report_use`] tells of use: the sum of it, by customer.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn create_meter(&self, event_name: &str, display_name: &str) -> Result<String, GatewayError> {
        let form = NewMeter {
            display_name,
            event_name,
            default_aggregation: Aggregation { formula: "sum" },
            customer_mapping: CustomerMapping { r#type: "by_id", event_payload_key: "stripe_customer_id" },
            value_settings: ValueSettings { event_payload_key: "value" },
        };
        let made = self.make_meter(&form, &format!("meter:{event_name}")).await?;
        // A key is remembered for a day: a meter that was put away since comes back as it was made.
        match self.meter(event_name).await? {
            Some(active) => Ok(active),
            None => self.make_meter(&form, &format!("meter:{event_name}:after:{made}")).await,
        }
    }

    async fn make_meter(&self, form: &NewMeter<'_>, key: &str) -> Result<String, GatewayError> {
        let path = "/billing/meters".to_owned();
        let made = self.send(&Raw { method: StripeMethod::Post, path, form: Some(form) }, Some(key)).await?;
        let id = text(&made, "/id").ok_or(ShapeError { object: "billing.meter", field: "id" })?;
        Ok(id.to_owned())
    }

    /// The id of the active meter with this event name.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn meter(&self, event_name: &str) -> Result<Option<String>, GatewayError> {
        let mut after: Option<String> = None;
        loop {
            let starting = after.map(|id| format!("&starting_after={id}")).unwrap_or_default();
            let path = format!("/billing/meters?limit=100&status=active{starting}");
            let list = self.send(&Raw::<()> { method: StripeMethod::Get, path, form: None }, None).await?;
            let page = Page::read(&list, |meter| {
                let id = text(meter, "/id").ok_or(ShapeError { object: "billing.meter", field: "id" })?;
                Ok((id.to_owned(), text(meter, "/event_name") == Some(event_name)))
            })?;
            if let Some((id, _)) = page.data.into_iter().find(|(_, is_it)| *is_it) {
                return Ok(Some(id));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// What Stripe has counted of a customer's use in `[from, to)`, which are full minutes.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn counted_use(
        &self,
        meter: &str,
        customer: &CustomerId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<i64, GatewayError> {
        let path = format!(
            "/billing/meters/{meter}/event_summaries?customer={customer}&start_time={}&end_time={}&limit=100",
            from.0, to.0
        );
        let list = self.send(&Raw::<()> { method: StripeMethod::Get, path, form: None }, None).await?;
        let page = Page::read(&list, |summary| {
            let value = summary.pointer("/aggregated_value").and_then(Value::as_f64);
            // Stripe sends it as a number that may have decimals; ours are whole.
            value
                .map(|value| value as i64)
                .ok_or(ShapeError { object: "billing.meter_event_summary", field: "aggregated_value" })
        })?;
        Ok(page.data.into_iter().sum())
    }
}
