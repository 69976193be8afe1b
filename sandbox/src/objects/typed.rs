//! Reading and writing objects with typed fields.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;
use crate::fields::Fields;
use crate::store::Tx;

/// An object with typed fields. A misspelt field does not compile.
pub(crate) trait Object: Serialize + DeserializeOwned {
    /// The `object` field.
    const KIND: &'static str;

    /// Converts a stored object.
    fn from_json(value: Value) -> Result<Self, ApiError> {
        serde_json::from_value(value).map_err(|error| ApiError::internal(format!("invalid {}: {error}", Self::KIND)))
    }

    /// Converts the object as it is stored.
    fn to_json(&self) -> Result<Value, ApiError> {
        serde_json::to_value(self).map_err(|error| ApiError::internal(format!("invalid {}: {error}", Self::KIND)))
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

    /// Replaces an object by a changed one and emits an event; see [`Tx::change`].
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

/// Defines an enum whose variants are words of the API.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub(crate) enum $name {
            $($(#[$about])* #[serde(rename = $word)] $variant,)+
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)+ })
            }
        }
    };
}
pub(crate) use words;
