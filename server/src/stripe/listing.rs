//! Reading Stripe's lists to their end, page by page.

use billing::{EventId, SubscriptionId, Timestamp};
use serde_json::Value;
use stripe_billing::subscription::{ListSubscription, ListSubscriptionStatus};
use stripe_core::event::ListEvent;
use stripe_types::RangeQueryTs;

use super::gateway::{Gateway, GatewayError};
use super::shape::{self, Event, ShapeError, SubscriptionShape};

/// The most that Stripe puts on a page.
const PAGE: i64 = 100;

/// One page of a list and where the next begins.
#[derive(Debug)]
pub struct Page<T, C> {
    /// What is on it.
    pub data: Vec<T>,
    /// What the next page starts after; `None` on the last.
    pub next: Option<C>,
}

impl Gateway {
    /// A page of all subscriptions there are, ended ones too, newest first, with their latest invoices.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn subscriptions_page(
        &self,
        after: Option<&SubscriptionId>,
    ) -> Result<Page<SubscriptionShape, SubscriptionId>, GatewayError> {
        let mut request = ListSubscription::new()
            .status(ListSubscriptionStatus::All)
            .limit(PAGE)
            .expand(vec!["data.latest_invoice".to_owned()]);
        if let Some(after) = after {
            request = request.starting_after(after.as_str());
        }
        let answer = self.send(&request, None).await?;
        let data = data(&answer)?.iter().map(shape::subscription).collect::<Result<Vec<_>, _>>()?;
        let next = has_more(&answer).then(|| data.last().map(|last| last.subscription.id.clone())).flatten();
        Ok(Page { data, next })
    }

    /// A page of the events since `since`, newest first, each with the JSON it came as.
    /// Stripe keeps events for thirty days.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn events_page(
        &self,
        since: Timestamp,
        after: Option<&EventId>,
    ) -> Result<Page<(Event, Value), EventId>, GatewayError> {
        let mut request = ListEvent::new().created(RangeQueryTs::gte(since.0)).limit(PAGE);
        if let Some(after) = after {
            request = request.starting_after(after.as_str());
        }
        let answer = self.send(&request, None).await?;
        let data = data(&answer)?
            .iter()
            .map(|value| Ok((shape::event(value)?, value.clone())))
            .collect::<Result<Vec<_>, ShapeError>>()?;
        let next = has_more(&answer).then(|| data.last().map(|(event, _)| event.id.clone())).flatten();
        Ok(Page { data, next })
    }
}

fn data(list: &Value) -> Result<&Vec<Value>, ShapeError> {
    list.pointer("/data").and_then(Value::as_array).ok_or(ShapeError { object: "list", field: "data" })
}

fn has_more(list: &Value) -> bool {
    list.pointer("/has_more").and_then(Value::as_bool).unwrap_or(false)
}
