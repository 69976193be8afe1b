//! Parses and validates the text of `plans.toml`: the result is a [`Catalog`] or all its errors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::{Table, Value};

use crate::catalog::definition::{FeatureDefinition, MeterDefinition};
use crate::catalog::error::CatalogErrors;
use crate::catalog::field::{Amount, Expected, Field, LimitValue, Text};
use crate::catalog::interval::Interval;
use crate::catalog::lookup::Catalog;
use crate::catalog::metered_price::MeteredPrice;
use crate::catalog::on_pause::OnPause;
use crate::catalog::on_reversal::{OnDispute, OnFullRefund};
use crate::catalog::plan::{Plan, Price, Tier};
use crate::catalog::product::Product;
use crate::catalog::table::{FeatureTable, FileTable, MeterTable, PlanTable, PriceTable, ProductTable, read_table};
use crate::ids::PriceId;
use crate::keys::{Feature, Meter};
use crate::limit::Limit;
use crate::money::{Currency, Money};

/// The longest trial Stripe accepts (Stripe API, `trial_period_days`).
const MAX_TRIAL_DAYS: u32 = 730;
const DEFAULT_GRACE_DAYS: u32 = 3;

impl Catalog {
    /// Reads `plans.toml`.
    ///
    /// `environment` returns the value of a variable that a price names with `env = "…"`. An empty
    /// value counts as unset, and surrounding whitespace is trimmed.
    ///
    /// # Errors
    /// All errors together; text that is not TOML has a single one.
    pub fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, CatalogErrors> {
        let file: Table = toml::from_str(text).map_err(|error| CatalogErrors(vec![error.to_string()]))?;
        let mut validator = Validator {
            environment,
            features: Vec::new(),
            meters: Vec::new(),
            seen: BTreeSet::new(),
            errors: Vec::new(),
        };
        let catalog = validator.catalog(file);
        if validator.errors.is_empty() { Ok(catalog) } else { Err(CatalogErrors(validator.errors)) }
    }
}

struct Validator<'e> {
    environment: &'e dyn Fn(&str) -> Option<String>,
    /// The declared features, which plans may include.
    features: Vec<Feature>,
    /// The declared meters, which every plan limits.
    meters: Vec<Meter>,
    /// The names that must be unique in the file: kind, and name in lower case.
    seen: BTreeSet<(&'static str, String)>,
    errors: Vec<String>,
}

