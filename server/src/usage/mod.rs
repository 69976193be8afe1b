//! Counting use against limits: exact under any concurrency, once per key, in a time that does
//! not depend on how much was used before.
//!
//! [`Tollgate::record_use`] counts at once. Work that can fail reserves first and commits or
//! releases when it has ended; a reservation whose work died is given back when its time is
//! over. What is asked for at the same time is decided on in one transaction ([`counting`]).
//! A key means one request: the same key with another meter, quantity or fingerprint is an
//! error (`tests/store/usage.rs`, `tests/store/reservations.rs`).

mod counting;
pub mod credits;
pub mod outbox;
pub mod sweeper;
pub mod thresholds;

use std::sync::Arc;

use billing::allowance::{Allowance, MAX_UNITS};
use billing::{AccountId, Entitlement, Limit, Meter, Overage, Reason, Timestamp, UsageWindow, usage_window};

pub use thresholds::{Notice, Threshold};

use self::counting::{Answer, Ask, KnownCounters, Outcome, Place, Settle, Take, Verdict, begins_with, counters_at};
use crate::ids;
use crate::store::usage::{self as rows, Counter};
use crate::store::{GroupCommit, StoreError, credits as credit_rows};
use crate::tollgate::Tollgate;

/// Seconds that a reservation holds, unless its work says otherwise: longer than any request takes.
pub const HOLD: i64 = 120;

/// How a meter stands in the window that now lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterReading {
    /// Which meter.
    pub meter: Meter,
    /// How much of the limit is used.
    pub used: u64,
    /// How much of it is held by work that has not ended.
    pub reserved: u64,
    /// Of how much.
    pub limit: Limit,
    /// Used beyond the limit, out of credits.
    pub from_credits: u64,
    /// Credits left; below zero when used ones were refunded.
    pub credits: i64,
    /// Used beyond both, to be billed.
    pub overage: u64,
    /// From when to when.
    pub window: UsageWindow,
}

impl MeterReading {
    fn of(counter: &Counter, meter: Meter, limit: Limit, window: UsageWindow, credits: i64) -> Self {
        Self {
            meter,
            used: counting::count(counter.used),
            reserved: counting::count(counter.reserved),
            limit,
            from_credits: counting::count(counter.from_credits),
            credits,
            overage: counting::count(counter.overage),
            window,
        }
    }

    fn allowance(&self) -> Allowance {
        Allowance {
            limit: self.limit,
            used: self.used,
            reserved: self.reserved,
            credits: self.credits,
            overage: self.overage,
        }
    }

    /// What can still be used without being billed.
    pub fn left(&self) -> Limit {
        self.allowance().left()
    }

    /// All that was used in the window, whatever it was taken from.
    pub const fn used_in_all(&self) -> u64 {
        self.used.saturating_add(self.from_credits).saturating_add(self.overage)
    }
}

/// One use.
#[derive(Clone, Debug)]
pub struct Use<'a> {
    /// Of what.
    pub meter: Meter,
    /// How many units, from 1.
    pub quantity: u64,
    /// Names the use: it counts once, however often it is sent.
    pub key: &'a str,
    /// Whether the key was made for this use alone, so that it need not be looked for. A key that is
    /// there all the same is an error.
    pub is_new_key: bool,
    /// Of the request behind it: the same key with another one is an error. May be empty.
    pub fingerprint: &'a str,
    /// The API key that was used, if any: its id.
    pub source: Option<&'a str>,
    /// JSON, about the work. It is kept with the history.
    pub metadata: Option<String>,
}

impl<'a> Use<'a> {
    /// A use with nothing more to say about it.
    pub const fn new(meter: Meter, quantity: u64, key: &'a str) -> Self {
        Self { meter, quantity, key, is_new_key: false, fingerprint: "", source: None, metadata: None }
    }
}

/// What came of an attempt to use something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Counted; the reading includes it.
    Counted(MeterReading),
    /// Counted before under the same key; nothing changed.
    Repeated(MeterReading),
    /// There is not as much left; nothing changed.
    Denied(MeterReading),
}

/// Units held for work that has begun.
#[derive(Clone, Debug)]
pub struct Reservation {
    place: Place,
    key: String,
    holder: String,
}

