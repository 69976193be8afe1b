//! Deciding about many uses in one transaction.
//!
//! The counters that are asked about are taken first, in one order; from then on nobody else
//! changes anything of their accounts and meters. So what is read afterwards is the truth, the
//! decisions are made here, one after the other in the order they were asked for, by
//! [`billing::allowance`], and what follows from them is written and committed together:
//! records, counters, credits, days, notices, and what is to be billed. The number of statements
//! depends on neither the history nor, but for its size classes, on how many ask
//! (`tests/store/usage.rs`, `tests/store/reservations.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use billing::allowance::{Allowance, MAX_UNITS, carried_over};
use billing::{AccountId, Limit, Meter, Overage, Timestamp, UsageWindow};

use super::thresholds::Threshold;
use super::{MeterReading, midnight};
use crate::ids;
use crate::store::log::Written;
use crate::store::usage::{self as rows, Counter, CounterKey, NewRecord, Record};
use crate::store::{Db, StoreError, Tx, meter_events, notices};

/// The first hours of a window in which an earlier one that it cut short may still count: a month.
pub(super) const LONGEST_WINDOW_DAYS: i64 = 31;
/// Billed use is collected for this many seconds before it is sent.
const COLLECT: i64 = 3600;

/// What somebody wants.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// To use something, at once or when its work has succeeded.
    Take(Take),
    /// To end a reservation.
    Settle(Settle),
}

/// Where a use is counted, as of when it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub account: AccountId,
    pub meter: Meter,
    pub window: UsageWindow,
    pub subscription: Option<String>,
    pub limit: Limit,
    pub overage: Overage,
}

#[derive(Clone, Debug)]
pub(super) struct Take {
    pub place: Place,
    /// From 1 to [`MAX_UNITS`].
    pub quantity: i64,
    pub key: String,
    /// Whether the key was made for this use, so that nothing can be known under it.
    pub is_new_key: bool,
    pub fingerprint: String,
    pub source: String,
    pub metadata: Option<String>,
    /// The reservation's id and its end; `None` to count at once.
    pub hold: Option<(String, Timestamp)>,
    pub now: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Settle {
    pub place: Place,
    pub key: String,
    pub holder: String,
    pub outcome: Outcome,
    pub now: Timestamp,
}

/// How work that units were held for has ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The units are used.
    Commit { metadata: Option<String>, answer: Option<String> },
    /// They go back.
    Release,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub verdict: Verdict,
    pub reading: MeterReading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Counted, or held.
    Taken,
    /// The same was counted before.
    Repeated,
    /// The same is held at this moment.
    InProgress,
    /// The key was used for something else.
    KeyReused,
    /// There is not as much left.
    Denied,
    /// The reservation was ended as asked.
    Settled,
    /// There is no such reservation any more.
    Gone,
}

impl Ask {
    fn place(&self) -> &Place {
        match self {
            Self::Take(take) => &take.place,
            Self::Settle(settle) => &settle.place,
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Take(take) => &take.key,
            Self::Settle(settle) => &settle.key,
        }
    }

    fn is_of_new_key(&self) -> bool {
        matches!(self, Self::Take(take) if take.is_new_key)
    }
}

impl Place {
    pub(super) fn counter_key(&self) -> CounterKey {
        CounterKey::new(&self.account, self.meter, self.window.start)
    }
}

/// Counters that are known to be there, so that nobody need make them.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownCounters(Arc<Mutex<HashSet<CounterKey>>>);

impl KnownCounters {
    const MOST: usize = 100_000;

    fn lacks(&self, key: &CounterKey) -> bool {
        !self.set().contains(key)
    }

    fn add(&self, keys: impl IntoIterator<Item = CounterKey>) {
        let mut set = self.set();
        if set.len() > Self::MOST {
            set.clear();
        }
        set.extend(keys);
    }

    fn forget(&self, keys: &[CounterKey]) {
        let mut set = self.set();
        set.retain(|key| !keys.contains(key));
    }

