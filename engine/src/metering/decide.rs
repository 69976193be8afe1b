//! Deciding on many usage events in one transaction.
//!
//! The affected counters are locked first, always in the same order; from then on no other transaction
//! changes the rows of their accounts and meters, so everything read afterwards is current. The decisions
//! are made here, one after the other in the order of the requests, by [`billing::allowance`]. Their
//! effects are written and committed together: records, counters, credits, days, notices, and overage.
//! The number of statements depends neither on the history nor, on PostgreSQL, on the number of requests
//! (`tests/store/usage.rs`, `tests/store/reservations.rs`).
//!
//! A reservation need not survive a crash of the machine: a response reports only work that was counted, and
//! counting it makes everything before durable. So a batch of reservations does not wait for the fsync, and nor
//! does a request that is denied (docs/decisions/0014).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use billing::allowance::{Allocation, Allowance};
use billing::{AccountId, Limit, Meter, Timestamp};

use super::reading::{MeterReading, midnight};
use super::scope::CounterScope;
use super::threshold::Threshold;
use super::window::{carried_into, stored, stored_limit, units, window_of};
use crate::ids;
use crate::store::usage::{
    self as rows, Consumption, CountedReservation, Counter, CounterKey, DailyUsage, Effects, KeptResponse, NewRecord,
    UsageRecord,
};
use crate::store::{Batch as Written, BatchResult, Db, Durability, GroupCommit, StoreError, Tx, meter_events, notices};

/// Overage is collected for this many seconds before it is sent.
const COLLECT: i64 = 3600;

/// A usage event, to be counted immediately or reserved.
#[derive(Clone, Debug)]
pub(super) struct Take {
    pub(super) scope: CounterScope,
    /// From 1 to [`billing::allowance::MAX_UNITS`].
    pub(super) quantity: i64,
    pub(super) key: String,
    /// Whether the key was generated for this event, and so is new.
    pub(super) is_new_key: bool,
    pub(super) fingerprint: String,
    pub(super) source: String,
    pub(super) metadata: Option<String>,
    /// The reservation's id and expiry; `None` to count immediately.
    pub(super) reservation: Option<(String, Timestamp)>,
    pub(super) now: Timestamp,
}

/// The decision on a [`Take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakeOutcome {
    /// It was counted or reserved, from these sources.
    Taken(Allocation),
    /// The same request was already counted.
    Repeated,
    /// The same request holds a reservation.
    InProgress,
    /// The key was used for another request.
    KeyReused,
    /// Too few units are left.
    Denied,
}

/// The end of a reservation.
#[derive(Clone, Debug)]
pub(super) struct Settle {
    pub(super) scope: CounterScope,
    pub(super) key: String,
    pub(super) reservation: String,
    /// The units held; `None` if they have to be looked up.
    pub(super) held: Option<HeldUnits>,
    pub(super) end: End,
    pub(super) now: Timestamp,
}

/// The units that a reservation holds.
#[derive(Clone, Debug)]
pub(super) struct HeldUnits {
    pub(super) quantity: i64,
    pub(super) from_credits: i64,
    pub(super) overage: i64,
    pub(super) source: String,
}

impl Settle {
    /// Returns the record of the reservation while it is held, if its units are known.
    fn expected(&self) -> Option<UsageRecord> {
        let held = self.held.as_ref()?;
        let CounterKey { account, meter, window } = self.scope.counter_key();
        Some(UsageRecord {
            account_id: account.to_string(),
            idempotency_key: self.key.clone(),
            meter: meter.as_str().to_owned(),
            quantity: held.quantity,
            state: "held".to_owned(),
            fingerprint: String::new(),
            window_start: window.0,
            from_credits: held.from_credits,
            overage: held.overage,
            reservation_id: Some(self.reservation.clone()),
            source: held.source.clone(),
            expires_at: None,
        })
    }
}

/// The way in which a reservation ends.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The work succeeded: its units are counted.
    Commit { metadata: Option<String>, response: Option<String> },
    /// The work failed: its units are released.
    Release,
}

