//! A field of a table in `plans.toml`, and the values a field can have.
//!
//! A field with a wrong value is recorded as invalid instead of failing its table, so validation
//! can report all errors together.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

/// The state of one field of a table.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    /// The table does not have it.
    #[default]
    Missing,
    /// Its value is not a `T`.
    Invalid,
    Valid(T),
}

impl<T> Field<T> {
    pub(super) const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(T::deserialize(value).map_or(Self::Invalid, Self::Valid))
    }
}

/// The description of a type's values in error messages.
pub(super) trait Expected {
    const EXPECTED: &'static str;
}

/// A string that is not blank.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text(pub(super) String);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() { Err(Self::EXPECTED) } else { Ok(Self(text)) }
    }
}

impl Expected for Text {
    const EXPECTED: &'static str = "a non-empty string";
}

/// A name that can be used in forms and URLs as it is.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Name(pub(super) String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if is_plain { Ok(Self(name)) } else { Err(Self::EXPECTED) }
    }
}

impl Expected for Name {
    const EXPECTED: &'static str = "a name of letters, digits, `_` and `-`";
}

/// An amount in a currency's minor unit.
#[derive(Debug, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct Amount(pub(super) i64);

impl TryFrom<i64> for Amount {
    type Error = &'static str;

    fn try_from(minor: i64) -> Result<Self, Self::Error> {
        if minor < 0 { Err(Self::EXPECTED) } else { Ok(Self(minor)) }
    }
}

impl Expected for Amount {
    const EXPECTED: &'static str = "a whole number of minor units, 0 or more";
}

/// A plan's limit for a meter.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum LimitValue {
    Finite(u64),
    Unlimited(Unlimited),
}

#[derive(Debug, Deserialize)]
pub(super) enum Unlimited {
    #[serde(rename = "unlimited")]
    Unlimited,
}

impl Expected for LimitValue {
    const EXPECTED: &'static str = "a whole number, 0 or more, or \"unlimited\"";
}

impl Expected for BTreeMap<String, Field<LimitValue>> {
    const EXPECTED: &'static str = "a table";
}

impl Expected for String {
    const EXPECTED: &'static str = "a string";
}

impl Expected for u32 {
    const EXPECTED: &'static str = "a whole number of days, 0 or more";
}

impl Expected for u64 {
    const EXPECTED: &'static str = "a whole number, 0 or more";
}

impl Expected for Vec<Text> {
    const EXPECTED: &'static str = "a list of non-empty strings";
}

impl Expected for Vec<Table> {
    const EXPECTED: &'static str = "a list of tables";
}
