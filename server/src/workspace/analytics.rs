//! Usage over time: by day and by API key.

use std::collections::BTreeMap;

use billing::{Meter, Timestamp, usage_window};
use engine::metering::{self, UsageOverview};
use engine::store::usage;
use engine::{Permit, StoreError};

use super::api_keys::{KeyName, key_names};
use super::usage_range::UsageRange;
use crate::tollgate::Tollgate;

/// Usage over a range of days.
#[derive(Clone, Debug)]
pub struct Analytics {
    /// The current window.
    pub usage: UsageOverview,
    /// Every day of the range up to today, oldest first.
    pub days: Vec<DayUsage>,
    /// Usage by caller, the busiest first.
    pub sources: Vec<SourceUsage>,
}

/// The usage of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayUsage {
    /// The beginning of the day, UTC.
    pub day: Timestamp,
    /// By meter, without unused ones.
    pub counts: BTreeMap<Meter, u64>,
}

/// The usage of one API key, or of signed-in users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUsage {
    /// The key; `None` for signed-in users.
    pub key: Option<KeyName>,
    /// By meter, without unused ones.
    pub counts: BTreeMap<Meter, u64>,
}

/// Reads the usage of a range: as a whole, by day and by key.
pub async fn analytics(tollgate: &Tollgate, permit: &Permit, range: UsageRange) -> Result<Analytics, StoreError> {
    let (account, entitlement, now) = (permit.account_id(), permit.entitlement(), tollgate.now());
    let from = range.from(usage_window(entitlement.window_anchor, now).start, now);
    let (usage, rows, names) = tokio::try_join!(
        metering::overview(tollgate, account, entitlement),
        usage::days(tollgate.db(), account, from, now.plus_seconds(1)),
        key_names(tollgate, permit),
    )?;
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
    let named = |(source, counts): (String, _)| SourceUsage { key: names.get(&source).cloned(), counts };
    let mut sources: Vec<SourceUsage> = sources.into_iter().map(named).collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.counts.values().copied().max()));
    Ok(Analytics { usage, days: days.into_iter().map(|(day, counts)| DayUsage { day, counts }).collect(), sources })
}