#[derive(Clone, Debug)]
enum Request {
    Take(Take),
    /// Counts usage, then reads these counters.
    TakeThenRead(Take, Vec<CounterScope>),
    /// Counts usage and reserves units of another meter: both or neither.
    Both(Box<BothTakes>),
    Settle(Settle),
}

/// The decision on two events that count together.
#[derive(Clone, Debug)]
pub(super) struct BothTaken {
    /// The outcome of the reservation; `None` if too few units are left for the event to be counted.
    pub(super) outcome: Option<TakeOutcome>,
    pub(super) counted: MeterReading,
    pub(super) reserved: MeterReading,
}

#[derive(Clone, Debug)]
struct BothTakes {
    count: Take,
    reserve: Take,
}

enum Decision {
    Take(TakeOutcome, MeterReading),
    Read(TakeOutcome, Vec<MeterReading>),
    Both(BothTaken),
    /// Without a reading if the reservation no longer exists.
    Settle(Option<MeterReading>),
}

impl Request {
    /// Returns the counters that it concerns.
    fn scopes(&self) -> impl Iterator<Item = &CounterScope> {
        let (first, second, others): (_, _, &[CounterScope]) = match self {
            Self::Take(take) => (&take.scope, None, &[]),
            Self::TakeThenRead(take, others) => (&take.scope, None, others),
            Self::Both(both) => (&both.count.scope, Some(&both.reserve.scope), &[]),
            Self::Settle(settle) => (&settle.scope, None, &[]),
        };
        [first].into_iter().chain(second).chain(others)
    }

    /// Returns the accounts and idempotency keys under which records may exist. The record of a reservation need
    /// not be looked up if its units are known and trusted to be still held.
    fn known_keys(&self, trusts_reservations: bool) -> Vec<(&str, &str)> {
        fn key_of(take: &Take) -> Option<(&str, &str)> {
            (!take.is_new_key).then_some((take.scope.account.as_str(), take.key.as_str()))
        }
        match self {
            Self::Take(take) | Self::TakeThenRead(take, _) => key_of(take).into_iter().collect(),
            Self::Both(both) => [&both.count, &both.reserve].into_iter().filter_map(key_of).collect(),
            Self::Settle(settle) if trusts_reservations && settle.held.is_some() => Vec::new(),
            Self::Settle(settle) => vec![(settle.scope.account.as_str(), settle.key.as_str())],
        }
    }

    /// Returns whether it only reserves units.
    const fn is_reservation(&self) -> bool {
        match self {
            Self::Take(take) => take.reservation.is_some(),
            Self::Both(_) => true,
            Self::TakeThenRead(..) | Self::Settle(_) => false,
        }
    }
}

impl Decision {
    /// Returns whether nothing was written for the request because too few units are left.
    fn is_denied(&self) -> bool {
        match self {
            Self::Take(outcome, _) | Self::Read(outcome, _) => *outcome == TakeOutcome::Denied,
            Self::Both(both) => both.outcome.is_none_or(|outcome| outcome == TakeOutcome::Denied),
            Self::Settle(_) => false,
        }
    }
}

/// Decides concurrent usage events in shared transactions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MeterWriter(GroupCommit<Request, Decision>);

impl MeterWriter {
    /// Creates a writer for this database.
    pub fn new(db: &Db) -> Self {
        let (db, known) = (db.clone(), KnownCounters::default());
        Self(GroupCommit::new(move |requests| decide(db.clone(), known.clone(), requests)))
    }

    /// Counts or reserves units.
    pub(super) async fn take(&self, take: Take) -> Result<(TakeOutcome, MeterReading), StoreError> {
        match self.0.submit(Request::Take(take)).await? {
            Decision::Take(outcome, reading) => Ok((outcome, reading)),
            _ => unreachable!("{OWN_KIND}"),
        }
    }

    /// Counts units, and reads other counters of the account, in the same transaction.
    pub(super) async fn take_then_read(
        &self,
        take: Take,
        others: Vec<CounterScope>,
    ) -> Result<(TakeOutcome, Vec<MeterReading>), StoreError> {
        match self.0.submit(Request::TakeThenRead(take, others)).await? {
            Decision::Read(outcome, readings) => Ok((outcome, readings)),
            _ => unreachable!("{OWN_KIND}"),
        }
    }

