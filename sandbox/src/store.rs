//! Everything the sandbox remembers, and the journal that lets it survive a kill.
//!
//! All of it is objects: Stripe's own, and the sandbox's, whose kind starts with `_`
//! (deliveries, requests, idempotency records, settings, the clock). A field that starts with
//! `_` is likewise ours and is never rendered.
//!
//! Invariant: a transaction is whole or absent. It writes in place and remembers what was there
//! before; one journal line holds all of it, and when that line cannot be written, or the work
//! fails or panics, everything is put back. Nobody looks meanwhile: the store is behind one
//! lock. Proved by `restart_keeps_state`, `a_torn_last_line_is_ignored` and
//! `what_was_undone_leaves_no_trace`.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agenda::Due;
use crate::clock;
use crate::error::{ApiError, Error};
use crate::fields::Fields;
use crate::index::Index;

/// How long Stripe remembers an idempotency key.
pub(crate) const IDEMPOTENCY_LIFE: i64 = clock::DAY;
/// How many finished deliveries and how many requests outlive a restart.
const HISTORY: usize = 1_000;
/// The object that says how far the clock is ahead.
const CLOCK: &str = "_clock";

/// An object and its place in the order of creation. A removed object is `null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    seq: u64,
    id: String,
    object: Value,
}

/// All objects by id, and where else to find them.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: HashMap<String, Entry>,
    index: Index,
    next: u64,
    journal: Option<File>,
    /// Whole seconds that the sandbox's clock is ahead of real time, for others to follow.
    ahead: Arc<AtomicI64>,
}

impl Store {
    /// An empty store, or the one that a journal describes. The journal is compacted: one line
    /// per object that is still there.
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
        std::fs::write(&compacted, store.compact()).map_err(state)?;
        std::fs::rename(&compacted, path).map_err(state)?;
        store.journal = Some(OpenOptions::new().append(true).open(path).map_err(state)?);
        Ok(store)
    }

    fn replay(&mut self, text: &[u8], path: &Path) -> Result<(), Error> {
        // What follows the last newline was never answered for: a torn write.
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

    /// Lets go of what need not be kept for ever.
    fn forget(&mut self) {
        let now = self.now_millis() / 1000;
        let expired = |record: &&Value| record.int("created") + IDEMPOTENCY_LIFE <= now;
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

    /// Writes an entry (`null` removes) and gives the one that was there.
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

    /// Whole seconds that the clock is ahead of real time, kept current.
    pub(crate) fn ahead(&self) -> &Arc<AtomicI64> {
        &self.ahead
    }

    /// The sandbox's time in milliseconds since 1970.
    pub(crate) fn now_millis(&self) -> i64 {
        clock::real_millis() + self.ahead.load(Ordering::SeqCst) * 1000
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Value> {
        self.objects.get(id).map(|entry| &entry.object)
    }

    /// All objects of a kind, newest first.
    pub(crate) fn newest<'a>(&'a self, kind: &str) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a> {
        self.index.newest(kind).filter_map(|id| self.get(id))
    }

    /// How many objects of a kind there are.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.index.count(kind)
    }

    /// All objects of a kind that name `id`, newest first.
    pub(crate) fn referring<'a>(
        &'a self,
        kind: &'a str,
        id: &str,
    ) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a> {
        self.all_referring(id).filter(move |object| object.text("object") == kind)
    }

    /// All objects that name `id`, newest first.
    pub(crate) fn all_referring<'a>(&'a self, id: &str) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a> {
        self.index.referring(id).filter_map(|id| self.get(id))
    }

    /// What falls due, earliest first: moment, what, and of which object.
    pub(crate) fn agenda(&self) -> impl Iterator<Item = (i64, Due, &str)> {
        self.index.agenda()
    }

    /// Each endpoint with its pending deliveries, the next one first.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = (i64, &str)>)> {
        self.index.queues()
    }

    /// Runs `work` in a transaction and commits it, unless it fails with an error that leaves
    /// nothing behind.
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

/// Writes a commit as one line; what is written of it in vain is taken back, so that the next
/// commit starts on a line of its own.
fn append(journal: &mut File, entries: &[Entry]) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(entries)?;
    line.push(b'\n');
    let length = journal.metadata()?.len();
    journal.write_all(&line).or_else(|error| journal.set_len(length).and(Err(error)))
}

