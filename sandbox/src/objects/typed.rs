//! Reading and writing objects with typed fields.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::store::{Store, Tx};

/// An object with typed fields. A misspelled field does not compile.
pub(crate) trait Object: Serialize + DeserializeOwned {
    /// The `object` field.
    const KIND: &'static str;

    /// Converts a stored object.
    fn from_json(value: Value) -> Result<Self, ApiError> {
        serde_json::from_value(value).map_err(|error| ApiError::internal(format!("invalid {}: {error}", Self::KIND)))
    }

    /// Converts the object for storage.
    fn to_json(&self) -> Result<Value, ApiError> {
        serde_json::to_value(self).map_err(|error| ApiError::internal(format!("invalid {}: {error}", Self::KIND)))
    }
}

impl Store {
    /// Returns the object with an id, if it exists; a deleted object counts as missing.
    pub(crate) fn read<T: Object>(&self, id: &str) -> Option<T> {
        let stored = self.get(id).filter(|stored| stored.text("object") == T::KIND && !stored.flag("deleted"));
        stored.cloned().and_then(|stored| T::from_json(stored).ok())
    }
}

impl Tx<'_> {
    /// Returns the object with an id, or a 404 error; a deleted object counts as missing.
    pub(crate) fn read<T: Object>(&self, id: &str) -> Result<T, ApiError> {
        let stored = self.lookup(T::KIND, id).filter(|stored| !stored.flag("deleted"));
        stored.cloned().ok_or_else(|| ApiError::missing(T::KIND, id)).and_then(T::from_json)
    }

    /// Returns the object that a parameter names, or a 400 error; a deleted object counts as missing.
    pub(crate) fn read_param<T: Object>(&self, id: &str, param: &str) -> Result<T, ApiError> {
        let stored = self.lookup(T::KIND, id).filter(|stored| !stored.flag("deleted"));
        stored.cloned().ok_or_else(|| ApiError::missing_param(T::KIND, id, param)).and_then(T::from_json)
    }

    /// Returns all objects of the kind that refer to `id`, newest first.
    pub(crate) fn owned_by<T: Object>(&self, id: &str) -> Result<Vec<T>, ApiError> {
        self.referring(T::KIND, id).cloned().map(T::from_json).collect()
    }

    /// Writes a new object and emits an event about it.
    pub(crate) fn insert<T: Object>(&mut self, event: &str, object: &T) -> Result<(), ApiError> {
        self.create(event, &object.to_json()?);
        Ok(())
    }

    /// Changes an object and emits an event; see [`Tx::change`].
    pub(crate) fn update<T: Object>(
        &mut self,
        id: &str,
        event: &str,
        work: impl FnOnce(&mut T),
    ) -> Result<T, ApiError> {
        let mut object: T = self.read(id)?;
        work(&mut object);
        self.replace(id, event, &object)?;
        Ok(object)
    }

    /// Changes an object and emits several events about it; see [`Tx::change`].
    pub(crate) fn update_with_events<T: Object>(
        &mut self,
        id: &str,
        events: &[&str],
        work: impl FnOnce(&mut T),
    ) -> Result<T, ApiError> {
        let mut object: T = self.read(id)?;
        work(&mut object);
        let changed = object.to_json()?;
        self.change_with_events(id, events, |stored| *stored = changed)?;
        Ok(object)
    }

    /// Replaces an object with a changed one and emits an event; see [`Tx::change`].
    pub(crate) fn replace<T: Object>(&mut self, id: &str, event: &str, object: &T) -> Result<(), ApiError> {
        let changed = object.to_json()?;
        self.change(id, event, |stored| *stored = changed)?;
        Ok(())
    }

    /// Changes an object without an event.
    pub(crate) fn update_quietly<T: Object>(&mut self, id: &str, work: impl FnOnce(&mut T)) -> Result<T, ApiError> {
        let mut object: T = self.read(id)?;
        work(&mut object);
        self.put(object.to_json()?);
        Ok(object)
    }
}

/// One of Stripe's list objects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "object", rename = "list")]
pub(crate) struct List<T> {
    pub(crate) data: Vec<T>,
    has_more: bool,
    total_count: usize,
    url: String,
}

impl<T> List<T> {
    /// Creates a complete list.
    pub(crate) fn new(data: Vec<T>, url: String) -> Self {
        Self { total_count: data.len(), data, has_more: false, url }
    }

    /// Replaces the elements.
    pub(crate) fn set(&mut self, data: Vec<T>) {
        self.total_count = data.len();
        self.data = data;
    }
}

/// Defines an enum with the string values that the API uses.
macro_rules! api_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub(crate) enum $name {
            $($(#[$about])* #[serde(rename = $value)] $variant,)+
        }

        impl std::str::FromStr for $name {
            type Err = crate::error::ApiError;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                match value {
                    $($value => Ok(Self::$variant),)+
                    _ => Err(crate::error::ApiError::invalid("", format!("Invalid value: {value}"))),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $value,)+ })
            }
        }
    };
}
pub(crate) use api_enum;