/// What came of an attempt to reserve.
#[derive(Clone, Debug)]
pub enum Reserved {
    /// Held: begin the work.
    Held(Reservation, MeterReading),
    /// The same work has ended well before, and was counted.
    Repeated(MeterReading),
    /// The same work is under way.
    InProgress(MeterReading),
    /// There is not as much left; nothing changed.
    Denied(MeterReading),
}

/// Why a use could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The key was used for something else.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// A quantity of zero, or beyond what can be counted.
    #[error("a quantity must be from 1 to {MAX_UNITS}")]
    Quantity,
    /// The database failed; nothing was counted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where uses wait to be counted together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    group: GroupCommit<Ask, Answer>,
    known: KnownCounters,
}

impl Tollgate {
    /// All meters of an account, in the window that now lies in.
    ///
    /// # Errors
    /// The database failed.
    pub async fn usage(&self, account: &AccountId) -> Result<Vec<MeterReading>, StoreError> {
        readings(self, account, &self.entitlement(account).await?).await
    }

    /// Whether `quantity` of a meter could be used now, and how it stands. A look, not a promise:
    /// only [`Tollgate::record_use`] and [`Tollgate::reserve`] decide.
    ///
    /// # Errors
    /// The database failed.
    pub async fn check_usage(
        &self,
        account: &AccountId,
        meter: Meter,
        quantity: u64,
    ) -> Result<(bool, Option<MeterReading>), StoreError> {
        let place = self.place(account, meter, self.now()).await?;
        let reading = self.usage(account).await?.into_iter().find(|reading| reading.meter == meter);
        let is_had =
            reading.as_ref().is_some_and(|reading| reading.allowance().take(quantity, place.overage).is_some());
        Ok((is_had, reading))
    }

    /// Counts `quantity` of `meter`, once per `key`.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub async fn record_usage(
        &self,
        account: &AccountId,
        meter: Meter,
        quantity: u64,
        key: &str,
    ) -> Result<Recorded, UsageError> {
        self.record_use(account, Use::new(meter, quantity, key)).await
    }

    /// Counts a use, once per key.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub async fn record_use(&self, account: &AccountId, wanted: Use<'_>) -> Result<Recorded, UsageError> {
        let ask = self.take(account, wanted, None).await?;
        let answer = self.ask(Ask::Take(ask)).await?;
        Ok(match answer.verdict {
            Verdict::Taken => Recorded::Counted(answer.reading),
            Verdict::Repeated => Recorded::Repeated(answer.reading),
            Verdict::Denied => Recorded::Denied(answer.reading),
            Verdict::InProgress | Verdict::KeyReused | Verdict::Settled | Verdict::Gone => {
                return Err(UsageError::KeyReused);
            }
        })
    }

    /// Holds units for work that can fail, for `seconds` at most.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub async fn reserve(&self, account: &AccountId, wanted: Use<'_>, seconds: i64) -> Result<Reserved, UsageError> {
        let holder = ids::new_id();
        let ask = self.take(account, wanted, Some((holder.clone(), self.now().plus_seconds(seconds)))).await?;
        let (place, key) = (ask.place.clone(), ask.key.clone());
        let answer = self.ask(Ask::Take(ask)).await?;
        Ok(match answer.verdict {
            Verdict::Taken => Reserved::Held(Reservation { place, key, holder }, answer.reading),
            Verdict::Repeated => Reserved::Repeated(answer.reading),
            Verdict::InProgress => Reserved::InProgress(answer.reading),
            Verdict::Denied => Reserved::Denied(answer.reading),
            Verdict::KeyReused | Verdict::Settled | Verdict::Gone => return Err(UsageError::KeyReused),
        })
    }

    /// Counts what was reserved: its work has succeeded. `answer` is kept under the reservation's
    /// key, in the same transaction. `None`: its time was over, and the units were given back.
    ///
    /// # Errors
    /// The database failed; the reservation is as it was.
    pub async fn commit(
        &self,
        reservation: &Reservation,
        metadata: Option<String>,
        answer: Option<String>,
    ) -> Result<Option<MeterReading>, StoreError> {
        self.settle(reservation, Outcome::Commit { metadata, answer }).await
    }

    /// Gives back what was reserved: its work has failed. `None` when it was given back before.
    ///
    /// # Errors
    /// The database failed; the reservation is as it was, and ends when its time is over.
    pub async fn release(&self, reservation: &Reservation) -> Result<Option<MeterReading>, StoreError> {
        self.settle(reservation, Outcome::Release).await
    }

    /// What was answered when a reservation of this key was committed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn kept_answer(&self, account: &AccountId, key: &str) -> Result<Option<String>, StoreError> {
        rows::answer(self.db(), account, key).await
    }

    async fn take(
        &self,
        account: &AccountId,
        wanted: Use<'_>,
        hold: Option<(String, Timestamp)>,
    ) -> Result<Take, UsageError> {
        let quantity = i64::try_from(wanted.quantity).ok().filter(|quantity| *quantity > 0);
        let now = self.now();
        Ok(Take {
            quantity: quantity.ok_or(UsageError::Quantity)?,
            place: self.place(account, wanted.meter, now).await?,
            key: wanted.key.to_owned(),
            is_new_key: wanted.is_new_key,
            fingerprint: wanted.fingerprint.to_owned(),
            source: wanted.source.unwrap_or_default().to_owned(),
            metadata: wanted.metadata,
            hold,
            now,
        })
    }

    async fn settle(&self, reservation: &Reservation, outcome: Outcome) -> Result<Option<MeterReading>, StoreError> {
        let Reservation { place, key, holder } = reservation.clone();
        let answer = self.ask(Ask::Settle(Settle { place, key, holder, outcome, now: self.now() })).await?;
        Ok((answer.verdict == Verdict::Settled).then_some(answer.reading))
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, StoreError> {
        let (db, known) = (self.db().clone(), self.counting().known.clone());
        self.counting()
            .group
            .commit(ask, move |asks: Arc<[Ask]>| counting::decide(db.clone(), known.clone(), asks))
            .await
    }

    /// Where a use is counted at `now`.
    async fn place(&self, account: &AccountId, meter: Meter, now: Timestamp) -> Result<Place, StoreError> {
        let subscriptions = self.access().subscriptions(self.db(), account).await?;
        let entitlement = billing::entitlement(&subscriptions, self.catalog(), now);
        let subscription = deciding(&entitlement).map(str::to_owned);
        let is_billed = self.catalog().overage(meter) == Overage::Bill
            && subscriptions
                .iter()
                .filter(|each| Some(each.id.as_str()) == subscription.as_deref())
                .any(|each| each.items.iter().any(|item| self.catalog().bills(meter, item.lookup_key.as_deref())));
        Ok(Place {
            account: account.clone(),
            meter,
            window: usage_window(entitlement.window_anchor, now),
            subscription,
            limit: entitlement.limit(meter),
            overage: if is_billed { Overage::Bill } else { Overage::Deny },
        })
    }
}