fn compacted_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".compact");
    PathBuf::from(name)
}

/// Who asked for a transaction, as events and urls tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// `req_…`; `None` when time itself caused the change.
    pub(crate) request: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    /// `http://127.0.0.1:12111`, for links to hosted pages.
    pub(crate) base: String,
}

/// The store while it is being changed. Dropped without a commit, it puts everything back.
pub(crate) struct Tx<'a> {
    store: &'a mut Store,
    /// What was there before each write, in the order of the writes.
    undo: Vec<(String, Option<Entry>)>,
    /// The store's counter at the beginning.
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
    /// Makes the writes durable; when that fails they are undone.
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

    /// Every object that was written, as it is now.
    fn written(&self) -> Vec<Entry> {
        let entry = |id: &str| {
            let gone = || Entry { seq: 0, id: id.to_owned(), object: Value::Null };
            self.store.objects.get(id).cloned().unwrap_or_else(gone)
        };
        self.touched().into_iter().map(entry).collect()
    }

    /// The ids of what was written so far.
    pub(crate) fn touched(&self) -> BTreeSet<&str> {
        self.undo.iter().map(|(id, _)| id.as_str()).collect()
    }

    /// The sandbox's time in seconds since 1970; one moment for the whole transaction.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Does work at an earlier moment: what was due while nobody looked happens when it was due.
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

    /// The object of that id if it is of that kind.
    pub(crate) fn lookup(&self, kind: &str, id: &str) -> Option<&Value> {
        self.get(id).filter(|object| object.text("object") == kind)
    }

    /// The object that a path names, or 404.
    pub(crate) fn find(&self, kind: &str, id: &str) -> Result<Value, ApiError> {
        self.lookup(kind, id).cloned().ok_or_else(|| ApiError::missing(kind, id))
    }

    /// The object that a parameter names, or 400.
    pub(crate) fn named(&self, kind: &str, id: &str, param: &str) -> Result<Value, ApiError> {
        self.lookup(kind, id).cloned().ok_or_else(|| ApiError::missing_param(kind, id, param))
    }

    /// The customer that a parameter names; a deleted one is as good as none.
    pub(crate) fn customer(&self, id: &str) -> Result<Value, ApiError> {
        self.named("customer", id, "customer").and_then(|customer| match customer.flag("deleted") {
            true => Err(ApiError::missing_param("customer", id, "customer")),
            false => Ok(customer),
        })
    }

    /// All objects of a kind, newest first.
    pub(crate) fn newest<'t>(&'t self, kind: &str) -> impl DoubleEndedIterator<Item = &'t Value> + use<'t> {
        self.store.newest(kind)
    }

    /// All objects of a kind that name `id`, newest first.
    pub(crate) fn referring<'t>(
        &'t self,
        kind: &'t str,
        id: &str,
    ) -> impl DoubleEndedIterator<Item = &'t Value> + use<'t> {
        self.store.referring(kind, id)
    }

    /// The ids of all objects of a kind that name `id`, newest first.
    pub(crate) fn ids_referring(&self, kind: &str, id: &str) -> Vec<String> {
        self.referring(kind, id).map(|object| object.text("id").to_owned()).collect()
    }

    /// What falls due next.
    pub(crate) fn next_due(&self) -> Option<(i64, Due, String)> {
        self.store.agenda().next().map(|(moment, due, id)| (moment, due, id.to_owned()))
    }

    /// Removes the oldest objects of a kind beyond `most`.
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

    /// Writes an object that has no `id` of its own.
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
    fn what_was_undone_leaves_no_trace() {
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
        assert_eq!(store.agenda().collect::<Vec<_>>(), [(7, Due::ExpireSession, "cs_1")]);
        assert_eq!(store.referring("checkout.session", "cus_a").count(), 1);
        let again = store.transaction(Origin::default(), |tx| {
            tx.put(customer("c"));
            Ok(())
        });
        again.expect("commits");
        assert_eq!(names(&store), ["c", "a"], "newest first");
    }
}