impl Validator<'_> {
    fn catalog(&mut self, file: Table) -> Catalog {
        let owner = "top level";
        let file: FileTable = read_table(owner, file, &mut self.errors);
        let trial_days = self.optional(owner, "trial_days", file.trial_days).unwrap_or_default();
        let grace_days = self.optional(owner, "grace_days", file.grace_days).unwrap_or(DEFAULT_GRACE_DAYS);
        let on_pause = [("end_access", OnPause::EndAccess), ("keep_period", OnPause::KeepPeriod)];
        let on_pause = self.choice(owner, "on_pause", file.on_pause, &on_pause);
        let on_dispute = [("flag", OnDispute::Flag), ("suspend", OnDispute::Suspend)];
        let on_dispute = self.choice(owner, "on_dispute", file.on_dispute, &on_dispute);
        let on_full_refund = [("keep", OnFullRefund::Keep), ("end_access", OnFullRefund::EndAccess)];
        let on_full_refund = self.choice(owner, "on_full_refund", file.on_full_refund, &on_full_refund);
        let features = self.optional(owner, "feature", file.feature).unwrap_or_default();
        let meters = self.optional(owner, "meter", file.meter).unwrap_or_default();
        let plans = self.optional(owner, "plan", file.plan).unwrap_or_default();
        let products = self.optional(owner, "product", file.product).unwrap_or_default();

        if trial_days > MAX_TRIAL_DAYS {
            self.errors.push(format!("trial_days = {trial_days}: Stripe accepts at most {MAX_TRIAL_DAYS}"));
        }
        if plans.is_empty() {
            self.errors.push("no [[plan]]: at least the free plan is required".to_owned());
        }
        // Before the plans and products, which refer to them.
        let features =
            features.into_iter().enumerate().filter_map(|(place, table)| self.feature(place, table)).collect();
        let meters = meters.into_iter().enumerate().filter_map(|(place, table)| self.meter(place, table)).collect();
        let catalog = Catalog {
            features,
            meters,
            plans: plans.into_iter().enumerate().map(|(place, table)| self.plan(place, table)).collect(),
            products: products
                .into_iter()
                .enumerate()
                .filter_map(|(place, table)| self.product(place, table))
                .collect(),
            trial_days,
            grace_days,
            on_pause,
            on_dispute,
            on_full_refund,
        };
        self.ceilings(&catalog);
        catalog
    }

    /// Checks that overage has a ceiling, which defaults to what the plan includes.
    fn ceilings(&mut self, catalog: &Catalog) {
        for plan in catalog.plans().iter().filter(|plan| !plan.prices.is_empty()) {
            for (meter, price) in catalog.metered_prices_of(plan) {
                if plan.limit(meter) == Limit::Finite(0) && price.max.is_none() {
                    let tier = &plan.tier;
                    self.errors
                        .push(format!("meter `{meter}` needs `max_overage`, because plan `{tier}` includes none"));
                }
            }
        }
    }

    fn plan(&mut self, place: usize, table: Table) -> Plan {
        let owner = owner("plan", "tier", place, &table);
        let table: PlanTable = read_table(&owner, table, &mut self.errors);
        let tier = self.required(&owner, "tier", table.tier).map(|name| name.0).unwrap_or_default();
        let name = self.required(&owner, "name", table.name).map(|name| name.0).unwrap_or_default();
        let summary = self.optional(&owner, "summary", table.summary).unwrap_or_default();
        let limits = self.optional(&owner, "limits", table.limits).unwrap_or_default();
        let features = self.optional(&owner, "features", table.features).unwrap_or_default();
        let prices = self.optional(&owner, "price", table.price).unwrap_or_default();
        let retired = self.optional(&owner, "retired_prices", table.retired_prices).unwrap_or_default();

        self.unique("tier", &tier);
        if place == 0 && !prices.is_empty() {
            self.errors.push(format!("{owner} is the first plan, which is free: it cannot have a price"));
        }
        if place > 0 && prices.is_empty() {
            self.errors.push(format!("{owner} has no [[plan.price]]: only the first plan is free"));
        }
        let mut sold = BTreeSet::new();
        let prices = prices
            .into_iter()
            .enumerate()
            .filter_map(|(place, table)| self.price(&owner, place, table, &mut sold))
            .collect();
        Plan {
            tier: Tier::new(tier),
            name,
            summary,
            limits: self.limits(&owner, limits),
            features: self.features(&owner, &features),
            prices,
            retired_prices: self.retired_prices(retired),
        }
    }

    fn limits(&mut self, owner: &str, values: BTreeMap<String, Field<LimitValue>>) -> BTreeMap<Meter, Limit> {
        for meter in &self.meters {
            if !values.contains_key(meter.as_str()) {
                self.errors.push(format!("{owner}: `limits` has no `{meter}`"));
            }
        }
        let mut limits = BTreeMap::new();
        for (key, value) in values {
            let Some(meter) = self.meter_named(owner, &key) else { continue };
            let limit = match self.optional(&format!("{owner}, limits"), &key, value) {
                Some(LimitValue::Finite(limit)) => Limit::Finite(limit),
                Some(LimitValue::Unlimited(_)) => Limit::Unlimited,
                None => continue,
            };
            limits.insert(meter, limit);
        }
        limits
    }

    fn features(&mut self, owner: &str, keys: &[Text]) -> BTreeSet<Feature> {
        let mut features = BTreeSet::new();
        for Text(key) in keys {
            match self.features.iter().find(|feature| feature.as_str() == key) {
                Some(feature) if features.insert(*feature) => {}
                Some(feature) => self.errors.push(format!("{owner}: feature `{feature}` appears twice")),
                None => self.errors.push(unknown(owner, "feature", key, &self.features)),
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
        let owner = format!("{plan}, price {}", place + 1);
        let table: PriceTable = read_table(&owner, table, &mut self.errors);
        let interval = self.required(&owner, "interval", table.interval);
        let amount = self.money(&owner, table.amount, table.currency);
        let lookup_key = self.lookup_key(&owner, table.lookup_key);
        let id = self.configured_id(&owner, table.env);

        let Text(name) = interval?;
        let Some(interval) = Interval::parse(&name) else {
            self.errors.push(unknown(&owner, "interval", &name, Interval::ALL));
            return None;
        };
        let amount = amount?;
        if !sold.insert((interval, amount.currency.clone())) {
            self.errors.push(format!("{plan}: two prices per {interval} in {}", amount.currency.as_str()));
        }
        Some(Price { interval, amount, lookup_key: lookup_key?, id })
    }

    fn product(&mut self, place: usize, table: Table) -> Option<Product> {
        let owner = owner("product", "key", place, &table);
        let table: ProductTable = read_table(&owner, table, &mut self.errors);
        let key = self.required(&owner, "key", table.key).map(|key| key.0);
        let name = self.required(&owner, "name", table.name).map(|name| name.0);
        let summary = self.optional(&owner, "summary", table.summary).unwrap_or_default();
        let amount = self.money(&owner, table.amount, table.currency);
        let lookup_key = self.lookup_key(&owner, table.lookup_key);
        let id = self.configured_id(&owner, table.env);
        let retired = self.optional(&owner, "retired_prices", table.retired_prices).unwrap_or_default();
        let grants = self.grants(&owner, table.meter, table.quantity);

        self.unique("product", key.as_deref().unwrap_or_default());
        Some(Product {
            key: key?,
            name: name?,
            summary,
            amount: amount?,
            lookup_key: lookup_key?,
            id,
            retired_prices: self.retired_prices(retired),
            grants,
        })
    }

    /// Returns the credits that a product adds: a meter and a number of units.
    fn grants(&mut self, owner: &str, meter: Field<Text>, quantity: Field<u64>) -> Option<(Meter, u64)> {
        let is_half = meter.is_missing() != quantity.is_missing();
        let meter = self.optional(owner, "meter", meter);
        let quantity = self.optional(owner, "quantity", quantity);
        if is_half || quantity == Some(0) {
            self.errors.push(format!("{owner}: `meter` and a `quantity` of 1 or more must be set together"));
        }
        let Text(key) = meter?;
        self.meter_named(owner, &key).zip(quantity)
    }

    fn feature(&mut self, place: usize, table: Table) -> Option<FeatureDefinition> {
        let owner = owner("feature", "key", place, &table);
        let table: FeatureTable = read_table(&owner, table, &mut self.errors);
        let key = self.required(&owner, "key", table.key).map(|key| key.0);
        let label = self.required(&owner, "label", table.label).map(|label| label.0);
        let feature = Feature::declared(&key?);
        self.unique("feature", feature.as_str());
        self.features.push(feature);
        Some(FeatureDefinition { feature, label: label? })
    }

    fn meter(&mut self, place: usize, table: Table) -> Option<MeterDefinition> {
        let owner = owner("meter", "key", place, &table);
        let mut table: MeterTable = read_table(&owner, table, &mut self.errors);
        let key = self.required(&owner, "key", std::mem::take(&mut table.key)).map(|key| key.0);
        let label = self.required(&owner, "label", std::mem::take(&mut table.label)).map(|label| label.0);
        let metered_price = self.metered_price(&owner, table);
        let meter = Meter::declared(&key?);
        self.unique("meter", meter.as_str());
        self.meters.push(meter);
        Some(MeterDefinition { meter, label: label?, metered_price })
    }

    /// Returns the price of a meter's overage; `None` if overage is denied.
    fn metered_price(&mut self, owner: &str, table: MeterTable) -> Option<MeteredPrice> {
        let is_named = !table.event_name.is_missing() && !table.lookup_key.is_missing();
        let has_unit = !table.amount.is_missing() || !table.currency.is_missing();
        let has_price = !table.event_name.is_missing() || !table.lookup_key.is_missing() || has_unit;
        let has_price = has_price || !table.max_overage.is_missing();
        let max = self.optional(owner, "max_overage", table.max_overage);
        let overage = self.optional(owner, "overage", table.overage);
        let event_name = self.optional(owner, "event_name", table.event_name).map(|name| name.0);
        let lookup_key = self.optional(owner, "lookup_key", table.lookup_key).map(|key| key.0);
        let unit = if has_unit { self.money(owner, table.amount, table.currency) } else { None };

        match overage.as_ref().map_or("deny", |overage| overage.0.as_str()) {
            "bill" if is_named => {}
            "bill" => self.errors.push(format!("{owner}: overage = \"bill\" needs `event_name` and `lookup_key`")),
            "deny" if has_price => {
                self.errors.push(format!(
                    "{owner}: `event_name`, `lookup_key`, `max_overage` and a price need overage = \"bill\""
                ));
            }
            "deny" => {}
            other => self.errors.push(unknown(owner, "overage", other, &["deny", "bill"])),
        }
        let price = MeteredPrice { event_name: event_name?, lookup_key: lookup_key?, unit, max };
        self.unique("event_name", &price.event_name);
        for interval in Interval::ALL {
            self.unique("lookup_key", &price.lookup_key_at(*interval));
        }
        Some(price)
    }

    fn money(&mut self, owner: &str, amount: Field<Amount>, currency: Field<Text>) -> Option<Money> {
        let amount = self.required(owner, "amount", amount);
        let Text(code) = self.required(owner, "currency", currency)?;
        match Currency::parse(&code) {
            Ok(currency) => amount.map(|Amount(minor)| Money::new(minor, currency)),
            Err(error) => {
                self.errors.push(format!("{owner}: {error}"));
                None
            }
        }
    }

    fn lookup_key(&mut self, owner: &str, field: Field<Text>) -> Option<String> {
        let Text(key) = self.required(owner, "lookup_key", field)?;
        self.unique("lookup_key", &key);
        Some(key)
    }

    /// Returns the price id from the environment, if it is set.
    fn configured_id(&mut self, owner: &str, variable: Field<Text>) -> Option<PriceId> {
        let Text(variable) = self.optional(owner, "env", variable)?;
        self.unique("env", &variable);
        let id = (self.environment)(&variable)?.trim().to_owned();
        if id.is_empty() {
            return None;
        }
        self.unique("price id", &id);
        Some(PriceId::new(id))
    }

    fn retired_prices(&mut self, ids: Vec<Text>) -> BTreeSet<PriceId> {
        for Text(id) in &ids {
            self.unique("price id", id);
        }
        ids.into_iter().map(|Text(id)| PriceId::new(id)).collect()
    }

    fn meter_named(&mut self, owner: &str, key: &str) -> Option<Meter> {
        let meter = self.meters.iter().copied().find(|meter| meter.as_str() == key);
        if meter.is_none() {
            self.errors.push(unknown(owner, "meter", key, &self.meters));
        }
        meter
    }

    fn required<T: Expected>(&mut self, owner: &str, key: &str, field: Field<T>) -> Option<T> {
        if field.is_missing() {
            self.errors.push(format!("{owner}: `{key}` is missing"));
        }
        self.optional(owner, key, field)
    }

    fn optional<T: Expected>(&mut self, owner: &str, key: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Missing => None,
            Field::Valid(value) => Some(value),
            Field::Invalid => {
                self.errors.push(format!("{owner}: `{key}` must be {}", T::EXPECTED));
                None
            }
        }
    }

    /// Returns the value with this name; the default if there is no name.
    fn choice<T: Copy + Default>(&mut self, owner: &str, key: &str, field: Field<Text>, values: &[(&str, T)]) -> T {
        let Some(Text(name)) = self.optional(owner, key, field) else { return T::default() };
        let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        value.unwrap_or_else(|| {
            let known: Vec<&str> = values.iter().map(|(known, _)| *known).collect();
            self.errors.push(unknown(owner, key, &name, &known));
            T::default()
        })
    }

    fn unique(&mut self, kind: &'static str, name: &str) {
        if !name.is_empty() && !self.seen.insert((kind, name.to_ascii_lowercase())) {
            self.errors.push(format!("{kind} `{name}` appears twice"));
        }
    }
}

fn unknown<T: fmt::Display>(owner: &str, kind: &str, name: &str, known: &[T]) -> String {
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    format!("{owner}: unknown {kind} `{name}` (known: {})", known.join(", "))
}

/// Returns a table's name in error messages: the value of `key` or, without one, its position.
fn owner(kind: &str, key: &str, place: usize, table: &Table) -> String {
    match table.get(key) {
        Some(Value::String(name)) => format!("{kind} `{name}`"),
        _ => format!("{kind} {}", place + 1),
    }
}
