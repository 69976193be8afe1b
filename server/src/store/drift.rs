//! What comparing with Stripe has found, followed from the run that saw it first to the one that
//! mended it or found it gone.

use billing::Timestamp;

use super::After;
use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    BEGIN_RUN = "INSERT INTO reconcile_run (id, is_dry, started_at) SELECT $1, $2, $3 \
        WHERE NOT EXISTS (SELECT 1 FROM reconcile_run WHERE started_at > $4 AND NOT is_dry AND error IS NULL)";
    END_RUN = "UPDATE reconcile_run SET finished_at = $2, error = $3 WHERE id = $1";
    SEE_AGAIN = "UPDATE drift SET sentence = $2, state = $3, seen_at = $4, run_id = $5 WHERE key = $1 AND state = 'left'";
    INSERT_DRIFT = "INSERT INTO drift (id, key, kind, subject, sentence, state, found_at, seen_at, run_id) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)";
    CLOSE_GONE = "UPDATE drift SET state = 'gone', seen_at = $2 WHERE state = 'left' AND run_id <> $1 AND kind = $3 \
        AND seen_at <= (SELECT started_at FROM reconcile_run WHERE id = $1) \
        AND (kind <> 'missed_event' OR EXISTS (SELECT 1 FROM webhook_event e WHERE e.event_id = drift.subject)) \
        AND NOT EXISTS (SELECT 1 FROM drift n WHERE n.run_id = $1 AND n.kind = 'not_compared' AND n.subject = drift.subject)";
    LATEST_RUN = "SELECT id, is_dry, started_at, finished_at, error FROM reconcile_run \
        WHERE finished_at IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1";
    COUNT_LEFT = "SELECT kind, COUNT(*) FROM drift WHERE state = 'left' GROUP BY kind ORDER BY kind";
    LIST_DRIFT = "SELECT id, kind, subject, sentence, state, found_at, seen_at FROM drift \
        WHERE ($1 = '' OR state = $1) AND ($2 = '' OR kind = $2) AND ($3 = '' OR subject = $3) \
        AND (found_at < $4 OR (found_at = $4 AND id < $5)) ORDER BY found_at DESC, id DESC LIMIT $6";
    FORGET_DRIFT = "DELETE FROM drift WHERE seen_at < $1";
    FORGET_RUNS = "DELETE FROM reconcile_run WHERE started_at < $1 \
        AND NOT EXISTS (SELECT 1 FROM drift WHERE drift.run_id = reconcile_run.id)";
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

/// One difference, as a run has found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What every run that finds it calls it by.
    pub key: String,
    /// Its class, such as `missed_event`.
    pub kind: String,
    /// Stripe's id of what it is about.
    pub subject: String,
    /// What differs, for people.
    pub sentence: String,
    /// Whether it does not any more.
    pub is_mended: bool,
}

/// What became of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftState {
    /// It is there still.
    Left,
    /// It was mended by the run that saw it last.
    Mended,
    /// A later run did not find it any more.
    Gone,
}

impl DriftState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Left, Self::Mended, Self::Gone];

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Mended => "mended",
            Self::Gone => "gone",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One difference, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    /// Ours.
    pub id: String,
    /// Its class, such as `missed_event`.
    pub kind: String,
    /// Stripe's id of what it is about.
    pub subject: String,
    /// What differs, for people, as of the last run that saw it.
    pub sentence: String,
    /// The word of its [`DriftState`].
    pub state: String,
    /// When a run saw it first. Epoch seconds.
    pub found_at: i64,
    /// When a run saw it last, or found that it is gone. Epoch seconds.
    pub seen_at: i64,
}

/// Which differences a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those in this state.
    pub state: Option<DriftState>,
    /// Those of this class.
    pub kind: Option<String>,
    /// Those about this object.
    pub subject: Option<String>,
}

/// Begins a run, unless another one, of whatever node, began to mend after `busy_since` and was not
/// kept from it. `false` then.
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

/// Writes down what a run has found, or why it did not come to its end. What was there when it began
/// and was not found any more is gone, if the run has `seen_whole` what there is of that class; but an
/// event that was missed is only once it is here, because not every run looks as far back.
///
/// # Errors
/// The database failed.
pub async fn end(
    tx: &mut Tx,
    run: &str,
    found: &[Found],
    seen_whole: &[&str],
    error: Option<&str>,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.lock("reconcile_run").await?;
    for (place, one) in found.iter().enumerate() {
        let state = if one.is_mended { DriftState::Mended } else { DriftState::Left }.as_str();
        let (key, sentence) = (one.key.as_str(), one.sentence.as_str());
        if query!(Tx: &mut *tx, execute, SEE_AGAIN, key, sentence, state, at.0, run)? == 0 {
            let id = format!("{run}-{place:06}");
            query!(Tx: &mut *tx, execute, INSERT_DRIFT, id, key, one.kind.as_str(), one.subject.as_str(), sentence,
                state, at.0, run)?;
        }
    }
    for kind in seen_whole {
        query!(Tx: &mut *tx, execute, CLOSE_GONE, run, at.0, *kind)?;
    }
    query!(Tx: tx, execute, END_RUN, run, at.0, error).map(drop)
}

/// The latest run that came to an end.
///
/// # Errors
/// The database failed.
pub async fn latest(db: &Db) -> Result<Option<Run>, StoreError> {
    query!(Db: db, fetch_optional as Run, LATEST_RUN)
}

/// How many differences of each class are there still.
///
/// # Errors
/// The database failed.
pub async fn count_left(db: &Db) -> Result<Vec<(String, i64)>, StoreError> {
    query!(Db: db, fetch_all as (String, i64), COUNT_LEFT)
}

/// The newest differences that a filter lets through, page by page.
///
/// # Errors
/// The database failed.
pub async fn list(db: &Db, filter: &Filter, after: &After, most: i64) -> Result<Vec<Listed>, StoreError> {
    let state = filter.state.map_or("", DriftState::as_str);
    let (kind, subject) = (filter.kind.as_deref().unwrap_or_default(), filter.subject.as_deref().unwrap_or_default());
    query!(Db: db, fetch_all as Listed, LIST_DRIFT, state, kind, subject, after.at.0, after.key.as_str(), most)
}

/// Forgets what no run has seen since `before`, and the runs of that time.
///
/// # Errors
/// The database failed.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<(), StoreError> {
    query!(Tx: &mut *tx, execute, FORGET_DRIFT, before.0)?;
    query!(Tx: tx, execute, FORGET_RUNS, before.0).map(drop)
}
