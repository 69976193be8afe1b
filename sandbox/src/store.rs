//! The state of the sandbox, and the journal that preserves it across crashes.
//!
//! All state consists of objects: Stripe's, and the sandbox's own, whose kind starts with `_`
//! (deliveries, requests, idempotency records, settings, the clock). Fields whose name starts with
//! `_` are likewise internal and never rendered.
//!
//! Invariant: transactions are atomic. A transaction writes in place and keeps an undo log. One
//! journal line holds all of its writes; when that line cannot be written, or the work fails or
//! panics, the writes are rolled back. The store is behind one lock, so intermediate states are never
//! visible. Proved by `restart_keeps_state`, `a_torn_last_line_is_ignored` and
//! `a_rollback_leaves_no_trace`.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock;
use crate::error::{ApiError, Error};
use crate::fields::Fields;
use crate::index::Index;
use crate::upcoming::Due;

/// The time that Stripe keeps an idempotency key, in seconds.
pub(crate) const IDEMPOTENCY_TTL: i64 = clock::DAY;
/// The number of finished deliveries, and of requests, that are kept across a restart.
const HISTORY: usize = 1_000;
/// The object that stores the offset of the clock.
const CLOCK: &str = "_clock";

/// An object and its position in the order of creation. A removed object is `null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    seq: u64,
    id: String,
    object: Value,
}

/// All objects by id, with their indexes.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: HashMap<String, Entry>,
    index: Index,
    next: u64,
    journal: Option<File>,
    /// The number of whole seconds that the sandbox's clock is ahead of real time; shared with applications.
    ahead: Arc<AtomicI64>,
}

impl Store {
    /// Opens a store: an empty one, or the one in the journal at `path`. The journal is compacted to
    /// one line per existing object.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let mut store = Self::default();
        let Some(path) = path else {
            return Ok(store);
        };
        let state = |source| Error::State { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(state)?;
        }
        if path.exists() {
            let text = std::fs::read(path).map_err(state)?;
            store.replay(&text, path)?;
        }
        let compacted = compacted_path(path);
        write_privately(&compacted, &store.compact()).map_err(state)?;
        std::fs::rename(&compacted, path).map_err(state)?;
        store.journal = Some(OpenOptions::new().append(true).open(path).map_err(state)?);
        Ok(store)
    }

    fn replay(&mut self, text: &[u8], path: &Path) -> Result<(), Error> {
        // Anything after the last newline is a torn write, which was never acknowledged.
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        for (index, line) in text[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let entries: Vec<Entry> = serde_json::from_slice(line).map_err(|source| Error::Journal {
                path: path.to_owned(),
                line: index + 1,
                source,
            })?;
            for entry in entries {
                self.next = self.next.max(entry.seq + 1);
                self.swap(entry);
            }
        }
        self.forget();
        Ok(())
    }

    /// Removes expired idempotency records and old history.
    fn forget(&mut self) {
        let now = self.now_millis() / 1000;
        let expired = |record: &&Value| record.int("created") + IDEMPOTENCY_TTL <= now;
        let finished = |delivery: &&Value| delivery.text("state") != "pending";
        let forgotten: Vec<String> = self
            .newest("_idempotency")
            .filter(expired)
            .chain(self.newest("_request").skip(HISTORY))
            .chain(self.newest("_delivery").filter(finished).skip(HISTORY))
            .map(|object| object.text("id").to_owned())
            .collect();
        for id in forgotten {
            self.swap(Entry { seq: 0, id, object: Value::Null });
        }
    }

    fn compact(&self) -> Vec<u8> {
        let mut kept: Vec<&Entry> = self.objects.values().collect();
        kept.sort_by_key(|entry| entry.seq);
        let mut text = Vec::new();
        for entry in kept {
            if let Ok(line) = serde_json::to_vec(&[entry]) {
                text.extend(line);
                text.push(b'\n');
            }
        }
        text
    }

    /// Writes an entry, where `null` removes the object, and returns the previous entry.
    fn swap(&mut self, entry: Entry) -> Option<Entry> {
        let before = self.objects.remove(&entry.id);
        if let Some(before) = &before {
            self.index.remove(before.seq, &before.id, &before.object);
        }
        if entry.id == CLOCK {
            self.ahead.store(entry.object.int("ahead"), Ordering::SeqCst);
        }
        if !entry.object.is_null() {
            self.index.add(entry.seq, &entry.id, &entry.object);
            self.objects.insert(entry.id.clone(), entry);
        }
        before
    }

    /// Returns the number of whole seconds that the clock is ahead of real time; it is kept up to date.
    pub(crate) fn ahead(&self) -> &Arc<AtomicI64> {
        &self.ahead
    }

    /// Returns the sandbox's time in milliseconds since 1970.
    pub(crate) fn now_millis(&self) -> i64 {
        clock::real_millis() + self.ahead.load(Ordering::SeqCst) * 1000
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Value> {
        self.objects.get(id).map(|entry| &entry.object)
    }

    /// Returns all objects of a kind, newest first.
    pub(crate) fn newest<'a>(&'a self, kind: &str) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a> {
        self.index.newest(kind).filter_map(|id| self.get(id))
    }

    /// Returns the number of objects of a kind.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.index.count(kind)
    }

    /// Returns all objects of a kind that refer to `id`, newest first.
    pub(crate) fn referring<'a>(
        &'a self,
        kind: &'a str,
        id: &str,
    ) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a> {
        self.all_referring(id).filter(move |object| object.text("object") == kind)
    }

    /// Returns all objects that refer to `id`, newest first.
    pub(crate) fn all_referring<'a>(&'a self, id: &str) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a> {
        self.index.referring(id).filter_map(|id| self.get(id))
    }

    /// Returns upcoming changes, earliest first: time, change, and id of the object.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = (i64, Due, &str)> {
        self.index.upcoming()
    }

    /// Returns each endpoint with its pending deliveries, the next one first.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = (i64, &str)>)> {
        self.index.queues()
    }

    /// Runs `work` in a transaction. Commits if it succeeds, or if it fails with an error that keeps its
    /// writes.
    pub(crate) fn transaction<T>(
        &mut self,
        origin: Origin,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let now = self.now_millis() / 1000;
        let mut tx = Tx { now, next: self.next, undo: Vec::new(), store: self, origin };
        let outcome = work(&mut tx);
        if outcome.as_ref().err().is_none_or(ApiError::keeps_writes) {
            tx.commit()?;
        }
        outcome
    }
}

