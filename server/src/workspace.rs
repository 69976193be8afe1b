//! What the gated pages are about. Every function takes a [`Permit`]: the data behind
//! a page cannot be had without the right to the page.

use std::collections::BTreeMap;

use billing::{AccountId, Meter, Timestamp};
use sha2::{Digest, Sha256};

use crate::access::{CHANNEL, Permit};
use crate::ids;
use crate::store::workspace::{self as rows, NewApiKey};
use crate::store::{StoreError, usage as usage_rows};
use crate::tollgate::Tollgate;
use crate::usage::{self, MeterReading, Notice, midnight, thresholds};

/// Why something was not written down.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// What was typed cannot be used; a sentence for the field.
    #[error("{0}")]
    Invalid(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Over which days use is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// From the beginning of the current usage window.
    #[default]
    Window,
    /// The last seven days.
    Week,
    /// The last thirty days.
    Month,
    /// The last ninety days.
    Quarter,
    /// The last 365 days.
    Year,
}

impl Range {
    /// All of them, the default first.
    pub const ALL: [Self; 5] = [Self::Window, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// The word in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Window => "period",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
            Self::Year => "365d",
        }
    }

    /// What people read.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Window => "This period",
            Self::Week => "7 days",
            Self::Month => "30 days",
            Self::Quarter => "90 days",
            Self::Year => "A year",
        }
    }

    /// The one with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.as_str() == word)
    }

    /// Its first day.
    fn from(self, window: Timestamp, now: Timestamp) -> Timestamp {
        let days = match self {
            Self::Window => return midnight(window),
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::Year => 365,
        };
        midnight(now).plus_days(1 - days)
    }
}

/// Use over some days.
#[derive(Clone, Debug)]
pub struct Analytics {
    /// All meters, in the current window.
    pub meters: Vec<MeterReading>,
    /// Meters that have come to 80 or 100 percent.
    pub notices: Vec<Notice>,
    /// Every day of the range up to today, oldest first.
    pub days: Vec<DayUsage>,
    /// By whoever called, the busiest first.
    pub sources: Vec<SourceUsage>,
}

/// What was used on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayUsage {
    /// Its beginning, UTC.
    pub day: Timestamp,
    /// By meter; a meter that was not used is not in it.
    pub counts: BTreeMap<Meter, u64>,
}

/// What was used by one API key, or by those signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUsage {
    /// The key; none for those signed in.
    pub key: Option<KeyName>,
    /// By meter; a meter that was not used is not in it.
    pub counts: BTreeMap<Meter, u64>,
}

/// A key as it is called in a list, also when it was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// What its owner calls it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// Whether it still opens something.
    pub is_good: bool,
}

/// Use over the days of a range: as a whole, by day and by key.
///
/// # Errors
/// The database failed.
pub async fn analytics(tollgate: &Tollgate, permit: &Permit, range: Range) -> Result<Analytics, StoreError> {
    let meters = usage::readings(tollgate, permit.account_id(), permit.entitlement()).await?;
    let now = tollgate.now();
    let from = range.from(meters.first().map_or(now, |meter| meter.window.start), now);
    let rows = usage_rows::days(tollgate.db(), permit.account_id(), from, now.plus_seconds(1)).await?;
    let mut days: BTreeMap<Timestamp, BTreeMap<Meter, u64>> = BTreeMap::new();
    let mut day = from;
    while day <= now {
        days.insert(day, BTreeMap::new());
        day = day.plus_days(1);
    }
    let mut sources: BTreeMap<String, BTreeMap<Meter, u64>> = BTreeMap::new();
    for row in rows {
        let (Some(meter), Ok(used)) = (tollgate.catalog().meter(&row.meter), u64::try_from(row.used)) else { continue };
        for counts in [days.entry(Timestamp(row.day)).or_default(), sources.entry(row.source).or_default()] {
            let count = counts.entry(meter).or_default();
            *count = count.saturating_add(used);
        }
    }
    let names = key_names(tollgate, permit).await?;
    let mut sources: Vec<SourceUsage> =
        sources.into_iter().map(|(source, counts)| SourceUsage { key: name_of(&names, &source), counts }).collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.counts.values().copied().max()));
    Ok(Analytics {
        notices: thresholds::notices(tollgate, permit.account_id(), &meters).await?,
        meters,
        days: days.into_iter().map(|(day, counts)| DayUsage { day, counts }).collect(),
        sources,
    })
}

