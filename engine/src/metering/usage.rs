//! Recording usage, and reserving units for work that can fail.

use std::sync::Arc;

use billing::{
    AccountId, Catalog, Entitlement, Limit, Meter, Overage, Subscription, Timestamp, UsageWindow, usage_window,
};
use futures::future::join_all;
use tokio::runtime::Handle;

use super::decide::{BothTaken, End, HeldUnits, MeterWriter, Settle, Take, TakeOutcome};
use super::meters::readings;
use super::reading::MeterReading;
use super::request::{Recorded, RecordedAndReserved, Reservation, Reserved, UsageError, UsageEvent};
use super::scope::CounterScope;
use super::window::stored;
use crate::core::Core;
use crate::ids;
use crate::store::StoreError;
use crate::store::usage::{self as rows, ExpiredReservation};

/// The default duration of a reservation, in seconds: longer than any request takes.
pub const RESERVATION_SECONDS: i64 = 120;
/// The number of expired reservations released at a time.
const BATCH: i64 = 256;

/// Reads all meters of an account, in the current window.
pub async fn read(core: &Core, account: &AccountId) -> Result<Vec<MeterReading>, StoreError> {
    let entitlement = core.entitlement(account).await?;
    readings(core, account, &entitlement).await
}

/// Checks whether `quantity` of a meter could be used now. This guarantees nothing: only [`record`] and
/// [`reserve`] decide.
pub async fn check(core: &Core, account: &AccountId, meter: Meter, quantity: u64) -> Result<bool, StoreError> {
    let reading = read(core, account).await?.into_iter().find(|reading| reading.meter == meter);
    Ok(reading.is_some_and(|reading| reading.allowance().take(quantity, reading.overage_policy).is_some()))
}

/// Counts a usage event, once per key.
pub async fn record(core: &Core, account: &AccountId, event: UsageEvent<'_>) -> Result<Recorded, UsageError> {
    let take = Terms::of(core, account).await?.take(event, None)?;
    let (outcome, reading) = core.meter().take(take).await?;
    recorded(outcome, reading)
}

/// Counts a usage event as [`record`], and reads all meters of the account in the same transaction. They include
/// the event.
pub async fn record_and_read(
    core: &Core,
    account: &AccountId,
    event: UsageEvent<'_>,
) -> Result<(Recorded, Vec<MeterReading>), UsageError> {
    let terms = Terms::of(core, account).await?;
    let meters: Vec<Meter> = core.catalog().meters().iter().map(|definition| definition.meter).collect();
    let scopes = meters.iter().map(|meter| terms.scope(*meter)).collect();
    let take = terms.take(event, None)?;
    let (outcome, mut readings) = core.meter().take_then_read(take, scopes).await?;
    let of_event = readings.remove(0);
    Ok((recorded(outcome, of_event)?, readings))
}

fn recorded(outcome: TakeOutcome, reading: MeterReading) -> Result<Recorded, UsageError> {
    match outcome {
        TakeOutcome::Taken(_) => Ok(Recorded::Counted(reading)),
        TakeOutcome::Repeated => Ok(Recorded::Repeated(reading)),
        TakeOutcome::Denied => Ok(Recorded::Denied(reading)),
        // A reserved key belongs to another kind of request.
        TakeOutcome::InProgress | TakeOutcome::KeyReused => Err(UsageError::KeyReused),
    }
}

/// Holds units for work that can fail, for `seconds` at most. If the future is dropped before it returns,
/// nothing is held.
///
/// A crash of the machine may release the units early; counting them later is durable.
pub async fn reserve(
    core: &Core,
    account: &AccountId,
    event: UsageEvent<'_>,
    seconds: i64,
) -> Result<Reserved, UsageError> {
    let (take, unclaimed) = reservation(core, &Terms::of(core, account).await?, event, seconds)?;
    let taken = core.meter().take(take).await;
    let reservation = unclaimed.claim(&taken);
    let (outcome, reading) = taken?;
    reserved(outcome, reading, reservation)
}

