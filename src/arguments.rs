//! Parsers for arguments that are not plain text.

use anyhow::Context;
use billing::{AccountId, Timestamp};
use engine::store::billing_changes::ChangeState;
use engine::store::inbox::EventState;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A billing change: its account and its number.
#[derive(Clone, Debug)]
pub struct ChangeId {
    /// The account whose change it is.
    pub account: AccountId,
    /// The change's number within the account.
    pub number: i64,
}

/// Reads `ACCOUNT/NUMBER`.
pub fn change_id(text: &str) -> Result<ChangeId, String> {
    let parsed = text.rsplit_once('/').and_then(|(account, number)| Some((account, number.parse().ok()?)));
    let (account, number) =
        parsed.ok_or_else(|| "use ACCOUNT/NUMBER, as `tollgate changes list` shows it".to_owned())?;
    Ok(ChangeId { account: AccountId::new(account), number })
}

/// Reads the state of a billing change.
pub fn change_state(word: &str) -> Result<ChangeState, String> {
    ChangeState::parse(word).ok_or_else(|| "use pending, delivered or skipped".to_owned())
}

/// Reads the state of an event.
pub fn event_state(word: &str) -> Result<EventState, String> {
    EventState::parse(word).ok_or_else(|| "use pending, done, ignored, unmatched or parked".to_owned())
}

/// Reads a time: RFC 3339, or epoch seconds.
pub fn time(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(seconds) = text.parse() {
        return Ok(Timestamp(seconds));
    }
    let at = OffsetDateTime::parse(text, &Rfc3339)
        .with_context(|| format!("`{text}` is not a time: use 2026-11-23T14:05:00Z or epoch seconds"))?;
    Ok(Timestamp::from(at))
}
