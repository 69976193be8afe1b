//! Everything the sandbox remembers, and the journal that lets it survive a kill.
//!
//! All of it is objects: Stripe's own, and the sandbox's, whose kind starts with `_`
//! (deliveries, idempotency records, the clock). A field that starts with `_` is likewise ours
//! and is never rendered.
//!
//! Invariant: a transaction is whole or absent. It collects its writes beside the store, one
//! journal line holds all of them, and only when that line is written do they become visible.
//! Proved by `restart_keeps_state` and `a_torn_last_line_is_ignored`.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::error::{ApiError, Error};
use crate::events;
use crate::fields::Fields;
use crate::ids;

/// How long Stripe remembers an idempotency key.
pub(crate) const IDEMPOTENCY_LIFE: i64 = clock::DAY;

/// An object and its place in the order of creation. A removed object is `null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    seq: u64,
    id: String,
    object: Value,
}

/// All objects by id, with an index by kind in order of creation.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: HashMap<String, Entry>,
    kinds: BTreeMap<String, BTreeMap<u64, String>>,
    next: u64,
    journal: Option<File>,
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
                self.apply(entry);
            }
        }
        Ok(())
    }

    fn compact(&self) -> Vec<u8> {
        let now = clock::real_millis() / 1000 + self.clock_offset() / 1000;
        let mut kept: Vec<&Entry> = self
            .objects
            .values()
            .filter(|entry| match entry.object.text("object") {
                "_idempotency" => entry.object.int("created") + IDEMPOTENCY_LIFE > now,
                "_delivered" => false,
                _ => true,
            })
            .collect();
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

    fn apply(&mut self, entry: Entry) {
        self.next = self.next.max(entry.seq + 1);
        if entry.object.is_null() {
            if let Some(old) = self.objects.remove(&entry.id)
                && let Some(index) = self.kinds.get_mut(old.object.text("object"))
            {
                index.remove(&entry.seq);
            }
            return;
        }
        let kind = entry.object.text("object");
        if let Some(old) = self.objects.get(&entry.id)
            && old.object.text("object") != kind
            && let Some(index) = self.kinds.get_mut(old.object.text("object"))
        {
            index.remove(&entry.seq);
        }
        self.kinds.entry(kind.to_owned()).or_default().insert(entry.seq, entry.id.clone());
        self.objects.insert(entry.id.clone(), entry);
    }

    /// Makes a transaction's writes durable, then visible.
    fn commit(&mut self, entries: Vec<Entry>) -> Result<(), ApiError> {
        if entries.is_empty() {
            return Ok(());
        }
        if let Some(journal) = &mut self.journal
            && let Err(error) = append(journal, &entries)
        {
            tracing::error!(%error, "the sandbox cannot write its state file");
            return Err(ApiError::internal("The sandbox cannot write its state file."));
        }
        for entry in entries {
            self.apply(entry);
        }
        Ok(())
    }

    /// How far the sandbox's clock is ahead of real time, in milliseconds.
    fn clock_offset(&self) -> i64 {
        self.get("_clock").map_or(0, |clock| clock.int("offset"))
    }

    /// The sandbox's time in milliseconds since 1970.
    pub(crate) fn now_millis(&self) -> i64 {
        clock::real_millis() + self.clock_offset()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Value> {
        self.objects.get(id).map(|entry| &entry.object)
    }

    /// All objects of a kind, newest first.
    pub(crate) fn newest<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> {
        let index = self.kinds.get(kind);
        index.into_iter().flat_map(|index| index.values().rev()).filter_map(|id| self.get(id))
    }

    /// Runs `work` in a transaction and commits it, unless it fails with an error that leaves
    /// nothing behind.
    pub(crate) fn transaction<T>(
        &mut self,
        origin: Origin,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut tx =
            Tx { now: self.now_millis() / 1000, next: self.next, store: self, writes: BTreeMap::new(), origin };
        let outcome = work(&mut tx);
        let kept = outcome.as_ref().err().is_none_or(ApiError::keeps_writes);
        let writes = tx.writes;
        if kept {
            self.commit(writes.into_values().collect())?;
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

/// A view of the store with uncommitted writes over it.
pub(crate) struct Tx<'a> {
    store: &'a Store,
    writes: BTreeMap<String, Entry>,
    next: u64,
    now: i64,
    pub(crate) origin: Origin,
}

impl Tx<'_> {
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
        match self.writes.get(id) {
            Some(entry) => Some(&entry.object).filter(|object| !object.is_null()),
            None => self.store.get(id),
        }
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
    pub(crate) fn newest(&self, kind: &str) -> Vec<&Value> {
        let mut found: BTreeMap<u64, &Value> = BTreeMap::new();
        if let Some(index) = self.store.kinds.get(kind) {
            for (seq, id) in index {
                if let Some(object) = self.lookup(kind, id) {
                    found.insert(*seq, object);
                }
            }
        }
        for entry in self.writes.values() {
            if entry.object.text("object") == kind {
                found.insert(entry.seq, &entry.object);
            }
        }
        found.into_values().rev().collect()
    }

    /// Writes an object under its `id`.
    pub(crate) fn put(&mut self, object: Value) {
        self.write(object.text("id").to_owned(), object);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.write(id.to_owned(), Value::Null);
    }

    fn write(&mut self, id: String, object: Value) {
        let known = self.writes.get(&id).or_else(|| self.store.objects.get(&id));
        let seq = match known {
            Some(entry) => entry.seq,
            None => {
                self.next += 1;
                self.next
            }
        };
        self.writes.insert(id.clone(), Entry { seq, id, object });
    }

    /// Writes a new object and emits the event that says so.
    pub(crate) fn create(&mut self, event: &str, object: &Value) {
        self.put(object.clone());
        self.emit(event, object, None);
    }

    /// Changes an object and emits `event`. An `…updated` event carries the previous values, and
    /// is not emitted when nothing that shows has changed.
    pub(crate) fn change(&mut self, id: &str, event: &str, work: impl FnOnce(&mut Value)) -> Result<Value, ApiError> {
        let before = self.get(id).cloned().ok_or_else(|| ApiError::internal(format!("{id} vanished")))?;
        let mut after = before.clone();
        work(&mut after);
        self.put(after.clone());
        let previous = events::previous(&before, &after);
        match events::tells_previous(event) {
            false => self.emit(event, &after, None),
            true if previous.is_some() => self.emit(event, &after, previous),
            true => {}
        }
        Ok(after)
    }

    /// Changes an object without an event.
    pub(crate) fn quietly(&mut self, id: &str, work: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.get(id).cloned() {
            work(&mut object);
            self.put(object);
        }
    }

    /// Records an event about an object as it is now, and what must be delivered of it.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let id = ids::new("evt_");
        let due = self.now * 1000;
        let endpoints: Vec<String> = self
            .newest("webhook_endpoint")
            .into_iter()
            .rev()
            .filter(|endpoint| events::wanted(endpoint, kind))
            .map(|endpoint| endpoint.text("id").to_owned())
            .collect();
        let mut data = json!({ "object": object });
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        self.put(json!({
            "id": id,
            "object": "event",
            "api_version": crate::shape::DEFAULT_VERSION,
            "created": self.now,
            "data": data,
            "livemode": false,
            "pending_webhooks": endpoints.len(),
            "request": {
                "id": self.origin.request,
                "idempotency_key": self.origin.idempotency_key,
            },
            "type": kind,
        }));
        for endpoint in endpoints {
            self.put(events::delivery(&id, kind, &endpoint, due));
        }
    }
}
