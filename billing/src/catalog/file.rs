//! `plans.toml` as written becomes a [`Catalog`], or the list of all that is wrong with it.
//!
//! Read key by key rather than derived: a derived reader stops at the first key it
//! does not know, and whoever edits plans wants to hear everything at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::{Table, Value};

use crate::catalog::error::CatalogErrors;
use crate::catalog::interval::Interval;
use crate::catalog::lookup::Catalog;
use crate::catalog::metered_price::MeteredPrice;
use crate::catalog::plan::{Plan, Price, Tier};
use crate::catalog::product::Product;
use crate::ids::PriceId;
use crate::keys::{Feature, Meter};
use crate::limit::Limit;
use crate::money::{Currency, Money};

/// Stripe takes no longer trial than this (Stripe API, `trial_period_days`).
const LONGEST_TRIAL_DAYS: u32 = 730;
const DEFAULT_GRACE_DAYS: u32 = 3;

impl Catalog {
    /// Reads `plans.toml`.
    ///
    /// `environment` returns the value of a variable that a price names with `env = "…"`; an empty
    /// value counts as unset, and surrounding whitespace is trimmed.
    ///
    /// # Errors
    /// All errors at once; text that is not TOML at all has a single one.
    pub fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, CatalogErrors> {
        let table: Table = toml::from_str(text).map_err(|error| CatalogErrors(vec![error.to_string()]))?;
        let mut reader = Reader { environment, seen: BTreeSet::new(), faults: Vec::new() };
        let catalog = reader.catalog(Entry::new("top level".to_owned(), table));
        if reader.faults.is_empty() { Ok(catalog) } else { Err(CatalogErrors(reader.faults)) }
    }
}

