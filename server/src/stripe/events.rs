//! Events that Stripe has made, whether they were delivered or not.

use billing::Timestamp;
use serde_json::Value;
use stripe_core::event::ListEvent;
use stripe_types::RangeQueryTs;

use super::PAGE;
use super::gateway::{Gateway, GatewayError, Page, Unread};
use super::shape::{self, Event};

impl Gateway {
    /// A page of the events since `since`, newest first, each with the JSON it came as.
    /// Stripe keeps events for thirty days.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn events_page(
        &self,
        since: Timestamp,
        after: Option<&str>,
    ) -> Result<Page<Result<(Event, Value), Unread>>, GatewayError> {
        let mut request = ListEvent::new().created(RangeQueryTs::gte(since.0)).limit(PAGE);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        let answer = self.send(&request, None).await?;
        let page = Page::read_each(&answer, |value| Ok((shape::event(value)?, value.clone())))?;
        let data = page.data.into_iter().map(|(id, read)| read.map_err(|error| Unread { id, error: error.into() }));
        Ok(Page { data: data.collect(), next: page.next })
    }
}
