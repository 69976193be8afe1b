//! Differences found by reconciliation, tracked from the run that first saw one to the run that fixed it
//! or found it resolved.

use billing::Timestamp;

use super::row::RowRef;
use super::{Cursor, Db, StoreError, Tx, Value, columns, statements, values};

/// Differences, newest first.
macro_rules! listed {
    ($condition:literal) => {
        concat!(
            "SELECT id, kind, subject, description, state, found_at, seen_at FROM drift WHERE ",
            $condition,
            " ORDER BY found_at DESC, id DESC LIMIT $3"
        )
    };
}

statements! {
    BEGIN_RUN = "INSERT INTO reconcile_run (id, is_dry, started_at) SELECT $1, $2, $3 \
        WHERE NOT EXISTS (SELECT 1 FROM reconcile_run WHERE started_at > $4 AND NOT is_dry AND error IS NULL)";
    END_RUN = "UPDATE reconcile_run SET finished_at = $2, error = $3 WHERE id = $1";
    SEEN_AGAIN = "UPDATE drift SET description = $2, state = $3, seen_at = $4, run_id = $5 WHERE key = $1 AND state = 'open'";
    INSERT = "INSERT INTO drift (id, key, kind, subject, description, state, found_at, seen_at, run_id) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)";
    RESOLVE = "UPDATE drift SET state = 'resolved', seen_at = $2 WHERE state = 'open' AND run_id <> $1 AND kind = $3 \
        AND seen_at <= (SELECT started_at FROM reconcile_run WHERE id = $1) \
        AND (kind <> 'missed_event' OR EXISTS (SELECT 1 FROM webhook_event e WHERE e.event_id = drift.subject)) \
        AND NOT EXISTS (SELECT 1 FROM drift n WHERE n.run_id = $1 AND n.kind = 'not_compared' AND n.subject = drift.subject)";
    LATEST_RUN = "SELECT id, is_dry, started_at, finished_at, error FROM reconcile_run \
        WHERE finished_at IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1";
    LAST_COMPLETE = "SELECT MAX(started_at) FROM reconcile_run WHERE finished_at IS NOT NULL AND error IS NULL AND NOT is_dry";
    COUNT_OPEN = "SELECT kind, COUNT(*) AS open FROM drift WHERE state = 'open' GROUP BY kind ORDER BY kind";
    LIST = listed!("(found_at, id) < ($1, $2)");
    LIST_OF_STATE = listed!("state = $4 AND (found_at, id) < ($1, $2)");
    LIST_OF_KIND = listed!("kind = $5 AND state = $4 AND (found_at, id) < ($1, $2)");
    LIST_OF_SUBJECT = listed!("subject = $6 AND ($4 = '' OR state = $4) AND ($5 = '' OR kind = $5) AND (found_at, id) < ($1, $2)");
    FORGET = "DELETE FROM drift WHERE seen_at < $1";
    FORGET_RUNS = "DELETE FROM reconcile_run WHERE started_at < $1 \
        AND NOT EXISTS (SELECT 1 FROM drift WHERE drift.run_id = reconcile_run.id)";
}

/// One reconciliation with Stripe.
#[derive(Clone, Debug)]
pub struct Run {
    /// Our id of the run.
    pub id: String,
    /// Whether it was a dry run.
    pub is_dry: bool,
    /// Epoch seconds.
    pub started_at: i64,
    /// Epoch seconds.
    pub finished_at: Option<i64>,
    /// The error that ended it early.
    pub error: Option<String>,
}

columns!(Run { id, is_dry, started_at, finished_at, error });

/// A difference found by a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The difference's identity across runs.
    pub key: String,
    /// Its class, such as `missed_event`.
    pub kind: String,
    /// The id of the object in Stripe.
    pub subject: String,
    /// A sentence that describes the difference.
    pub description: String,
    /// Whether this run fixed it.
    pub is_fixed: bool,
}

/// The state of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftState {
    /// It still exists.
    Open,
    /// The last run that saw it fixed it.
    Fixed,
    /// A later run did not find it.
    Resolved,
}

impl DriftState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Fixed, Self::Resolved];

    /// Returns the text stored in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Fixed => "fixed",
            Self::Resolved => "resolved",
        }
    }

    /// Reads the text stored in the database.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A difference in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftEntry {
    /// Our id, which orders entries of the same time.
    pub id: String,
    /// Its class, such as `missed_event`.
    pub kind: String,
    /// The id of the object in Stripe.
    pub subject: String,
    /// The description by the last run that saw it.
    pub description: String,
    /// Whether it still exists, was fixed, or is gone.
    pub state: DriftState,
    /// When a run first saw it.
    pub found_at: Timestamp,
    /// When a run last saw it, or found it resolved.
    pub seen_at: Timestamp,
}

struct DriftRow {
    id: String,
    kind: String,
    subject: String,
    description: String,
    state: String,
    found_at: i64,
    seen_at: i64,
}