struct Reader<'e> {
    environment: &'e dyn Fn(&str) -> Option<String>,
    /// What must not stand twice in the file: its kind and its name in lower case.
    seen: BTreeSet<(&'static str, String)>,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn catalog(&mut self, mut file: Entry) -> Catalog {
        let trial_days = file.optional("trial_days", &DAYS, &mut self.faults).unwrap_or_default();
        let grace_days = file.optional("grace_days", &DAYS, &mut self.faults).unwrap_or(DEFAULT_GRACE_DAYS);
        let plans = file.optional("plan", &TABLES, &mut self.faults).unwrap_or_default();
        let products = file.optional("product", &TABLES, &mut self.faults).unwrap_or_default();
        let meters = file.optional("meter", &TABLES, &mut self.faults).unwrap_or_default();
        file.finish(&mut self.faults);

        if trial_days > LONGEST_TRIAL_DAYS {
            self.faults.push(format!("trial_days = {trial_days}: Stripe takes at most {LONGEST_TRIAL_DAYS}"));
        }
        if plans.is_empty() {
            self.faults.push("no [[plan]]: at least the free plan must be there".to_owned());
        }
        Catalog {
            plans: plans.into_iter().enumerate().map(|(place, table)| self.plan(place, table)).collect(),
            products: products
                .into_iter()
                .enumerate()
                .filter_map(|(place, table)| self.product(place, table))
                .collect(),
            metered: meters.into_iter().enumerate().filter_map(|(place, table)| self.meter(place, table)).collect(),
            trial_days,
            grace_days,
        }
    }

    fn plan(&mut self, place: usize, table: Table) -> Plan {
        let mut entry = Entry::named("plan", "tier", place, table);
        let tier = entry.required("tier", &NAME, &mut self.faults).unwrap_or_default();
        let name = entry.required("name", &TEXT, &mut self.faults).unwrap_or_default();
        let summary = entry.optional("summary", &PROSE, &mut self.faults).unwrap_or_default();
        let limits = entry.optional("limits", &TABLE, &mut self.faults).unwrap_or_default();
        let features = entry.optional("features", &TEXTS, &mut self.faults).unwrap_or_default();
        let prices = entry.optional("price", &TABLES, &mut self.faults).unwrap_or_default();
        let retired = entry.optional("retired_prices", &TEXTS, &mut self.faults).unwrap_or_default();
        let owner = entry.finish(&mut self.faults);

        self.once("tier", &tier);
        if place == 0 && !prices.is_empty() {
            self.faults.push(format!("{owner} comes first and so is everybody's: it cannot have a price"));
        }
        if place > 0 && prices.is_empty() {
            self.faults.push(format!("{owner} has no [[plan.price]]: only the first plan is free"));
        }
        let mut sold = BTreeSet::new();
        let prices = prices
            .into_iter()
            .enumerate()
            .filter_map(|(place, table)| self.price(&owner, place, table, &mut sold))
            .collect();
        for id in &retired {
            self.once("price id", id);
        }
        Plan {
            tier: Tier::new(tier),
            name,
            summary,
            limits: self.limits(&owner, limits),
            features: self.features(&owner, &features),
            prices,
            retired_prices: retired.into_iter().map(PriceId::new).collect(),
        }
    }

    fn limits(&mut self, owner: &str, table: Table) -> BTreeMap<Meter, Limit> {
        let mut limits = BTreeMap::new();
        for meter in Meter::ALL {
            if !table.contains_key(meter.as_str()) {
                self.faults.push(format!("{owner}: limits lack `{meter}`"));
            }
        }
        for (key, value) in table {
            match (Meter::parse(&key), limit(&value)) {
                (Some(meter), Some(limit)) => {
                    limits.insert(meter, limit);
                }
                (None, _) => self.unknown(owner, "meter", &key, Meter::ALL),
                (_, None) => self
                    .faults
                    .push(format!("{owner}: limit of `{key}` must be a whole number from 0 up or \"unlimited\"")),
            }
        }
        limits
    }

    fn features(&mut self, owner: &str, keys: &[String]) -> BTreeSet<Feature> {
        let mut features = BTreeSet::new();
        for key in keys {
            match Feature::parse(key) {
                Some(feature) if features.insert(feature) => {}
                Some(feature) => self.faults.push(format!("{owner}: feature `{feature}` stands twice")),
                None => self.unknown(owner, "feature", key, Feature::ALL),
            }
        }
        features
    }

    fn price(
        &mut self,
        plan: &str,
        place: usize,
        table: Table,
        sold: &mut BTreeSet<(Interval, Currency)>,
    ) -> Option<Price> {
        let mut entry = Entry::new(format!("{plan}, price {}", place + 1), table);
        let interval = entry.required("interval", &TEXT, &mut self.faults);
        let amount = self.money(&mut entry);
        let lookup_key = entry.required("lookup_key", &TEXT, &mut self.faults);
        let variable = entry.optional("env", &TEXT, &mut self.faults);
        let owner = entry.finish(&mut self.faults);

        if let Some(key) = &lookup_key {
            self.once("lookup_key", key);
        }
        let id = self.configured_id(variable);
        let word = interval?;
        let Some(interval) = Interval::parse(&word) else {
            self.unknown(&owner, "interval", &word, Interval::ALL);
            return None;
        };
        let amount = amount?;
        if !sold.insert((interval, amount.currency.clone())) {
            self.faults.push(format!("{plan}: two prices per {interval} in {}", amount.currency.as_str()));
        }
        Some(Price { interval, amount, lookup_key: lookup_key?, id: id.map(PriceId::new) })
    }

    fn product(&mut self, place: usize, table: Table) -> Option<Product> {
        let mut entry = Entry::named("product", "key", place, table);
        let key = entry.required("key", &NAME, &mut self.faults);
        let name = entry.required("name", &TEXT, &mut self.faults);
        let summary = entry.optional("summary", &PROSE, &mut self.faults).unwrap_or_default();
        let amount = self.money(&mut entry);
        let lookup_key = entry.required("lookup_key", &TEXT, &mut self.faults);
        let variable = entry.optional("env", &TEXT, &mut self.faults);
        let retired = entry.optional("retired_prices", &TEXTS, &mut self.faults).unwrap_or_default();
        let meter = entry.optional("meter", &TEXT, &mut self.faults);
        let quantity = entry.optional("quantity", &COUNT, &mut self.faults);
        let owner = entry.finish(&mut self.faults);

        if let Some(key) = &key {
            self.once("product", key);
        }
        if let Some(key) = &lookup_key {
            self.once("lookup_key", key);
        }
        let id = self.configured_id(variable);
        for id in &retired {
            self.once("price id", id);
        }
        let grants = match (meter, quantity) {
            (None, None) => None,
            (Some(key), Some(quantity)) if quantity > 0 => {
                let meter = Meter::parse(&key);
                if meter.is_none() {
                    self.unknown(&owner, "meter", &key, Meter::ALL);
                }
                meter.map(|meter| (meter, quantity))
            }
            _ => {
                self.faults.push(format!("{owner}: `meter` and a `quantity` from 1 up belong together"));
                None
            }
        };
        Some(Product {
            key: key?,
            name: name?,
            summary,
            amount: amount?,
            lookup_key: lookup_key?,
            id: id.map(PriceId::new),
            retired_prices: retired.into_iter().map(PriceId::new).collect(),
            grants,
        })
    }

    /// The id that the environment gives a price in the variable it names, if it does.
    fn configured_id(&mut self, variable: Option<String>) -> Option<String> {
        let variable = variable?;
        self.once("env", &variable);
        let id = (self.environment)(&variable)?.trim().to_owned();
        if id.is_empty() {
            return None;
        }
        self.once("price id", &id);
        Some(id)
    }

    /// `None` where overage is denied, too.
    fn meter(&mut self, place: usize, table: Table) -> Option<(Meter, MeteredPrice)> {
        let mut entry = Entry::named("meter", "key", place, table);
        let key = entry.required("key", &TEXT, &mut self.faults);
        let overage = entry.required("overage", &TEXT, &mut self.faults);
        let event_name = entry.optional("event_name", &NAME, &mut self.faults);
        let lookup_key = entry.optional("lookup_key", &TEXT, &mut self.faults);
        let unit = if entry.has("amount") || entry.has("currency") { self.money(&mut entry) } else { None };
        let owner = entry.finish(&mut self.faults);

        let key = key?;
        self.once("meter", &key);
        if let Some(name) = &event_name {
            self.once("event_name", name);
        }
        if let Some(key) = &lookup_key {
            for interval in Interval::ALL {
                self.once("lookup_key", &format!("{key}_{interval}"));
            }
        }
        let meter = Meter::parse(&key);
        if meter.is_none() {
            self.unknown(&owner, "meter", &key, Meter::ALL);
        }
        match (overage.as_deref()?, event_name, lookup_key) {
            ("deny", None, None) if unit.is_none() => None,
            ("bill", Some(event_name), Some(lookup_key)) => {
                Some((meter?, MeteredPrice { event_name, lookup_key, unit }))
            }
            ("bill" | "deny", ..) => {
                self.faults.push(format!("{owner}: `event_name` and `lookup_key` belong to overage = \"bill\", both; so does what a unit costs"));
                None
            }
            (other, ..) => {
                self.unknown(&owner, "overage", other, &["deny", "bill"]);
                None
            }
        }
    }

    fn money(&mut self, entry: &mut Entry) -> Option<Money> {
        let minor = entry.required("amount", &AMOUNT, &mut self.faults);
        let code = entry.required("currency", &TEXT, &mut self.faults)?;
        match Currency::parse(&code) {
            Ok(currency) => minor.map(|minor| Money::new(minor, currency)),
            Err(error) => {
                self.faults.push(format!("{}: {error}", entry.owner));
                None
            }
        }
    }

    fn once(&mut self, kind: &'static str, name: &str) {
        if !name.is_empty() && !self.seen.insert((kind, name.to_ascii_lowercase())) {
            self.faults.push(format!("{kind} `{name}` stands twice"));
        }
    }

    fn unknown<T: fmt::Display>(&mut self, owner: &str, kind: &str, word: &str, known: &[T]) {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        self.faults.push(format!("{owner}: unknown {kind} `{word}` (known: {})", known.join(", ")));
    }
}