    /// Counts units of one meter and reserves units of another; nothing changes unless the units can be reserved.
    pub(super) async fn take_both(&self, count: Take, reserve: Take) -> Result<BothTaken, StoreError> {
        match self.0.submit(Request::Both(Box::new(BothTakes { count, reserve }))).await? {
            Decision::Both(both) => Ok(both),
            _ => unreachable!("{OWN_KIND}"),
        }
    }

    /// Ends a reservation; `None` if it had already ended.
    pub(super) async fn settle(&self, settle: Settle) -> Result<Option<MeterReading>, StoreError> {
        match self.0.submit(Request::Settle(settle)).await? {
            Decision::Settle(reading) => Ok(reading),
            _ => unreachable!("{OWN_KIND}"),
        }
    }
}

const OWN_KIND: &str = "a request gets a decision of its own kind";

/// The counters known to exist, so that they need not be created.
#[derive(Clone, Debug, Default)]
struct KnownCounters(Arc<Mutex<HashSet<CounterKey>>>);

impl KnownCounters {
    const MAX: usize = 100_000;

    fn is_missing(&self, key: &CounterKey) -> bool {
        !self.set().contains(key)
    }

    fn add(&self, keys: impl IntoIterator<Item = CounterKey>) {
        let mut set = self.set();
        if set.len() > Self::MAX {
            set.clear();
        }
        set.extend(keys);
    }

    fn forget(&self, keys: &[CounterKey]) {
        self.set().retain(|key| !keys.contains(key));
    }