    fn set(&self) -> std::sync::MutexGuard<'_, HashSet<CounterKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides about all of `asks` and commits. The answers stand in their order, with what is to be
/// waited for before they are given.
///
/// # Errors
/// The database failed; nothing was changed.
pub(super) async fn decide(
    db: Db,
    known: KnownCounters,
    asks: Arc<[Ask]>,
) -> Result<(Vec<Answer>, Written), StoreError> {
    let places: BTreeMap<CounterKey, &Place> =
        asks.iter().map(|ask| (ask.place().counter_key(), ask.place())).collect();
    let keys: Vec<CounterKey> = places.keys().cloned().collect();
    for _ in 0..2 {
        create_missing(&db, &known, &places).await?;
        let mut tx = db.begin().await?;
        let counters = rows::take_counters(&mut tx, &keys).await?;
        if counters.len() < keys.len() {
            // One was deleted since: it is made again.
            known.forget(&keys);
            continue;
        }
        let mut batch = Batch::read(&mut tx, &asks, &keys, counters).await?;
        let mut answers = Vec::with_capacity(asks.len());
        for ask in asks.iter() {
            answers.push(match ask {
                Ask::Take(take) => batch.take(&mut tx, take).await?,
                Ask::Settle(settle) => batch.settle(settle),
            });
        }
        let written = if batch.write(&mut tx).await? {
            tx.commit_ahead().await?
        } else if answers.iter().any(|answer| answer.verdict == Verdict::Repeated) {
            // Another commit counted it, and may be on its way to the disk still.
            db.so_far()
        } else {
            Written::durable_already()
        };
        return Ok((answers, written));
    }
    Err(StoreError::BadRow {
        table: "usage_counter",
        row: format!("{} of {}", keys.len(), keys.first().map(|key| key.account.to_string()).unwrap_or_default()),
        column: "window_start",
        what: "a counter that was made is not there".to_owned(),
    })
}

/// Makes the counters that are not known to be there, apart from any decision: whoever waits for
/// one to be made holds no other. A window that cuts an earlier one of the same subscription short
/// begins with what that one has used beyond its share.
async fn create_missing(
    db: &Db,
    known: &KnownCounters,
    places: &BTreeMap<CounterKey, &Place>,
) -> Result<(), StoreError> {
    let missing: Vec<(&CounterKey, &&Place)> = places.iter().filter(|(key, _)| known.lacks(key)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut new = Vec::with_capacity(missing.len());
    for (key, place) in &missing {
        let counters = counters_at(db, &place.account, place.window, place.subscription.as_deref()).await?;
        let has = |counter: &Counter| counter.meter == key.meter && counter.window_start == key.window.0;
        if !counters.iter().any(has) {
            new.push(Counter { used: whole(begins_with(&counters, place.meter, place.window)), ..no_counter(place) });
        }
    }
    if !new.is_empty() {
        let mut tx = db.begin().await?;
        rows::create_counters(&mut tx, &new).await?;
        tx.commit().await?;
    }
    known.add(missing.into_iter().map(|(key, _)| key.clone()));
    Ok(())
}

/// The counters that say how things stand in a window.
pub(super) async fn counters_at(
    db: &Db,
    account: &AccountId,
    window: UsageWindow,
    subscription: Option<&str>,
) -> Result<Vec<Counter>, StoreError> {
    rows::counters_of(db, account, window.start, window.start.plus_days(-LONGEST_WINDOW_DAYS), subscription).await
}

/// What a window begins with: what the latest window that it cut short has used beyond its share.
pub(super) fn begins_with(counters: &[Counter], meter: Meter, window: UsageWindow) -> u64 {
    let cut = counters
        .iter()
        .filter(|counter| counter.meter == meter.as_str() && counter.window_start < window.start.0)
        .max_by_key(|counter| counter.window_start);
    cut.map_or(0, |cut| {
        let limit = if cut.included == i64::MAX { Limit::Unlimited } else { Limit::Finite(count(cut.included)) };
        let span = UsageWindow { start: Timestamp(cut.window_start), end: Timestamp(cut.window_end) };
        carried_over(count(cut.used), limit, span, window.start)
    })
}

/// The counter of a window in which nothing has happened.
fn no_counter(place: &Place) -> Counter {
    Counter {
        account_id: place.account.to_string(),
        meter: place.meter.as_str().to_owned(),
        window_start: place.window.start.0,
        window_end: place.window.end.0,
        subscription_id: place.subscription.clone(),
        included: ceiling(place.limit),
        used: 0,
        reserved: 0,
        from_credits: 0,
        held_credits: 0,
        overage: 0,
    }
}

/// Everything that was taken, and what is to be written.
struct Batch<'a> {
    counters: BTreeMap<CounterKey, Counter>,
    changed: BTreeSet<CounterKey>,
    /// Credits left, by account and meter; those that were taken from the database.
    credits: HashMap<(AccountId, &'static str), i64>,
    consumed: BTreeMap<(AccountId, &'static str), i64>,
    records: HashMap<(String, String), Record>,
    new_records: BTreeMap<(String, String), NewRecord<'a>>,
    counted: Vec<(&'a Settle, Record)>,
    released: Vec<(String, String, String)>,
    days: BTreeMap<(AccountId, &'static str, i64, String), i64>,
    raised: BTreeMap<(CounterKey, i64), Timestamp>,
    billed: BTreeMap<(CounterKey, i64), i64>,
}

impl<'a> Batch<'a> {
    async fn read(
        tx: &mut Tx,
        asks: &'a [Ask],
        keys: &[CounterKey],
        counters: Vec<Counter>,
    ) -> Result<Self, StoreError> {
        let named: HashMap<_, _> =
            keys.iter().map(|key| ((key.account.as_str(), key.meter, key.window.0), key)).collect();
        let by_key = counters
            .into_iter()
            .filter_map(|counter| {
                let key = named.get(&(&counter.account_id, &counter.meter, counter.window_start))?;
                Some(((*key).clone(), counter))
            })
            .collect();
        let wanted: BTreeSet<(&str, &str)> = asks
            .iter()
            .filter(|ask| !ask.is_of_new_key())
            .map(|ask| (ask.place().account.as_str(), ask.key()))
            .collect();
        let wanted: Vec<_> = wanted.into_iter().collect();
        let records = rows::records(tx, &wanted).await?;
        let mut batch = Self {
            counters: by_key,
            changed: BTreeSet::new(),
            credits: HashMap::new(),
            consumed: BTreeMap::new(),
            records: records
                .into_iter()
                .map(|record| ((record.account_id.clone(), record.idempotency_key.clone()), record))
                .collect(),
            new_records: BTreeMap::new(),
            counted: Vec::new(),
            released: Vec::new(),
            days: BTreeMap::new(),
            raised: BTreeMap::new(),
            billed: BTreeMap::new(),
        };
        batch.read_credits(tx, asks).await?;
        Ok(batch)
    }

    /// Takes the credits of all who have a limit to come to.
    async fn read_credits(&mut self, tx: &mut Tx, asks: &[Ask]) -> Result<(), StoreError> {
        let limited = asks.iter().map(Ask::place).filter(|place| place.limit != Limit::Unlimited);
        let wanted: BTreeSet<_> = limited.map(|place| (place.account.clone(), place.meter.as_str())).collect();
        let wanted: Vec<_> = wanted.into_iter().collect();
        let named: HashMap<(&str, &str), _> = wanted.iter().map(|key| ((key.0.as_str(), key.1), key)).collect();
        for (account, meter, granted, consumed) in rows::take_balances(tx, &wanted).await? {
            if let Some(key) = named.get(&(&account, &meter)) {
                self.credits.insert((*key).clone(), granted.saturating_sub(consumed));
            }
        }
        Ok(())
    }

    fn allowance(&self, key: &CounterKey, limit: Limit, credits: i64) -> Allowance {
        self.counters.get(key).map_or(Allowance { limit, used: 0, reserved: 0, credits, overage: 0 }, |counter| {
            Allowance {
                limit,
                used: count(counter.used),
                reserved: count(counter.reserved),
                credits,
                overage: count(counter.overage),
            }
        })
    }

    fn credits_of(&self, place: &Place) -> i64 {
        self.credits.get(&(place.account.clone(), place.meter.as_str())).copied().unwrap_or_default()
    }

    async fn take(&mut self, tx: &mut Tx, take: &'a Take) -> Result<Answer, StoreError> {
        let key = take.place.counter_key();
        let named = (take.place.account.to_string(), take.key.clone());
        if let Some(before) = self.records.get(&named) {
            let is_same = before.meter == key.meter
                && before.quantity == take.quantity
                && before.fingerprint == take.fingerprint
                && (!before.is_held() || take.hold.is_some());
            let is_over = before.is_held() && before.expires_at.is_some_and(|end| end <= take.now.0);
            let verdict = match (is_same, before.is_held()) {
                (false, _) => Verdict::KeyReused,
                (true, false) => Verdict::Repeated,
                (true, true) if is_over && before.window_start == key.window.0 => {
                    // Its work died. What it held goes back, and the key is free.
                    self.reclaim(tx, &key, take.now).await?;
                    if self.records.contains_key(&named) { Verdict::InProgress } else { Verdict::Taken }
                }
                (true, true) => Verdict::InProgress,
            };
            if verdict != Verdict::Taken {
                return Ok(self.answer(verdict, &take.place));
            }
        }
        let quantity = count(take.quantity);
        let mut taken =
            self.allowance(&key, take.place.limit, self.credits_of(&take.place)).take(quantity, take.place.overage);
        let holds = self.counters.get(&key).is_some_and(|counter| counter.reserved > 0 || counter.held_credits > 0);
        if holds && taken.is_none_or(|taken| taken.overage > 0) {
            // What was held for work that has died is to be had again.
            self.reclaim(tx, &key, take.now).await?;
            taken =
                self.allowance(&key, take.place.limit, self.credits_of(&take.place)).take(quantity, take.place.overage);
        }
        let Some(taken) = taken else { return Ok(self.answer(Verdict::Denied, &take.place)) };

        let (credits, overage) = (whole(taken.credits), whole(taken.overage));
        let record = Record {
            account_id: named.0.clone(),
            idempotency_key: named.1.clone(),
            meter: key.meter.to_owned(),
            quantity: take.quantity,
            state: if take.hold.is_some() { "held" } else { "counted" }.to_owned(),
            fingerprint: take.fingerprint.clone(),
            window_start: key.window.0,
            from_credits: credits,
            overage,
            holder: take.hold.as_ref().map(|(holder, _)| holder.clone()),
            source: take.source.clone(),
            expires_at: take.hold.as_ref().map(|(_, end)| end.0),
        };
        self.consume(&take.place.account, key.meter, credits);
        let included = whole(taken.included);
        if take.hold.is_some() {
            self.change(&key, &take.place, |counter| {
                counter.reserved += included;
                counter.held_credits += credits;
            });
        } else {
            let before = self.allowance(&key, take.place.limit, 0);
            self.change(&key, &take.place, |counter| {
                counter.used += included;
                counter.from_credits += credits;
                counter.overage += overage;
            });
            self.used(&key, &take.place, before, &record, take.now);
        }
        self.records.insert(named.clone(), record.clone());
        self.new_records.insert(named, NewRecord { record, at: take.now, metadata: take.metadata.as_deref() });
        Ok(self.answer(Verdict::Taken, &take.place))
    }

    fn settle(&mut self, settle: &'a Settle) -> Answer {
        let place = &settle.place;
        let named = (place.account.to_string(), settle.key.clone());
        let held = self
            .records
            .get(&named)
            .filter(|record| record.is_held() && record.holder.as_deref() == Some(settle.holder.as_str()))
            .cloned();
        let Some(held) = held else { return self.answer(Verdict::Gone, place) };
        let key = place.counter_key();
        let (included, credits, overage) = (held.included(), held.from_credits, held.overage);
        match &settle.outcome {
            Outcome::Commit { .. } => {
                let before = self.allowance(&key, place.limit, 0);
                self.change(&key, place, |counter| {
                    counter.reserved -= included;
                    counter.held_credits -= credits;
                    counter.used += included;
                    counter.from_credits += credits;
                    counter.overage += overage;
                });
                self.used(&key, place, before, &held, settle.now);
                let counted = Record { state: "counted".to_owned(), holder: None, expires_at: None, ..held.clone() };
                self.records.insert(named, counted);
                self.counted.push((settle, held));
            }
            Outcome::Release => {
                self.release(&key, &held.account_id, &held.idempotency_key, &settle.holder, included, credits);
            }
        }
        self.answer(Verdict::Settled, place)
    }

    /// Gives back what expired reservations of this counter hold.
    async fn reclaim(&mut self, tx: &mut Tx, key: &CounterKey, now: Timestamp) -> Result<(), StoreError> {
        for hold in rows::expired_of(tx, key, now).await? {
            let is_gone = self.released.iter().any(|(.., holder)| *holder == hold.holder)
                || self.counted.iter().any(|(settle, _)| settle.holder == hold.holder);
            if !is_gone {
                let included = hold.quantity - hold.from_credits - hold.overage;
                self.release(key, &hold.account_id, &hold.idempotency_key, &hold.holder, included, hold.from_credits);
            }
        }
        Ok(())
    }

    fn release(&mut self, key: &CounterKey, account: &str, name: &str, holder: &str, included: i64, credits: i64) {
        if let Some(counter) = self.counters.get_mut(key) {
            counter.reserved -= included;
            counter.held_credits -= credits;
            self.changed.insert(key.clone());
        }
        self.consume(&key.account, key.meter, -credits);
        let named = (account.to_owned(), name.to_owned());
        self.records.remove(&named);
        if self.new_records.remove(&named).is_none() {
            self.released.push((named.0, named.1, holder.to_owned()));
        }
    }

    fn change(&mut self, key: &CounterKey, place: &Place, change: impl FnOnce(&mut Counter)) {
        if let Some(counter) = self.counters.get_mut(key) {
            change(counter);
            counter.included = ceiling(place.limit);
            self.changed.insert(key.clone());
        }
    }

    fn consume(&mut self, account: &AccountId, meter: &'static str, credits: i64) {
        if credits != 0 {
            let key = (account.clone(), meter);
            *self.credits.entry(key.clone()).or_default() -= credits;
            *self.consumed.entry(key).or_default() += credits;
        }
    }

    /// What follows from a use: the day shows it, a threshold may have been come to, and what is
    /// beyond the allowance is billed.
    fn used(&mut self, key: &CounterKey, place: &Place, before: Allowance, record: &Record, now: Timestamp) {
        let day = (key.account.clone(), key.meter, midnight(now).0, record.source.clone());
        *self.days.entry(day).or_default() += record.quantity;
        let after = self.allowance(key, place.limit, 0);
        for threshold in Threshold::ALL {
            if threshold.is_reached(after.used, place.limit) && !threshold.is_reached(before.used, place.limit) {
                self.raised.insert((key.clone(), threshold.percent()), now);
            }
        }
        if record.overage > 0 {
            let hour = now.0 - now.0.rem_euclid(COLLECT);
            *self.billed.entry((key.clone(), hour)).or_default() += record.overage;
        }
    }

    fn answer(&self, verdict: Verdict, place: &Place) -> Answer {
        let none = no_counter(place);
        let counter = self.counters.get(&place.counter_key()).unwrap_or(&none);
        let reading = MeterReading::of(counter, place.meter, place.limit, place.window, self.credits_of(place));
        Answer { verdict, reading }
    }

    /// Writes what was decided. `false` when nothing was.
    async fn write(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        for (account, key, holder) in &self.released {
            rows::delete_held(tx, account, key, holder).await?;
        }
        for (settle, held) in &self.counted {
            let Outcome::Commit { metadata, answer } = &settle.outcome else { continue };
            let (account, key) = (&held.account_id, &held.idempotency_key);
            rows::count_held(tx, account, key, &settle.holder, settle.now, metadata.as_deref()).await?;
            if let Some(answer) = answer {
                rows::keep_answer(tx, account, key, answer, settle.now).await?;
            }
        }
        let new: Vec<NewRecord<'_>> = self.new_records.values().cloned().collect();
        rows::insert_records(tx, &new).await?;
        let changed: Vec<Counter> = self.changed.iter().filter_map(|key| self.counters.get(key)).cloned().collect();
        rows::write_counters(tx, &changed).await?;
        let consumed: Vec<_> =
            self.consumed.iter().map(|((account, meter), by)| (account.as_str(), *meter, *by)).collect();
        rows::consume(tx, &consumed).await?;
        let days: Vec<_> = self
            .days
            .iter()
            .map(|((account, meter, day, source), units)| (account.as_str(), *meter, *day, source.as_str(), *units))
            .collect();
        rows::count_days(tx, &days).await?;
        for ((key, percent), at) in &self.raised {
            notices::raise(tx, key.account.as_str(), key.meter, key.window, *percent, *at).await?;
        }
        for ((key, hour), units) in &self.billed {
            let due = Timestamp(hour + COLLECT);
            let account = key.account.as_str();
            meter_events::add(tx, &ids::new_id(), account, key.meter, Timestamp(*hour), *units, due).await?;
        }
        Ok(!changed.is_empty() || !self.released.is_empty())
    }
}

/// A limit as a counter keeps it.
fn ceiling(limit: Limit) -> i64 {
    match limit {
        Limit::Finite(limit) => whole(limit.min(MAX_UNITS - 1)),
        Limit::Unlimited => i64::MAX,
    }
}

pub(super) fn count(units: i64) -> u64 {
    u64::try_from(units).unwrap_or_default()
}

fn whole(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