/// Use over the days of a range by day, meter and key, as CSV (RFC 4180).
///
/// # Errors
/// The database failed.
pub async fn usage_as_csv(tollgate: &Tollgate, permit: &Permit, range: Range) -> Result<String, StoreError> {
    let now = tollgate.now();
    let window = billing::usage_window(permit.entitlement().window_anchor, now).start;
    let rows =
        usage_rows::days(tollgate.db(), permit.account_id(), range.from(window, now), now.plus_seconds(1)).await?;
    let names = key_names(tollgate, permit).await?;
    let mut csv = String::from("day,meter,api_key_id,api_key_name,used\r\n");
    for row in rows {
        let day = Timestamp(row.day).to_string();
        let name = name_of(&names, &row.source).map(|key| key.name).unwrap_or_default();
        let cells = [day.split(' ').next().unwrap_or_default(), &row.meter, &row.source, &name, &row.used.to_string()];
        csv.push_str(&cells.map(cell).join(","));
        csv.push_str("\r\n");
    }
    Ok(csv)
}

/// One cell. What a spreadsheet would take for a formula is made a text.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

async fn key_names(tollgate: &Tollgate, permit: &Permit) -> Result<BTreeMap<String, KeyName>, StoreError> {
    let rows = rows::api_key_names(tollgate.db(), permit.account_id()).await?;
    Ok(rows
        .into_iter()
        .map(|(id, name, hint, revoked_at)| (id, KeyName { name, hint, is_good: revoked_at.is_none() }))
        .collect())
}

fn name_of(names: &BTreeMap<String, KeyName>, source: &str) -> Option<KeyName> {
    names.get(source).cloned()
}

/// A key as its owner sees it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// What was used with it in the last thirty days, by meter.
    pub counts: BTreeMap<Meter, u64>,
}

/// The account's keys, newest first.
///
/// # Errors
/// The database failed.
pub async fn api_keys(tollgate: &Tollgate, permit: &Permit) -> Result<Vec<ApiKey>, StoreError> {
    let rows = rows::api_keys(tollgate.db(), permit.account_id()).await?;
    let now = tollgate.now();
    let from = Range::Month.from(now, now);
    let days = usage_rows::days(tollgate.db(), permit.account_id(), from, now.plus_seconds(1)).await?;
    let counts = |id: &str| {
        let mut counts: BTreeMap<Meter, u64> = BTreeMap::new();
        for row in days.iter().filter(|row| row.source == id) {
            if let (Some(meter), Ok(used)) = (tollgate.catalog().meter(&row.meter), u64::try_from(row.used)) {
                *counts.entry(meter).or_default() += used;
            }
        }
        counts
    };
    Ok(rows
        .into_iter()
        .map(|row| ApiKey {
            counts: counts(&row.id),
            id: row.id,
            name: row.name,
            hint: row.hint,
            created_at: Timestamp(row.created_at),
            last_used_at: row.last_used_at.map(Timestamp),
        })
        .collect())
}

/// Makes a key. It is given back this once; only its hash is kept.
///
/// # Errors
/// The name is empty or too long, or the database failed.
pub async fn create_api_key(tollgate: &Tollgate, permit: &Permit, name: &str) -> Result<String, WorkspaceError> {
    let name = named("Give the key a name.", name, 80)?;
    let secret =
        ids::new_secret().map_err(|error| WorkspaceError::Invalid(format!("No key could be made: {error}")))?;
    let key = format!("tg_{secret}");
    let (id, hash) = (ids::new_id(), api_key_hash(&key));
    let row = NewApiKey { id: &id, name, hash: &hash, hint: &key[..9] };
    let mut tx = tollgate.db().begin().await?;
    rows::insert_api_key(&mut tx, permit.account_id(), &row, tollgate.now()).await?;
    tx.notify(CHANNEL, permit.account_id().as_str()).await?;
    tx.commit().await?;
    tollgate.access().forget(permit.account_id()).await;
    Ok(key)
}