    fn set(&self) -> std::sync::MutexGuard<'_, HashSet<CounterKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides on all `requests`, and writes the decisions.
async fn decide(db: Db, known: KnownCounters, requests: Arc<[Request]>) -> Result<Written<Decision>, StoreError> {
    let scopes: BTreeMap<CounterKey, &CounterScope> =
        requests.iter().flat_map(Request::scopes).map(|scope| (scope.counter_key(), scope)).collect();
    let keys: Vec<CounterKey> = scopes.keys().cloned().collect();
    let only_reserves = requests.iter().all(Request::is_reservation);
    let durability = if only_reserves { Durability::Eventual } else { Durability::Immediate };
    let mut trusts_reservations = true;
    for _ in 0..3 {
        create_missing(&db, &known, &scopes).await?;
        let mut tx = db.begin_with(durability).await?;
        let counters = rows::lock_counters(&mut tx, &keys).await?;
        if counters.len() < keys.len() {
            // One has been deleted since it was last seen: create it again.
            known.forget(&keys);
            continue;
        }
        let mut batch = Batch::read(&mut tx, &requests, &keys, counters, trusts_reservations).await?;
        let mut results = Vec::with_capacity(requests.len());
        for request in requests.iter() {
            let decision = batch.decide(&mut tx, request).await?;
            let is_denied = decision.is_denied();
            results.push(if is_denied { BatchResult::Unwritten(decision) } else { BatchResult::Written(decision) });
        }
        match batch.write(&mut tx).await? {
            Effect::Written => return Ok(Written { results, tx: Some(tx) }),
            Effect::None => return Ok(Written { results, tx: None }),
            Effect::NotHeld => trusts_reservations = false,
        }
    }
    Err(StoreError::CorruptRow {
        table: "usage_counter",
        row: format!("{} of {}", keys.len(), keys.first().map(|key| key.account.to_string()).unwrap_or_default()),
        column: "window_start",
        problem: "a newly created counter does not exist".to_owned(),
    })
}

/// Creates the counters that are not known to exist, in a transaction of their own: a request that waits
/// for one to be created holds no lock on another. A window that cuts an earlier one of the same
/// subscription short starts with the usage beyond that one's share.
async fn create_missing(
    db: &Db,
    known: &KnownCounters,
    scopes: &BTreeMap<CounterKey, &CounterScope>,
) -> Result<(), StoreError> {
    let missing: Vec<(&CounterKey, &&CounterScope)> = scopes.iter().filter(|(key, _)| known.is_missing(key)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let windows: Vec<_> = missing.iter().map(|(key, scope)| window_of(key, scope.subscription.as_deref())).collect();
    let mut tx = db.begin().await?;
    let mut found: HashMap<CounterKey, Vec<Counter>> = HashMap::new();
    for (start, counter) in rows::counters_of_windows(&mut tx, &windows).await? {
        let (account, meter) = (AccountId::new(&counter.account_id), Meter::stored(&counter.meter));
        found.entry(CounterKey { account, meter, window: Timestamp(start) }).or_default().push(counter);
    }
    let mut new = Vec::new();
    for (key, scope) in &missing {
        let counters = found.remove(*key).unwrap_or_default();
        if !counters.iter().any(|counter| counter.window_start == key.window.0) {
            let used = stored(carried_into(&counters, scope.meter, scope.window));
            new.push(Counter { used, ..empty_counter(scope) });
        }
    }
    if !new.is_empty() {
        rows::create_counters(&mut tx, &new).await?;
        tx.commit().await?;
    }
    known.add(missing.into_iter().map(|(key, _)| key.clone()));
    Ok(())
}

/// Returns the counter of an unused window.
fn empty_counter(scope: &CounterScope) -> Counter {
    Counter {
        account_id: scope.account.to_string(),
        meter: scope.meter.as_str().to_owned(),
        window_start: scope.window.start.0,
        window_end: scope.window.end.0,
        subscription_id: scope.subscription.clone(),
        included: stored_limit(scope.limit),
        used: 0,
        reserved: 0,
        from_credits: 0,
        held_credits: 0,
        overage: 0,
        held_overage: 0,
    }
}

/// An account and an idempotency key.
type RecordKey = (String, String);

/// The locked rows, and the writes to make.
struct Batch<'a> {
    counters: BTreeMap<CounterKey, Counter>,
    changed: BTreeSet<CounterKey>,
    /// The credits left, as far as known: exact once `has_locked_credits`.
    credits: HashMap<(AccountId, Meter), i64>,
    has_locked_credits: bool,
    /// The accounts and meters whose credits count, sorted.
    limited: BTreeSet<(AccountId, Meter)>,
    consumed: BTreeMap<(AccountId, Meter), i64>,
    records: HashMap<RecordKey, UsageRecord>,
    new_records: BTreeMap<RecordKey, NewRecord<'a>>,
    committed: Vec<(&'a Settle, UsageRecord)>,
    released: Vec<Released>,
    days: BTreeMap<(AccountId, Meter, Timestamp, String), i64>,
    notices: BTreeMap<(CounterKey, i64), Timestamp>,
    billed: BTreeMap<(CounterKey, Timestamp), i64>,
}

/// The effect of a batch's writes.
enum Effect {
    Written,
    /// There was nothing to write.
    None,
    /// A reservation trusted to be held is not, so nothing may be committed.
    NotHeld,
}

/// The verdict on a [`Take`] that has not been applied.
enum Verdict {
    /// It was decided before, under the same key.
    Earlier(TakeOutcome),
    /// It takes units from these sources.
    Allocated(Allocation),
    Denied,
}

/// A reservation to be deleted.
struct Released {
    key: RecordKey,
    reservation: String,
    included: i64,
    credits: i64,
    overage: i64,
}

impl<'a> Batch<'a> {
    async fn read(
        tx: &mut Tx,
        requests: &'a [Request],
        keys: &[CounterKey],
        found: Vec<(Counter, i64)>,
        trusts_reservations: bool,
    ) -> Result<Self, StoreError> {
        let by_row: HashMap<_, _> =
            keys.iter().map(|key| ((key.account.as_str(), key.meter.as_str(), key.window.0), key)).collect();
        let (mut counters, mut credits) = (BTreeMap::new(), HashMap::new());
        for (counter, left) in found {
            let row = (counter.account_id.as_str(), counter.meter.as_str(), counter.window_start);
            if let Some(key) = by_row.get(&row) {
                credits.insert((key.account.clone(), key.meter), left);
                counters.insert((*key).clone(), counter);
            }
        }
        let wanted: BTreeSet<(&str, &str)> =
            requests.iter().flat_map(|request| request.known_keys(trusts_reservations)).collect();
        let read = rows::records(tx, &wanted.iter().copied().collect::<Vec<_>>()).await?;
        let mut records: HashMap<RecordKey, UsageRecord> = read
            .into_iter()
            .map(|record| ((record.account_id.clone(), record.idempotency_key.clone()), record))
            .collect();
        for request in requests {
            let Request::Settle(settle) = request else { continue };
            let is_read = wanted.contains(&(settle.scope.account.as_str(), settle.key.as_str()));
            if let Some(expected) = settle.expected().filter(|_| !is_read) {
                records.insert(record_key(&settle.scope, &settle.key), expected);
            }
        }
        let limited = requests.iter().flat_map(Request::scopes).filter(|scope| scope.limit != Limit::Unlimited);
        Ok(Self {
            counters,
            changed: BTreeSet::new(),
            credits,
            has_locked_credits: false,
            limited: limited.map(|scope| (scope.account.clone(), scope.meter)).collect(),
            consumed: BTreeMap::new(),
            records,
            new_records: BTreeMap::new(),
            committed: Vec::new(),
            released: Vec::new(),
            days: BTreeMap::new(),
            notices: BTreeMap::new(),
            billed: BTreeMap::new(),
        })
    }

    /// Locks the credits of every account that has a finite limit, and reads them again.
    async fn lock_credits(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let wanted: Vec<_> = self.limited.iter().cloned().collect();
        let balances = rows::lock_balances(tx, &wanted).await?;
        let left: HashMap<(&str, &str), i64> = balances
            .iter()
            .map(|balance| ((balance.account_id.as_str(), balance.meter.as_str()), balance.left()))
            .collect();
        for key in wanted {
            let stored = left.get(&(key.0.as_str(), key.1.as_str())).copied().unwrap_or_default();
            let consumed = self.consumed.get(&key).copied().unwrap_or_default();
            self.credits.insert(key, stored - consumed);
        }
        self.has_locked_credits = true;
        Ok(())
    }

    fn credits_of(&self, scope: &CounterScope) -> i64 {
        self.credits.get(&(scope.account.clone(), scope.meter)).copied().unwrap_or_default()
    }

    fn allowance(&self, key: &CounterKey, scope: &CounterScope) -> Allowance {
        let (limit, credits) = (scope.limit, self.credits_of(scope));
        self.counters.get(key).map_or(Allowance { limit, used: 0, reserved: 0, credits, overage: 0 }, |counter| {
            Allowance {
                limit,
                used: units(counter.used),
                reserved: units(counter.reserved),
                credits,
                overage: units(counter.overage.saturating_add(counter.held_overage)),
            }
        })
    }

    async fn decide(&mut self, tx: &mut Tx, request: &'a Request) -> Result<Decision, StoreError> {
        Ok(match request {
            Request::Take(take) => {
                let outcome = self.take(tx, take).await?;
                Decision::Take(outcome, self.reading(&take.scope))
            }
            Request::TakeThenRead(take, others) => {
                let outcome = self.take(tx, take).await?;
                let scopes = [&take.scope].into_iter().chain(others);
                Decision::Read(outcome, scopes.map(|scope| self.reading(scope)).collect())
            }
            Request::Both(both) => {
                let BothTakes { count, reserve } = &**both;
                let outcome = self.take_both(tx, count, reserve).await?;
                let (counted, reserved) = (self.reading(&count.scope), self.reading(&reserve.scope));
                Decision::Both(BothTaken { outcome, counted, reserved })
            }
            Request::Settle(settle) => self.settle(settle),
        })
    }

    async fn take(&mut self, tx: &mut Tx, take: &'a Take) -> Result<TakeOutcome, StoreError> {
        Ok(match self.verdict(tx, take).await? {
            Verdict::Earlier(outcome) => outcome,
            Verdict::Allocated(allocation) => self.apply(take, allocation),
            Verdict::Denied => TakeOutcome::Denied,
        })
    }

    /// Counts one event and reserves units of another meter, unless either is denied. Repeated work is not
    /// counted again, and nor is the event that came with it.
    async fn take_both(
        &mut self,
        tx: &mut Tx,
        count: &'a Take,
        reserve: &'a Take,
    ) -> Result<Option<TakeOutcome>, StoreError> {
        let (counted, reserved) = (self.verdict(tx, count).await?, self.verdict(tx, reserve).await?);
        Ok(match (counted, reserved) {
            (Verdict::Denied, _) => None,
            (Verdict::Allocated(counted), Verdict::Allocated(reserved)) => {
                self.apply(count, counted);
                Some(self.apply(reserve, reserved))
            }
            (Verdict::Earlier(TakeOutcome::Repeated), Verdict::Allocated(reserved)) => {
                Some(self.apply(reserve, reserved))
            }
            (Verdict::Earlier(outcome), Verdict::Allocated(_)) | (_, Verdict::Earlier(outcome)) => Some(outcome),
            (_, Verdict::Denied) => Some(TakeOutcome::Denied),
        })
    }

    async fn verdict(&mut self, tx: &mut Tx, take: &Take) -> Result<Verdict, StoreError> {
        if let Some(outcome) = self.earlier_outcome(tx, take).await? {
            return Ok(Verdict::Earlier(outcome));
        }
        Ok(self.allocate(tx, take).await?.map_or(Verdict::Denied, Verdict::Allocated))
    }

    /// Returns the outcome already stored under the key; `None` if the event still has to be decided.
    async fn earlier_outcome(&mut self, tx: &mut Tx, take: &Take) -> Result<Option<TakeOutcome>, StoreError> {
        let key = record_key(&take.scope, &take.key);
        let Some(earlier) = self.records.get(&key) else { return Ok(None) };
        let is_same = earlier.meter == take.scope.meter.as_str()
            && earlier.quantity == take.quantity
            && earlier.fingerprint == take.fingerprint
            && (!earlier.is_held() || take.reservation.is_some());
        if !is_same {
            return Ok(Some(TakeOutcome::KeyReused));
        }
        if !earlier.is_held() {
            return Ok(Some(TakeOutcome::Repeated));
        }
        let counter = take.scope.counter_key();
        let has_expired = earlier.expires_at.is_some_and(|at| at <= take.now.0);
        if has_expired && earlier.window_start == counter.window.0 {
            // The work was abandoned. Its units are released, and the key is free.
            self.release_expired(tx, &counter, take.now).await?;
        }
        Ok(self.records.contains_key(&key).then_some(TakeOutcome::InProgress))
    }

    /// Allocates units to the limit, credits and overage; `None` if there are too few. Expired
    /// reservations are released before anything is denied or billed.
    async fn allocate(&mut self, tx: &mut Tx, take: &Take) -> Result<Option<Allocation>, StoreError> {
        let (key, scope, quantity) = (take.scope.counter_key(), &take.scope, units(take.quantity));
        let allocation = self.allowance(&key, scope).take(quantity, scope.overage);
        if !self.has_locked_credits && allocation.is_some_and(|allocation| allocation.credits > 0) {
            // Another window's usage may have consumed them since they were read.
            self.lock_credits(tx).await?;
            return Box::pin(self.allocate(tx, take)).await;
        }
        let has_reservations = self
            .counters
            .get(&key)
            .is_some_and(|counter| counter.reserved + counter.held_credits + counter.held_overage > 0);
        if has_reservations && allocation.is_none_or(|allocation| allocation.overage > 0) {
            self.release_expired(tx, &key, take.now).await?;
            if !self.has_locked_credits {
                self.lock_credits(tx).await?;
            }
            return Ok(self.allowance(&key, scope).take(quantity, scope.overage));
        }
        Ok(allocation)
    }

    /// Counts or reserves the units of an admitted event.
    fn apply(&mut self, take: &'a Take, allocation: Allocation) -> TakeOutcome {
        let (key, scope) = (take.scope.counter_key(), &take.scope);
        let (included, credits, overage) =
            (stored(allocation.included), stored(allocation.credits), stored(allocation.overage));
        let (account_id, idempotency_key) = record_key(scope, &take.key);
        let record = UsageRecord {
            account_id,
            idempotency_key,
            meter: scope.meter.as_str().to_owned(),
            quantity: take.quantity,
            state: if take.reservation.is_some() { "held" } else { "counted" }.to_owned(),
            fingerprint: take.fingerprint.clone(),
            window_start: key.window.0,
            from_credits: credits,
            overage,
            reservation_id: take.reservation.as_ref().map(|(id, _)| id.clone()),
            source: take.source.clone(),
            expires_at: take.reservation.as_ref().map(|(_, expiry)| expiry.0),
        };
        self.consume(&scope.account, scope.meter, credits);
        if take.reservation.is_some() {
            self.change(&key, scope, |counter| {
                counter.reserved += included;
                counter.held_credits += credits;
                counter.held_overage += overage;
            });
        } else {
            self.count(&key, scope, &record, take.now, |counter| {
                counter.used += included;
                counter.from_credits += credits;
                counter.overage += overage;
            });
        }
        let named = (record.account_id.clone(), record.idempotency_key.clone());
        self.records.insert(named.clone(), record.clone());
        self.new_records.insert(named, NewRecord { record, at: take.now, metadata: take.metadata.as_deref() });
        TakeOutcome::Taken(allocation)
    }

    fn settle(&mut self, settle: &'a Settle) -> Decision {
        let (key, scope) = (settle.scope.counter_key(), &settle.scope);
        let named = record_key(scope, &settle.key);
        let is_theirs = |record: &&UsageRecord| {
            record.is_held() && record.reservation_id.as_deref() == Some(settle.reservation.as_str())
        };
        let Some(held) = self.records.get(&named).filter(is_theirs).cloned() else { return Decision::Settle(None) };
        match &settle.end {
            End::Commit { .. } => {
                self.count(&key, scope, &held, settle.now, |counter| {
                    counter.reserved -= held.included();
                    counter.held_credits -= held.from_credits;
                    counter.held_overage -= held.overage;
                    counter.used += held.included();
                    counter.from_credits += held.from_credits;
                    counter.overage += held.overage;
                });
                let counted =
                    UsageRecord { state: "counted".to_owned(), reservation_id: None, expires_at: None, ..held.clone() };
                self.records.insert(named, counted);
                self.committed.push((settle, held));
            }
            End::Release => {
                let reservation = settle.reservation.clone();
                let (included, credits, overage) = (held.included(), held.from_credits, held.overage);
                self.release(&key, Released { key: named, reservation, included, credits, overage });
            }
        }
        Decision::Settle(Some(self.reading(scope)))
    }

    /// Releases the expired reservations of this counter.
    async fn release_expired(&mut self, tx: &mut Tx, key: &CounterKey, now: Timestamp) -> Result<(), StoreError> {
        for expired in rows::expired_of(tx, key, now).await? {
            let has_ended = self.released.iter().any(|released| released.reservation == expired.reservation_id)
                || self.committed.iter().any(|(settle, _)| settle.reservation == expired.reservation_id);
            if !has_ended {
                let released = Released {
                    included: expired.included(),
                    credits: expired.from_credits,
                    overage: expired.overage,
                    key: (expired.account_id, expired.idempotency_key),
                    reservation: expired.reservation_id,
                };
                self.release(key, released);
            }
        }
        Ok(())
    }

    fn release(&mut self, key: &CounterKey, released: Released) {
        if let Some(counter) = self.counters.get_mut(key) {
            counter.reserved -= released.included;
            counter.held_credits -= released.credits;
            counter.held_overage -= released.overage;
            self.changed.insert(key.clone());
        }
        self.consume(&key.account, key.meter, -released.credits);
        self.records.remove(&released.key);
        if self.new_records.remove(&released.key).is_none() {
            self.released.push(released);
        }
    }

    fn change(&mut self, key: &CounterKey, scope: &CounterScope, change: impl FnOnce(&mut Counter)) {
        if let Some(counter) = self.counters.get_mut(key) {
            change(counter);
            counter.included = stored_limit(scope.limit);
            self.changed.insert(key.clone());
        }
    }

    fn consume(&mut self, account: &AccountId, meter: Meter, credits: i64) {
        if credits != 0 {
            let key = (account.clone(), meter);
            *self.credits.entry(key.clone()).or_default() -= credits;
            *self.consumed.entry(key).or_default() += credits;
        }
    }

    /// Counts usage, with its effects: the day's total, thresholds reached, and overage to bill.
    fn count(
        &mut self,
        key: &CounterKey,
        scope: &CounterScope,
        record: &UsageRecord,
        now: Timestamp,
        change: impl FnOnce(&mut Counter),
    ) {
        let used_before = self.counters.get(key).map_or(0, |counter| units(counter.used));
        self.change(key, scope, change);
        let used = self.counters.get(key).map_or(0, |counter| units(counter.used));
        for threshold in Threshold::ALL {
            if threshold.is_reached(used, scope.limit) && !threshold.is_reached(used_before, scope.limit) {
                self.notices.insert((key.clone(), threshold.percent()), now);
            }
        }
        let day = (key.account.clone(), key.meter, midnight(now), record.source.clone());
        *self.days.entry(day).or_default() += record.quantity;
        if record.overage > 0 {
            *self.billed.entry((key.clone(), billed_from(now, key.window))).or_default() += record.overage;
        }
    }

    fn reading(&self, scope: &CounterScope) -> MeterReading {
        let empty = empty_counter(scope);
        let counter = self.counters.get(&scope.counter_key()).unwrap_or(&empty);
        MeterReading::new(counter, scope.meter, scope.limit, scope.window, self.credits_of(scope), scope.overage)
    }

    /// Writes the decisions' effects.
    async fn write(&self, tx: &mut Tx) -> Result<Effect, StoreError> {
        for Released { key: (account, key), reservation, .. } in &self.released {
            if !rows::delete_reserved(tx, account, key, reservation).await? {
                return Ok(Effect::NotHeld);
            }
        }
        let effects = self.effects();
        let has_effects = !effects.counters.is_empty() || !self.released.is_empty();
        if rows::write(tx, &effects).await? < effects.counted.len() as u64 {
            return Ok(Effect::NotHeld);
        }
        for ((key, percent), at) in &self.notices {
            notices::raise(tx, key.account.as_str(), key.meter.as_str(), key.window, *percent, *at).await?;
        }
        for ((key, from), units) in &self.billed {
            let (account, meter, due) =
                (key.account.as_str(), key.meter.as_str(), hour_of(*from).plus_seconds(COLLECT));
            meter_events::add(tx, &ids::new_id(), account, meter, *from, *units, due).await?;
        }
        Ok(if has_effects { Effect::Written } else { Effect::None })
    }

    fn effects(&self) -> Effects<'_> {
        let mut effects = Effects {
            records: self.new_records.values().cloned().collect(),
            counters: self.changed.iter().filter_map(|key| self.counters.get(key)).cloned().collect(),
            ..Effects::default()
        };
        for (settle, held) in &self.committed {
            let End::Commit { metadata, response } = &settle.end else { continue };
            let (account, key, at) = (held.account_id.as_str(), held.idempotency_key.as_str(), settle.now);
            let (reservation, metadata) = (settle.reservation.as_str(), metadata.as_deref());
            effects.counted.push(CountedReservation { account, key, reservation, at, metadata });
            effects.responses.extend(response.as_deref().map(|body| KeptResponse { account, key, body, at }));
        }
        let consumed = self.consumed.iter();
        effects.consumed.extend(consumed.map(|((account, meter), units)| Consumption {
            account: account.as_str(),
            meter: *meter,
            units: *units,
        }));
        effects.days.extend(self.days.iter().map(|((account, meter, day, source), units)| DailyUsage {
            account: account.as_str(),
            meter: *meter,
            day: *day,
            source,
            units: *units,
        }));
        effects
    }
}

/// Returns the start of the hour that contains `at`.
const fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(COLLECT))
}

/// Returns the timestamp for reporting overage: the start of its hour or, in the first hour of a window, of the
/// window. Stripe invoices a period for the usage in it, and the hour may have started before it.
fn billed_from(now: Timestamp, window: Timestamp) -> Timestamp {
    hour_of(now).max(window.min(now))
}

fn record_key(scope: &CounterScope, key: &str) -> RecordKey {
    (scope.account.to_string(), key.to_owned())
}