columns!(DriftRow { id, kind, subject, description, state, found_at, seen_at });

impl DriftRow {
    fn read(self) -> Result<DriftEntry, StoreError> {
        let at = RowRef { table: "drift", row: &self.id };
        Ok(DriftEntry {
            state: DriftState::parse(&self.state).ok_or_else(|| at.corrupt("state", &self.state))?,
            id: self.id,
            kind: self.kind,
            subject: self.subject,
            description: self.description,
            found_at: Timestamp(self.found_at),
            seen_at: Timestamp(self.seen_at),
        })
    }
}

/// The filter of a list of differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftFilter {
    /// Only those in this state.
    pub state: Option<DriftState>,
    /// Only those of this class.
    pub kind: Option<String>,
    /// Only those about this object.
    pub subject: Option<String>,
}

/// Begins a run. `false` if a repairing run on any node has begun after `busy_since` without an error.
pub async fn begin(
    tx: &mut Tx,
    run: &str,
    is_dry: bool,
    at: Timestamp,
    busy_since: Timestamp,
) -> Result<bool, StoreError> {
    tx.lock("reconcile_run").await?;
    Ok(tx.execute(BEGIN_RUN, values![run, is_dry, at.0, busy_since.0]).await? > 0)
}

/// Records a run's findings, and the error if it did not complete. A difference that was open when the
/// run began and was not found is resolved, if the run has compared its class completely; a missed event
/// only once it is stored, because runs look back over different periods.
pub async fn end(
    tx: &mut Tx,
    run: &str,
    found: &[Found],
    complete_kinds: &[&str],
    error: Option<&str>,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.lock("reconcile_run").await?;
    for (place, one) in found.iter().enumerate() {
        let state = if one.is_fixed { DriftState::Fixed } else { DriftState::Open }.as_str();
        let (key, description) = (one.key.as_str(), one.description.as_str());
        if tx.execute(SEEN_AGAIN, values![key, description, state, at.0, run]).await? == 0 {
            let id = format!("{run}-{place:06}");
            let (kind, subject) = (one.kind.as_str(), one.subject.as_str());
            tx.execute(INSERT, values![id, key, kind, subject, description, state, at.0, run]).await?;
        }
    }
    for kind in complete_kinds {
        tx.execute(RESOLVE, values![run, at.0, *kind]).await?;
    }
    tx.execute(END_RUN, values![run, at.0, error]).await.map(drop)
}

/// Returns the latest finished run.
pub async fn latest_run(db: &Db) -> Result<Option<Run>, StoreError> {
    db.fetch_optional(LATEST_RUN, values![]).await
}

/// When the last run began that compared everything and repaired what it found.
pub async fn last_complete(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    Ok(db.fetch_one::<(Option<i64>,)>(LAST_COMPLETE, values![]).await?.0.map(Timestamp))
}

/// The number of open differences of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCount {
    /// The class.
    pub kind: String,
    /// The number of open differences.
    pub open: i64,
}

columns!(OpenCount { kind, open });

/// Counts the open differences of each class.
pub async fn count_open(db: &Db) -> Result<Vec<OpenCount>, StoreError> {
    db.fetch_all(COUNT_OPEN, values![]).await
}

/// Reads a page of the differences that match a filter, newest first. Each statement reads only what it returns, from
/// an index of its own; those about one object are few.
pub async fn list(db: &Db, filter: &DriftFilter, after: &Cursor, limit: i64) -> Result<Vec<DriftEntry>, StoreError> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (kind, subject) = (text(&filter.kind), text(&filter.subject));
    let state = filter.state.map_or("", DriftState::as_str);
    let place = values![after.at.0, after.key.as_str(), limit];
    let with = |more: Vec<Value>| [place.clone(), more].concat();
    let mut rows: Vec<DriftRow> = if !subject.is_empty() {
        db.fetch_all(LIST_OF_SUBJECT, with(values![state, kind, subject])).await?
    } else if !kind.is_empty() {
        let mut rows = Vec::new();
        for state in DriftState::ALL.into_iter().filter(|state| filter.state.is_none_or(|only| only == *state)) {
            rows.extend(db.fetch_all(LIST_OF_KIND, with(values![state.as_str(), kind.as_str()])).await?);
        }
        rows
    } else if !state.is_empty() {
        db.fetch_all(LIST_OF_STATE, with(values![state])).await?
    } else {
        db.fetch_all(LIST, place).await?
    };
    rows.sort_by(|a, b| (b.found_at, &b.id).cmp(&(a.found_at, &a.id)));
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    rows.into_iter().map(DriftRow::read).collect()
}

/// Deletes differences that no run has seen since `before`, and older runs.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<(), StoreError> {
    tx.execute(FORGET, values![before.0]).await?;
    tx.execute(FORGET_RUNS, values![before.0]).await.map(drop)
}
