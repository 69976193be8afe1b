//! Missed events. They are stored as if they had been delivered.

use std::collections::BTreeSet;

use serde_json::Value;

use super::comparison::{Comparison, Mode};
use super::drift::Drift;
use crate::inbox::events::{handled, hint};
use crate::inbox::intake::new_event;
use crate::store::{StoreError, inbox};
use crate::stripe::objects::Event;
use crate::sync::SyncError;

/// Compares the events of the last `days`.
pub(super) async fn compare(comparison: &mut Comparison<'_>, days: i64) -> Result<(), SyncError> {
    let core = comparison.core;
    let since = core.now().plus_days(-days);
    let handled: BTreeSet<&str> = handled().into_iter().collect();
    let mut after: Option<String> = None;
    loop {
        let page = core.gateway().events_page(since, after.as_deref()).await?;
        let ids: Vec<&str> = page.data.iter().flatten().map(|(event, _)| event.id.as_str()).collect();
        let known = inbox::known(core.db(), &ids).await?;
        for read in page.data {
            match read {
                // An event that changes nothing is not missed.
                Ok((event, _)) if !handled.contains(event.kind.as_str()) || hint(&event).is_none() => {}
                Ok((event, _)) if known.contains(event.id.as_str()) => {}
                Ok((event, json)) => missed(comparison, event, &json).await?,
                Err(unread) => comparison.not_compared(&unread.id, &unread.error),
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

async fn missed(comparison: &mut Comparison<'_>, event: Event, json: &Value) -> Result<(), StoreError> {
    let drift = Drift::MissedEvent { event: event.id.clone(), kind: event.kind.clone() };
    if comparison.mode == Mode::Repair {
        let core = comparison.core;
        core.intake().store(new_event(event, json.to_string(), core.now())).await?;
        core.wake_worker().notify_one();
    }
    comparison.fixed(drift);
    Ok(())
}