/// The subscription whose windows count; none on the free plan.
fn deciding(entitlement: &Entitlement) -> Option<&str> {
    match (&entitlement.reason, entitlement.window_anchor) {
        (Reason::Subscription { id, .. }, Some(_)) => Some(id.as_str()),
        _ => None,
    }
}

pub(crate) async fn readings(
    tollgate: &Tollgate,
    account: &AccountId,
    entitlement: &Entitlement,
) -> Result<Vec<MeterReading>, StoreError> {
    let window = usage_window(entitlement.window_anchor, tollgate.now());
    let counters = counters_at(tollgate.db(), account, window, deciding(entitlement)).await?;
    let balances = credit_rows::balances(tollgate.db(), account).await?;
    let meters = tollgate.catalog().meters().iter().map(|definition| definition.meter);
    Ok(meters
        .map(|meter| {
            let limit = entitlement.limit(meter);
            let balance = balances.iter().find(|(key, ..)| key == meter.as_str());
            let credits = balance.map_or(0, |(_, granted, consumed)| granted.saturating_sub(*consumed));
            let now = |counter: &&Counter| counter.meter == meter.as_str() && counter.window_start == window.start.0;
            match counters.iter().find(now) {
                Some(counter) => MeterReading::of(counter, meter, limit, window, credits),
                None => MeterReading {
                    meter,
                    used: begins_with(&counters, meter, window),
                    reserved: 0,
                    limit,
                    from_credits: 0,
                    credits,
                    overage: 0,
                    window,
                },
            }
        })
        .collect())
}

/// The beginning of the UTC day that `at` lies in.
pub(crate) const fn midnight(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(billing::time::DAY))
}
