//! Stripe's own list of events.

use billing::Timestamp;
use serde_json::Value;
use stripe_core::event::ListEvent;
use stripe_types::RangeQueryTs;

use super::gateway::{Gateway, Listed, PAGE, UnreadableObject};
use super::gateway_error::GatewayError;
use super::objects::{self, Event};

impl Gateway {
    /// Reads a page of the events since `since`, newest first, each with its JSON. Stripe keeps events for
    /// thirty days.
    pub async fn events_page(
        &self,
        since: Timestamp,
        after: Option<&str>,
    ) -> Result<Listed<Result<(Event, Value), UnreadableObject>>, GatewayError> {
        let mut request = ListEvent::new().created(RangeQueryTs::gte(since.0)).limit(PAGE);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        let response = self.send(&request, None).await?;
        let page = Listed::read_each(&response, |value| Ok((objects::event(value)?, value.clone())))?;
        let data =
            page.data.into_iter().map(|(id, read)| read.map_err(|error| UnreadableObject { id, error: error.into() }));
        Ok(Listed { data: data.collect(), next: page.next })
    }
}
