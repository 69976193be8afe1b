//! The keys of features and meters.
//!
//! Features and meters are data: `plans.toml` declares them and code names them by constants.
//! A key is `Copy` because it is a `&'static str`, either the constant's own or, for a key read
//! from a file or from stored JSON, an interned copy. Interned copies are leaked: they have to
//! live as long as the process, and their number is bounded by the distinct names that were ever
//! declared. User input has no such bound, so it is never deserialized into a key but looked up
//! with `Catalog::feature` or `Catalog::meter` (`tests/keys.rs`).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize};

static INTERNED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

fn intern(key: &str) -> &'static str {
    // The set is valid at every moment, so a panic elsewhere does not matter.
    let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = interned.get(key) {
        return known;
    }
    let leaked: &'static str = Box::leak(key.into());
    interned.insert(leaked);
    leaked
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(&'static str);

        impl $name {
            /// Creates a constant from its key.
            pub const fn new(key: &'static str) -> Self {
                Self(key)
            }

            /// Interns a key that a file declares.
            pub(crate) fn declared(key: &str) -> Self {
                Self(intern(key))
            }

            /// Interns a key that the database holds. Not for user input.
            pub fn stored(key: &str) -> Self {
                Self(intern(key))
            }

            /// Returns the key used in `plans.toml`, in the database and in the API.
            pub const fn as_str(self) -> &'static str {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }

        /// Interns the key: only for files and stored data, never for user input.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|key| Self(intern(&key)))
            }
        }
    };
}

key! {
    /// Something that a plan does or doesn't include, such as a part of the product.
    ///
    /// Serialized as its key.
    Feature
}

key! {
    /// Something that is counted against a plan's limits.
    ///
    /// Serialized as its key.
    Meter
}