/// One table of the file. What was never asked for is unknown.
struct Entry {
    /// How faults name it.
    owner: String,
    table: Table,
    asked: Vec<&'static str>,
}

impl Entry {
    fn new(owner: String, table: Table) -> Self {
        Self { owner, table, asked: Vec::new() }
    }

    fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A table that goes by its own `key`, or by its place where it has none.
    fn named(kind: &str, key: &str, place: usize, table: Table) -> Self {
        let owner = match table.get(key) {
            Some(Value::String(name)) => format!("{kind} `{name}`"),
            _ => format!("{kind} {}", place + 1),
        };
        Self::new(owner, table)
    }

    fn required<T>(&mut self, key: &'static str, form: &Form<T>, faults: &mut Vec<String>) -> Option<T> {
        if !self.table.contains_key(key) {
            faults.push(format!("{}: `{key}` is missing", self.owner));
        }
        self.optional(key, form, faults)
    }

    fn optional<T>(&mut self, key: &'static str, form: &Form<T>, faults: &mut Vec<String>) -> Option<T> {
        self.asked.push(key);
        let read = (form.read)(self.table.remove(key)?);
        if read.is_none() {
            faults.push(format!("{}: `{key}` must be {}", self.owner, form.words));
        }
        read
    }

    /// Reports what is left over and gives the name back for further faults.
    fn finish(self, faults: &mut Vec<String>) -> String {
        for key in self.table.keys() {
            faults.push(format!("{}: unknown key `{key}` (known: {})", self.owner, self.asked.join(", ")));
        }
        self.owner
    }
}

