//! The tables of `plans.toml` as written, and a reader for one table.

use std::collections::BTreeMap;

use serde::de::value::Error as NoData;
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use toml::Table;

use crate::catalog::field::{Amount, Field, LimitValue, Name, Text};

/// The top level of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FileTable {
    pub trial_days: Field<u32>,
    pub grace_days: Field<u32>,
    pub on_pause: Field<Text>,
    pub on_dispute: Field<Text>,
    pub on_full_refund: Field<Text>,
    pub feature: Field<Vec<Table>>,
    pub meter: Field<Vec<Table>>,
    pub plan: Field<Vec<Table>>,
    pub product: Field<Vec<Table>>,
}

/// A `[[feature]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FeatureTable {
    pub key: Field<Name>,
    pub label: Field<Text>,
}

/// A `[[meter]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MeterTable {
    pub key: Field<Name>,
    pub label: Field<Text>,
    pub overage: Field<Text>,
    pub max_overage: Field<u64>,
    pub event_name: Field<Name>,
    pub lookup_key: Field<Text>,
    pub amount: Field<Amount>,
    pub currency: Field<Text>,
}

/// A `[[plan]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PlanTable {
    pub tier: Field<Name>,
    pub name: Field<Text>,
    pub summary: Field<String>,
    pub features: Field<Vec<Text>>,
    pub limits: Field<BTreeMap<String, Field<LimitValue>>>,
    pub price: Field<Vec<Table>>,
    pub retired_prices: Field<Vec<Text>>,
}

/// A `[[plan.price]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PriceTable {
    pub interval: Field<Text>,
    pub amount: Field<Amount>,
    pub currency: Field<Text>,
    pub lookup_key: Field<Text>,
    pub env: Field<Text>,
}

/// A `[[product]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProductTable {
    pub key: Field<Name>,
    pub name: Field<Text>,
    pub summary: Field<String>,
    pub amount: Field<Amount>,
    pub currency: Field<Text>,
    pub lookup_key: Field<Text>,
    pub env: Field<Text>,
    pub retired_prices: Field<Vec<Text>>,
    pub meter: Field<Text>,
    pub quantity: Field<u64>,
}

/// Reads one table and reports unknown keys. Error messages call the table `owner`.
pub(super) fn read_table<T: DeserializeOwned + Default>(owner: &str, table: Table, errors: &mut Vec<String>) -> T {
    let mut unknown = Vec::new();
    let read = serde_ignored::deserialize(table, |path| unknown.push(path.to_string()));
    let known = known_keys::<T>().join(", ");
    errors.extend(unknown.iter().map(|key| format!("{owner}: unknown key `{key}` (known: {known})")));
    read.unwrap_or_else(|error: toml::de::Error| {
        errors.push(format!("{owner}: {error}"));
        T::default()
    })
}

/// Returns the keys of a table, which its derived `Deserialize` passes to the deserializer.
fn known_keys<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // There is no data to read, so this fails once the keys are known.
    let _ = T::deserialize(KeyCapture(&mut keys));
    keys
}

struct KeyCapture<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for KeyCapture<'_> {
    type Error = NoData;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NoData> {
        Err(NoData::custom("no data"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NoData> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