/// Appends a commit as one line. A partial write is truncated, so that the next commit starts on a new
/// line.
fn append(journal: &mut File, entries: &[Entry]) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(entries)?;
    line.push(b'\n');
    let length = journal.metadata()?.len();
    journal.write_all(&line).or_else(|error| journal.set_len(length).and(Err(error)))
}

/// Writes a new file that only its owner can read: it holds the names and addresses of customers.
fn write_privately(path: &Path, text: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut create = OpenOptions::new();
    create.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
    create.open(path)?.write_all(text)
}

fn compacted_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".compact");
    PathBuf::from(name)
}

/// The origin of a transaction, as events and URLs show it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// `req_…`; `None` when no API call caused the change.
    pub(crate) request: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    /// The base URL of hosted pages, `http://127.0.0.1:12111`.
    pub(crate) base: String,
}

/// A transaction on the store. Dropping it without a commit rolls it back.
pub(crate) struct Tx<'a> {
    store: &'a mut Store,
    /// The undo log: the previous entry for each write, in order.
    undo: Vec<(String, Option<Entry>)>,
    /// The store's sequence counter at the start.
    next: u64,
    now: i64,
    pub(crate) origin: Origin,
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if self.undo.is_empty() {
            return;
        }
        while let Some((id, before)) = self.undo.pop() {
            self.store.swap(before.unwrap_or(Entry { seq: 0, id, object: Value::Null }));
        }
        self.store.next = self.next;
    }
}