/// What a value must be, in words and in code.
struct Form<T> {
    words: &'static str,
    read: fn(Value) -> Option<T>,
}

const TEXT: Form<String> = Form {
    words: "a text that is not empty",
    read: |value| match value {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    },
};

const PROSE: Form<String> = Form {
    words: "a text",
    read: |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    },
};

/// What goes into forms and addresses.
const NAME: Form<String> = Form {
    words: "a name of letters, digits, `_` and `-`",
    read: |value| {
        (TEXT.read)(value).filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'))
    },
};

const TEXTS: Form<Vec<String>> = Form {
    words: "a list of texts that are not empty",
    read: |value| match value {
        Value::Array(values) => values.into_iter().map(TEXT.read).collect(),
        _ => None,
    },
};

const TABLE: Form<Table> = Form {
    words: "a table",
    read: |value| match value {
        Value::Table(table) => Some(table),
        _ => None,
    },
};

const TABLES: Form<Vec<Table>> = Form {
    words: "a list of tables",
    read: |value| match value {
        Value::Array(values) => values.into_iter().map(TABLE.read).collect(),
        _ => None,
    },
};

const COUNT: Form<u64> =
    Form { words: "a whole number from 0 up", read: |value| value.as_integer().and_then(|n| u64::try_from(n).ok()) };

const DAYS: Form<u32> = Form {
    words: "a whole number of days from 0 up",
    read: |value| value.as_integer().and_then(|n| u32::try_from(n).ok()),
};

const AMOUNT: Form<i64> = Form {
    words: "a whole number of minor units from 0 up",
    read: |value| value.as_integer().filter(|minor| *minor >= 0),
};

fn limit(value: &Value) -> Option<Limit> {
    match value {
        Value::Integer(count) => u64::try_from(*count).ok().map(Limit::Finite),
        Value::String(word) if word == "unlimited" => Some(Limit::Unlimited),
        _ => None,
    }
}