/// Revokes a key at once, on every node. `false` when the account has no such key.
///
/// # Errors
/// The database failed.
pub async fn revoke_api_key(tollgate: &Tollgate, permit: &Permit, id: &str) -> Result<bool, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    let revoked = rows::revoke_api_key(&mut tx, permit.account_id(), id, tollgate.now()).await?;
    tx.notify(CHANNEL, permit.account_id().as_str()).await?;
    tx.commit().await?;
    tollgate.access().forget(permit.account_id()).await;
    Ok(revoked)
}

/// The account that a key opens, and the key's id; remembers, to the minute, that it was used.
///
/// # Errors
/// The database failed.
pub async fn api_key_used(tollgate: &Tollgate, key: &str) -> Result<Option<(AccountId, String)>, StoreError> {
    let Some(known) = tollgate.access().api_key(tollgate.db(), &api_key_hash(key)).await? else { return Ok(None) };
    let minute = Timestamp(tollgate.now().0 - tollgate.now().0.rem_euclid(60));
    if known.is_news(minute) {
        let mut tx = tollgate.db().begin().await?;
        rows::touch_api_key(&mut tx, &known.id, minute).await?;
        tx.commit().await?;
    }
    Ok(Some((known.account.clone(), known.id.clone())))
}

fn api_key_hash(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

/// The account's domain.
///
/// # Errors
/// The database failed.
pub async fn custom_domain(tollgate: &Tollgate, permit: &Permit) -> Result<Option<String>, StoreError> {
    rows::custom_domain(tollgate.db(), permit.account_id()).await
}

/// Sets the account's domain.
///
/// # Errors
/// It is no domain, or another account's, or the database failed.
pub async fn set_custom_domain(tollgate: &Tollgate, permit: &Permit, domain: &str) -> Result<(), WorkspaceError> {
    let domain = domain.trim().trim_end_matches('.').to_ascii_lowercase();
    if !is_domain(&domain) {
        return Err(WorkspaceError::Invalid(
            "Enter a domain such as app.example.com, without http:// or a path.".to_owned(),
        ));
    }
    let mut tx = tollgate.db().begin().await?;
    if rows::domain_owner(&mut tx, &domain).await?.is_some_and(|owner| owner != *permit.account_id()) {
        return Err(WorkspaceError::Invalid("Another account uses this domain.".to_owned()));
    }
    rows::set_custom_domain(&mut tx, permit.account_id(), &domain, tollgate.now()).await?;
    tx.commit().await?;
    Ok(())
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(label)
        && text.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()))
}

/// A message to support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportMessage {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
}

/// The account's last fifty messages, newest first.
///
/// # Errors
/// The database failed.
pub async fn support_messages(tollgate: &Tollgate, permit: &Permit) -> Result<Vec<SupportMessage>, StoreError> {
    let rows = rows::support_messages(tollgate.db(), permit.account_id()).await?;
    Ok(rows
        .into_iter()
        .map(|(id, subject, body, at)| SupportMessage { id, subject, body, created_at: Timestamp(at) })
        .collect())
}

/// Writes a message down.
///
/// # Errors
/// Subject or text is empty or too long, or the database failed.
pub async fn write_to_support(
    tollgate: &Tollgate,
    permit: &Permit,
    subject: &str,
    body: &str,
) -> Result<(), WorkspaceError> {
    let subject = named("Say in a few words what it is about.", subject, 200)?;
    let body = named("Write what we can help with.", body, 10_000)?;
    let mut tx = tollgate.db().begin().await?;
    rows::insert_support_message(&mut tx, permit.account_id(), &ids::new_id(), subject, body, tollgate.now()).await?;
    tx.commit().await?;
    Ok(())
}

fn named<'a>(when_empty: &str, text: &'a str, most: usize) -> Result<&'a str, WorkspaceError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(WorkspaceError::Invalid(when_empty.to_owned()));
    }
    if text.chars().count() > most {
        return Err(WorkspaceError::Invalid(format!("Use at most {most} characters.")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula_and_never_two() {
        assert_eq!(cell("build server"), "build server");
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("a, \"b\""), "\"a, \"\"b\"\"\"");
    }
}