/// Counts a usage event as [`record`] and holds units of another meter as [`reserve`], in one transaction. If the
/// units are denied, or the same work was done before or is in progress, the event is not counted. The event is
/// durable once the units are counted.
///
/// # Panics
/// If both events are of the same meter.
pub async fn record_and_reserve(
    core: &Core,
    account: &AccountId,
    event: UsageEvent<'_>,
    work: UsageEvent<'_>,
    seconds: i64,
) -> Result<RecordedAndReserved, UsageError> {
    assert_ne!(event.meter, work.meter, "the two events are decided independently of each other");
    let terms = Terms::of(core, account).await?;
    let count = terms.take(event, None)?;
    let (reserve, unclaimed) = reservation(core, &terms, work, seconds)?;
    let taken = core.meter().take_both(count, reserve).await;
    let reservation = unclaimed.claim(&taken);
    let BothTaken { outcome, counted: event, reserved: work } = taken?;
    let work = outcome.map(|outcome| reserved(outcome, work, reservation)).transpose()?;
    Ok(RecordedAndReserved { event, work })
}

/// Builds the request for a reservation, with its release.
fn reservation(
    core: &Core,
    terms: &Terms<'_>,
    event: UsageEvent<'_>,
    seconds: i64,
) -> Result<(Take, Unclaimed), UsageError> {
    let id = ids::new_id();
    let take = terms.take(event, Some((id.clone(), terms.now.plus_seconds(seconds))))?;
    let held = HeldUnits { quantity: take.quantity, from_credits: 0, overage: 0, source: take.source.clone() };
    let reservation = Reservation { scope: Box::new(take.scope.clone()), key: take.key.clone(), id, held };
    // What it holds is known only after the decision.
    let release = Settle { held: None, ..end(core, &reservation, End::Release) };
    let unclaimed = Unclaimed { meter: core.meter().clone(), reservation, release: Some(release) };
    Ok((take, unclaimed))
}

fn reserved(outcome: TakeOutcome, reading: MeterReading, mut reservation: Reservation) -> Result<Reserved, UsageError> {
    match outcome {
        TakeOutcome::Taken(allocation) => {
            reservation.held.from_credits = stored(allocation.credits);
            reservation.held.overage = stored(allocation.overage);
            Ok(Reserved::Held(reservation, reading))
        }
        TakeOutcome::Repeated => Ok(Reserved::Repeated(reading)),
        TakeOutcome::InProgress => Ok(Reserved::InProgress(reading)),
        TakeOutcome::Denied => Ok(Reserved::Denied(reading)),
        TakeOutcome::KeyReused => Err(UsageError::KeyReused),
    }
}

/// A reservation not yet returned to its caller. A decision is committed even if the caller's future is
/// dropped; then the units are released here.
struct Unclaimed {
    meter: MeterWriter,
    reservation: Reservation,
    release: Option<Settle>,
}

impl Unclaimed {
    /// Returns the reservation once its request was decided. After an error it may have been committed, so it is
    /// released, except after `Busy`: that request was not and will not be decided.
    fn claim<T>(mut self, taken: &Result<T, StoreError>) -> Reservation {
        if matches!(taken, Ok(_) | Err(StoreError::Busy)) {
            self.release = None;
        }
        self.reservation.clone()
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        let Some(release) = self.release.take() else { return };
        // Without a runtime the program is exiting, and the reservation expires by itself.
        let Ok(runtime) = Handle::try_current() else { return };
        let meter = self.meter.clone();
        runtime.spawn(async move {
            if let Err(error) = meter.settle(release).await {
                tracing::warn!(%error, "cannot release a reservation; it will expire by itself");
            }
        });
    }
}

/// Counts reserved units whose work has succeeded. `response` is stored under the reservation's key,
/// in the same transaction. `None` if the reservation had expired and its units were released.
pub async fn commit(
    core: &Core,
    reservation: &Reservation,
    metadata: Option<String>,
    response: Option<String>,
) -> Result<Option<MeterReading>, StoreError> {
    core.meter().settle(end(core, reservation, End::Commit { metadata, response })).await
}

/// Releases reserved units whose work has failed. `None` if they were already released.
pub async fn release(core: &Core, reservation: &Reservation) -> Result<Option<MeterReading>, StoreError> {
    core.meter().settle(end(core, reservation, End::Release)).await
}