impl Tx<'_> {
    /// Appends the writes to the journal; if that fails, they are rolled back.
    fn commit(mut self) -> Result<(), ApiError> {
        if let Some(mut journal) = self.store.journal.take() {
            let outcome = append(&mut journal, &self.written());
            self.store.journal = Some(journal);
            if let Err(error) = outcome {
                tracing::error!(%error, "the sandbox cannot write its state file");
                return Err(ApiError::internal("The sandbox cannot write its state file."));
            }
        }
        self.undo.clear();
        Ok(())
    }

    /// Returns every written object in its current state.
    fn written(&self) -> Vec<Entry> {
        let entry = |id: &str| {
            let gone = || Entry { seq: 0, id: id.to_owned(), object: Value::Null };
            self.store.objects.get(id).cloned().unwrap_or_else(gone)
        };
        self.touched().into_iter().map(entry).collect()
    }

    /// Returns the ids of the objects written so far.
    pub(crate) fn touched(&self) -> BTreeSet<&str> {
        self.undo.iter().map(|(id, _)| id.as_str()).collect()
    }

    /// Returns the sandbox's time in seconds since 1970; it is constant within a transaction.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Runs `work` at an earlier time, so that changes that were due in the past happen at their due time.
    pub(crate) fn at<T>(&mut self, moment: i64, work: impl FnOnce(&mut Self) -> T) -> T {
        let now = self.now;
        self.now = moment.min(now);
        let outcome = work(self);
        self.now = now;
        outcome
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Value> {
        self.store.get(id)
    }

    /// Returns the object with an id if it is of the given kind.
    pub(crate) fn lookup(&self, kind: &str, id: &str) -> Option<&Value> {
        self.get(id).filter(|object| object.text("object") == kind)
    }

    /// Returns the object that a path names, or a 404 error.
    pub(crate) fn find(&self, kind: &str, id: &str) -> Result<Value, ApiError> {
        self.lookup(kind, id).cloned().ok_or_else(|| ApiError::missing(kind, id))
    }

    /// Returns the object that a parameter names, or a 400 error.
    pub(crate) fn named(&self, kind: &str, id: &str, param: &str) -> Result<Value, ApiError> {
        self.lookup(kind, id).cloned().ok_or_else(|| ApiError::missing_param(kind, id, param))
    }

    /// Returns all objects of a kind, newest first.
    pub(crate) fn newest<'t>(&'t self, kind: &str) -> impl DoubleEndedIterator<Item = &'t Value> + use<'t> {
        self.store.newest(kind)
    }

    /// Returns all objects of a kind that refer to `id`, newest first.
    pub(crate) fn referring<'t>(
        &'t self,
        kind: &'t str,
        id: &str,
    ) -> impl DoubleEndedIterator<Item = &'t Value> + use<'t> {
        self.store.referring(kind, id)
    }

    /// Returns the ids of all objects of a kind that refer to `id`, newest first.
    pub(crate) fn ids_referring(&self, kind: &str, id: &str) -> Vec<String> {
        self.referring(kind, id).map(|object| object.text("id").to_owned()).collect()
    }

    /// Returns the next upcoming change.
    pub(crate) fn next_due(&self) -> Option<(i64, Due, String)> {
        self.store.upcoming().next().map(|(moment, due, id)| (moment, due, id.to_owned()))
    }

    /// Removes the oldest objects of a kind until at most `most` remain.
    pub(crate) fn trim(&mut self, kind: &str, most: usize) {
        let surplus = self.store.count(kind).saturating_sub(most);
        let oldest: Vec<String> =
            self.newest(kind).rev().take(surplus).map(|object| object.text("id").to_owned()).collect();
        for id in oldest {
            self.remove(&id);
        }
    }

    /// Writes an object under its `id`.
    pub(crate) fn put(&mut self, object: Value) {
        self.write(object.text("id").to_owned(), object);
    }

    /// Writes an object that has no `id` field.
    pub(crate) fn put_as(&mut self, id: String, object: Value) {
        self.write(id, object);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.write(id.to_owned(), Value::Null);
    }

    fn write(&mut self, id: String, object: Value) {
        let seq = match self.store.objects.get(&id) {
            Some(entry) => entry.seq,
            None => {
                self.store.next += 1;
                self.store.next
            }
        };
        let before = self.store.swap(Entry { seq, id: id.clone(), object });
        self.undo.push((id, before));
    }

    /// Changes an object without an event.
    pub(crate) fn quietly(&mut self, id: &str, work: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.get(id).cloned() {
            work(&mut object);
            self.write(id.to_owned(), object);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(store: &Store) -> Vec<String> {
        store.newest("customer").map(|customer| customer.text("name").to_owned()).collect()
    }

    #[test]
    fn a_rollback_leaves_no_trace() {
        let mut store = Store::default();
        let customer = |name: &str| json!({ "id": format!("cus_{name}"), "object": "customer", "name": name });
        let session = json!({
            "id": "cs_1", "object": "checkout.session", "status": "open", "expires_at": 7, "customer": "cus_a",
        });
        let kept = store.transaction(Origin::default(), |tx| {
            tx.put(customer("a"));
            tx.put(session.clone());
            Ok(())
        });
        kept.expect("commits");
        let undone: Result<(), _> = store.transaction(Origin::default(), |tx| {
            tx.put(customer("b"));
            tx.quietly("cus_a", |customer| customer.set("name", "changed"));
            tx.quietly("cs_1", |session| session.set("status", "expired"));
            tx.remove("cus_a");
            assert!(tx.next_due().is_none() && tx.referring("checkout.session", "cus_a").count() == 1);
            Err(ApiError::invalid("", "no"))
        });
        undone.expect_err("fails");
        assert_eq!(names(&store), ["a"]);
        assert_eq!(store.upcoming().collect::<Vec<_>>(), [(7, Due::ExpireSession, "cs_1")]);
        assert_eq!(store.referring("checkout.session", "cus_a").count(), 1);
        let again = store.transaction(Origin::default(), |tx| {
            tx.put(customer("c"));
            Ok(())
        });
        again.expect("commits");
        assert_eq!(names(&store), ["c", "a"], "newest first");
    }
}
