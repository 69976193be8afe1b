//! What comparing with Stripe has found.

use billing::Timestamp;

use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    BEGIN_RUN = "INSERT INTO reconcile_run (id, is_dry, started_at) SELECT $1, $2, $3 \
        WHERE NOT EXISTS (SELECT 1 FROM reconcile_run WHERE started_at > $4)";
    END_RUN = "UPDATE reconcile_run SET finished_at = $2, error = $3 WHERE id = $1";
    INSERT_DRIFT = "INSERT INTO drift (run_id, place, kind, subject, sentence, is_mended) VALUES ($1, $2, $3, $4, $5, $6)";
    LATEST_RUN = "SELECT id, is_dry, started_at, finished_at, error FROM reconcile_run \
        WHERE finished_at IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1";
    DRIFT_OF_RUN = "SELECT kind, subject, sentence, is_mended FROM drift WHERE run_id = $1 ORDER BY place";
    FORGET_DRIFT = "DELETE FROM drift WHERE run_id IN (SELECT id FROM reconcile_run WHERE started_at < $1)";
    FORGET_RUNS = "DELETE FROM reconcile_run WHERE started_at < $1";
}

/// One comparison with Stripe.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Whether it only looked.
    pub is_dry: bool,
    /// Epoch seconds.
    pub started_at: i64,
    /// Epoch seconds.
    pub finished_at: Option<i64>,
    /// Why it did not come to its end.
    pub error: Option<String>,
}

/// One difference that was found.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Found {
    /// Its class, such as `missed_event`.
    pub kind: String,
    /// Stripe's id of what it is about.
    pub subject: String,
    /// What differs, for people.
    pub sentence: String,
    /// Whether it does not any more.
    pub is_mended: bool,
}

/// Begins a run, unless another one, of whatever node, began after `busy_since`. `false` then.
///
/// # Errors
/// The database failed.
pub async fn begin(
    tx: &mut Tx,
    run: &str,
    is_dry: bool,
    at: Timestamp,
    busy_since: Timestamp,
) -> Result<bool, StoreError> {
    tx.lock("reconcile_run").await?;
    query!(Tx: tx, execute, BEGIN_RUN, run, is_dry, at.0, busy_since.0).map(|begun| begun > 0)
}

/// Writes down what a run has found, or why it did not come to its end.
///
/// # Errors
/// The database failed.
pub async fn end(
    tx: &mut Tx,
    run: &str,
    found: &[Found],
    error: Option<&str>,
    at: Timestamp,
) -> Result<(), StoreError> {
    for (place, one) in found.iter().enumerate() {
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        query!(Tx: &mut *tx, execute, INSERT_DRIFT, run, place, one.kind.as_str(), one.subject.as_str(),
            one.sentence.as_str(), one.is_mended)?;
    }
    query!(Tx: tx, execute, END_RUN, run, at.0, error).map(drop)
}

/// The latest run that came to an end, with what it found.
///
/// # Errors
/// The database failed.
pub async fn latest(db: &Db) -> Result<Option<(Run, Vec<Found>)>, StoreError> {
    let Some(run) = query!(Db: db, fetch_optional as Run, LATEST_RUN)? else { return Ok(None) };
    let found = query!(Db: db, fetch_all as Found, DRIFT_OF_RUN, run.id.as_str())?;
    Ok(Some((run, found)))
}

/// Forgets runs that began before `before`.
///
/// # Errors
/// The database failed.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<(), StoreError> {
    query!(Tx: &mut *tx, execute, FORGET_DRIFT, before.0)?;
    query!(Tx: tx, execute, FORGET_RUNS, before.0).map(drop)
}