/// Returns the response that was stored when a reservation of this key was committed.
pub async fn kept_response(core: &Core, account: &AccountId, key: &str) -> Result<Option<String>, StoreError> {
    rows::response(core.db(), account, key).await
}

/// Releases every expired reservation, and returns their number. One that cannot be released does not hold up
/// the others: it is logged, and tried again the next time.
///
/// # Errors
/// Reservations released before the error stay released.
pub async fn release_expired(core: &Core) -> Result<u64, StoreError> {
    let (mut released, mut skipped) = (0, 0);
    loop {
        let now = core.now();
        let expired = rows::expired(core.db(), now, BATCH, skipped).await?;
        let is_last = i64::try_from(expired.len()).is_ok_and(|found| found < BATCH);
        // Together, so that they are decided in one transaction.
        for outcome in join_all(expired.into_iter().map(|expired| release_one(core, expired, now))).await {
            match outcome {
                Ok(true) => released += 1,
                Ok(false) => skipped += 1,
                Err(error) => {
                    tracing::error!(%error, "an expired reservation could not be released");
                    skipped += 1;
                }
            }
        }
        if is_last {
            return Ok(released);
        }
    }
}

/// Releases one expired reservation; `false` if it was already settled.
async fn release_one(
    core: &Core,
    expired: Result<ExpiredReservation, StoreError>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let expired = expired?;
    tracing::warn!(account = expired.account_id, meter = expired.meter, "a reservation has expired");
    let settle = Settle {
        scope: scope_of(&expired),
        key: expired.idempotency_key,
        reservation: expired.reservation_id,
        held: None,
        end: End::Release,
        now,
    };
    Ok(core.meter().settle(settle).await?.is_some())
}

/// Returns the counter of an expired reservation. Releasing reads no limit and starts no window. Units of a
/// meter that is no longer in the catalog are released too.
fn scope_of(reservation: &ExpiredReservation) -> CounterScope {
    let start = Timestamp(reservation.window_start);
    CounterScope {
        account: AccountId::new(&reservation.account_id),
        meter: Meter::stored(&reservation.meter),
        window: UsageWindow { start, end: start },
        subscription: None,
        limit: Limit::Unlimited,
        overage: Overage::Deny,
    }
}

fn end(core: &Core, reservation: &Reservation, end: End) -> Settle {
    let Reservation { scope, key, id, held } = reservation.clone();
    Settle { scope: *scope, key, reservation: id, held: Some(held), end, now: core.now() }
}

/// The terms on which an account uses its meters now.
struct Terms<'a> {
    account: &'a AccountId,
    subscriptions: Arc<Vec<Subscription>>,
    catalog: &'a Catalog,
    entitlement: Entitlement,
    now: Timestamp,
}

impl<'a> Terms<'a> {
    async fn of(core: &'a Core, account: &'a AccountId) -> Result<Self, StoreError> {
        let (catalog, now) = (core.catalog(), core.now());
        let subscriptions = core.cache().subscriptions(core.db(), account).await?;
        let entitlement = billing::entitlement(&subscriptions, catalog, now);
        Ok(Self { account, subscriptions, catalog, entitlement, now })
    }

    /// Returns the counter for usage of a meter.
    fn scope(&self, meter: Meter) -> CounterScope {
        let Self { subscriptions, catalog, entitlement, .. } = self;
        CounterScope {
            account: self.account.clone(),
            meter,
            window: usage_window(entitlement.window_anchor, self.now),
            subscription: entitlement.subscription().map(ToString::to_string),
            limit: entitlement.limit(meter),
            overage: billing::overage(subscriptions, catalog, entitlement, meter),
        }
    }

    fn take(&self, event: UsageEvent<'_>, reservation: Option<(String, Timestamp)>) -> Result<Take, UsageError> {
        let quantity = i64::try_from(event.quantity).ok().filter(|quantity| *quantity > 0);
        Ok(Take {
            quantity: quantity.ok_or(UsageError::Quantity)?,
            scope: self.scope(event.meter),
            key: event.key.to_owned(),
            is_new_key: event.is_new_key,
            fingerprint: event.fingerprint.to_owned(),
            source: event.source.unwrap_or_default().to_owned(),
            metadata: event.metadata,
            reservation,
            now: self.now,
        })
    }
}
