//! The catalog: the shipped file, error reports, and lookup of Stripe prices.

mod support;

use billing::{
    Catalog, CatalogErrors, Currency, Feature, Interval, Limit, Meter, Money, OnDispute, OnFullRefund, OnPause,
    Overage, PriceId, Status, Subscription, Tier,
};
use proptest::prelude::*;
use support::{
    ADVANCED_ANALYTICS, AI_GENERATIONS, API_CALLS, CUSTOM_DOMAIN, END, PLANS, PRIORITY_SUPPORT, START, catalog,
    enterprise, free, item, pro, subscription,
};

/// A small valid catalog; tests replace parts of it to make errors.
const VALID: &str = r#"
trial_days = 14
grace_days = 3

[[plan]]
tier = "FREE"
name = "Free"
limits = { apiCallsPerMonth = 100, aiGenerationsPerMonth = 10 }

[[plan]]
tier = "PRO"
name = "Pro"
features = ["customDomain"]
limits = { apiCallsPerMonth = 1000, aiGenerationsPerMonth = "unlimited" }
retired_prices = ["price_2024"]

  [[plan.price]]
  interval = "month"
  amount = 2900
  currency = "usd"
  lookup_key = "pro_month"
  env = "PRO_ID"

[[product]]
key = "credits"
name = "Credits"
amount = 500
currency = "usd"
lookup_key = "credits_100"
meter = "aiGenerationsPerMonth"
quantity = 100

[[feature]]
key = "customDomain"
label = "Custom domain"

[[feature]]
key = "prioritySupport"
label = "Priority support"

[[meter]]
key = "apiCallsPerMonth"
label = "API calls"

[[meter]]
key = "aiGenerationsPerMonth"
label = "AI generations"
"#;

fn parse(text: &str) -> Result<Catalog, CatalogErrors> {
    Catalog::parse(text, &|_| None)
}

fn valid() -> Catalog {
    parse(VALID).expect("a valid catalog")
}

/// [`VALID`] with one part replaced.
#[track_caller]
fn replaced(part: &str, replacement: &str) -> String {
    assert!(VALID.contains(part), "{part} is not in the text");
    VALID.replacen(part, replacement, 1)
}

/// The errors of [`VALID`] with one part replaced.
#[track_caller]
fn errors_of(part: &str, replacement: &str) -> Vec<String> {
    parse(&replaced(part, replacement)).expect_err("an error").0
}

/// Asserts that there is exactly one error and that it contains all of `words`.
#[track_caller]
fn assert_error(part: &str, replacement: &str, words: &[&str]) {
    let errors = errors_of(part, replacement);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    for word in words {
        assert!(errors[0].contains(word), "{word} is not in: {}", errors[0]);
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").expect("a currency"))
}

// The shipped catalog

#[test]
fn the_shipped_tiers_are_ranked_and_named() {
    let catalog = catalog();
    let plans: Vec<(&str, &str)> = catalog.plans().iter().map(|p| (p.tier.as_str(), p.name.as_str())).collect();
    assert_eq!(plans, [("FREE", "Free"), ("PRO", "Pro"), ("ENTERPRISE", "Enterprise")]);
    assert_eq!([free(), pro(), enterprise()].map(|tier| catalog.rank(&tier)), [Some(0), Some(1), Some(2)]);
    assert_eq!(catalog.free().tier, free());
}

#[test]
fn the_shipped_features_and_meters_are_declared_with_their_labels() {
    let catalog = catalog();
    let features: Vec<(Feature, &str)> = catalog.features().iter().map(|d| (d.feature, d.label.as_str())).collect();
    let meters: Vec<(Meter, &str)> = catalog.meters().iter().map(|d| (d.meter, d.label.as_str())).collect();
    assert_eq!(
        features,
        [
            (ADVANCED_ANALYTICS, "Advanced analytics"),
            (CUSTOM_DOMAIN, "Custom domain"),
            (PRIORITY_SUPPORT, "Priority support"),
        ]
    );
    assert_eq!(meters, [(API_CALLS, "API calls"), (AI_GENERATIONS, "AI generations")]);
}

#[test]
fn the_shipped_limits_are_the_documented_ones() {
    let catalog = catalog();
    let limits = |meter| catalog.plans().iter().map(|plan| plan.limit(meter)).collect::<Vec<_>>();
    assert_eq!(limits(API_CALLS), [Limit::Finite(100), Limit::Finite(10_000), Limit::Unlimited]);
    assert_eq!(limits(AI_GENERATIONS), [Limit::Finite(10), Limit::Finite(500), Limit::Unlimited]);
}

#[test]
fn the_shipped_plans_include_the_documented_features() {
    let features: Vec<Vec<Feature>> =
        catalog().plans().iter().map(|plan| plan.features.iter().copied().collect()).collect();
    assert_eq!(
        features,
        [vec![], vec![ADVANCED_ANALYTICS, CUSTOM_DOMAIN], vec![ADVANCED_ANALYTICS, CUSTOM_DOMAIN, PRIORITY_SUPPORT],]
    );
}

#[test]
fn the_shipped_trial_is_fourteen_days_and_the_grace_period_three() {
    assert_eq!((catalog().trial_days(), catalog().grace_days()), (14, 3));
}

#[test]
fn the_shipped_prices_take_their_ids_from_the_documented_variables() {
    let catalog = catalog();
    let id = |tier: Tier, interval| {
        catalog.plan(&tier).and_then(|plan| plan.price(interval)?.id.clone()).map(|id| id.as_str().to_owned())
    };
    assert_eq!(id(pro(), Interval::Month).as_deref(), Some("price_pro"));
    assert_eq!(id(pro(), Interval::Year).as_deref(), Some("price_pro_year"));
    assert_eq!(id(enterprise(), Interval::Month).as_deref(), Some("price_ent"));
    assert_eq!(id(enterprise(), Interval::Year).as_deref(), Some("price_ent_year"));
    assert!(catalog.free().prices.is_empty());
}

#[test]
fn the_shipped_catalog_finds_prices_by_lookup_key_without_any_variable() {
    let catalog = parse(PLANS).expect("valid without any variable");
    let tier = |key| catalog.tier_of_price(&PriceId::new("price_any"), Some(key)).cloned();
    assert_eq!(tier("tollgate_pro_month"), Some(pro()));
    assert_eq!(tier("tollgate_enterprise_year"), Some(enterprise()));
}

#[test]
fn every_shipped_product_has_a_price_and_grants_credits() {
    for product in catalog().products() {
        assert!(product.amount.minor > 0, "{}", product.key);
        assert!(product.grants.is_some_and(|(_, quantity)| quantity > 0), "{}", product.key);
    }
}

#[test]
fn overage_is_denied_as_shipped() {
    assert!(catalog().meters().iter().all(|definition| definition.metered_price.is_none()));
    assert_eq!(catalog().overage(API_CALLS, Limit::Finite(10)), Overage::Deny);
}

// Defaults and lookups

#[test]
fn the_grace_period_defaults_to_three_days_and_the_trial_to_none() {
    let catalog = parse(&replaced("trial_days = 14\ngrace_days = 3\n", "")).expect("valid");
    assert_eq!((catalog.trial_days(), catalog.grace_days()), (0, 3));
}

#[test]
fn a_dispute_is_flagged_and_a_refund_keeps_access_unless_the_file_says_otherwise() {
    assert_eq!((catalog().on_dispute(), catalog().on_full_refund()), (OnDispute::Flag, OnFullRefund::Keep), "shipped");
    assert_eq!((valid().on_dispute(), valid().on_full_refund()), (OnDispute::Flag, OnFullRefund::Keep), "by default");
    let strict = "grace_days = 3\non_dispute = \"suspend\"\non_full_refund = \"end_access\"";
    let strict = parse(&replaced("grace_days = 3", strict)).expect("valid");
    assert_eq!((strict.on_dispute(), strict.on_full_refund()), (OnDispute::Suspend, OnFullRefund::EndAccess));
    assert_error(
        "grace_days = 3",
        "on_dispute = \"panic\"",
        &["top level: unknown on_dispute `panic` (known: flag, suspend)"],
    );
    assert_error(
        "grace_days = 3",
        "on_full_refund = \"flag\"",
        &["top level: unknown on_full_refund `flag` (known: keep, end_access)"],
    );
    assert_error("grace_days = 3", "on_dispute = true", &["`on_dispute` must be a non-empty string"]);
}

#[test]
fn a_pause_ends_access_unless_the_file_says_otherwise() {
    assert_eq!((catalog().on_pause(), valid().on_pause()), (OnPause::EndAccess, OnPause::EndAccess));
    let keeps = parse(&replaced("grace_days = 3", "grace_days = 3\non_pause = \"keep_period\"")).expect("valid");
    assert_eq!(keeps.on_pause(), OnPause::KeepPeriod);
    assert_error(
        "grace_days = 3",
        "on_pause = \"keep\"",
        &["top level: unknown on_pause `keep` (known: end_access, keep_period)"],
    );
}

#[test]
fn a_catalog_needs_neither_features_nor_meters() {
    let catalog = parse("[[plan]]\ntier = \"FREE\"\nname = \"Free\"").expect("valid");
    assert!(catalog.features().is_empty() && catalog.meters().is_empty());
    assert_eq!(catalog.free().limit(API_CALLS), Limit::Finite(0), "an undeclared meter is not included");
}

#[test]
fn labels_come_from_the_file_and_default_to_the_key() {
    let catalog = valid();
    assert_eq!(catalog.feature_label(CUSTOM_DOMAIN), "Custom domain");
    assert_eq!(catalog.meter_label(API_CALLS), "API calls");
    assert_eq!(catalog.feature_label(ADVANCED_ANALYTICS), "advancedAnalytics");
    assert_eq!(catalog.meter_label(Meter::new("seats")), "seats");
}

#[test]
fn a_product_is_found_by_its_key_and_grants_its_meter() {
    let catalog = valid();
    let product = catalog.product("credits").expect("the product");
    assert_eq!((product.amount.clone(), product.grants), (usd(500), Some((AI_GENERATIONS, 100))));
    assert_eq!(catalog.product("credit"), None);
}

#[test]
fn a_plan_is_found_by_its_full_name_in_any_case() {
    let catalog = catalog();
    assert_eq!(catalog.plan_named("pro").map(|plan| &plan.tier), Some(&pro()));
    assert_eq!(catalog.plan_named("Enterprise").map(|plan| &plan.tier), Some(&enterprise()));
    for name in ["", "pr", "pro ", "price_pro", "GOLD"] {
        assert!(catalog.plan_named(name).is_none(), "{name:?}");
    }
}

#[test]
fn the_cheapest_plan_with_a_feature_is_the_lowest_that_includes_it() {
    let catalog = catalog();
    assert_eq!(catalog.cheapest_with(CUSTOM_DOMAIN).map(|plan| &plan.tier), Some(&pro()));
    assert_eq!(catalog.cheapest_with(PRIORITY_SUPPORT).map(|plan| &plan.tier), Some(&enterprise()));
    assert_eq!(catalog.cheapest_with(Feature::new("flying")), None);
}

#[test]
fn unlimited_is_more_than_any_number() {
    assert_eq!(Limit::Finite(u64::MAX).max(Limit::Unlimited), Limit::Unlimited);
    assert_eq!(Limit::Unlimited.max(Limit::Finite(0)), Limit::Unlimited);
    assert_eq!(Limit::Finite(3).max(Limit::Finite(7)), Limit::Finite(7));
}

#[test]
fn limits_are_displayed_with_grouped_digits() {
    assert_eq!(Limit::Finite(10_000).to_string(), "10,000");
    assert_eq!(Limit::Unlimited.to_string(), "unlimited");
}

#[test]
fn an_interval_is_parsed_and_serialized_by_its_name() {
    for interval in Interval::ALL {
        assert_eq!(Interval::parse(interval.as_str()), Some(*interval));
        let json = serde_json::to_string(interval).expect("a name");
        assert_eq!(json, format!("\"{interval}\""));
    }
    assert_eq!(Interval::parse("weekly"), None);
}

#[test]
fn a_plan_may_be_sold_in_several_currencies_and_the_first_is_the_default() {
    let euros = "\n  [[plan.price]]\n  interval = \"month\"\n  amount = 2700\n  currency = \"eur\"\n  lookup_key = \"pro_month_eur\"\n";
    let catalog = parse(&replaced("\n[[product]]", &format!("{euros}\n[[product]]"))).expect("valid");
    let plan = catalog.plan(&pro()).expect("the plan");
    assert_eq!(plan.prices.len(), 2);
    assert_eq!(plan.price(Interval::Month).map(|price| price.amount.clone()), Some(usd(2900)));
    let in_euros = catalog.tier_of_price(&PriceId::new("price_any"), Some("pro_month_eur"));
    assert_eq!(in_euros, Some(&pro()));
}

// Declarations that code requires

#[test]
fn constants_in_code_have_to_be_declared() {
    let all_features = [ADVANCED_ANALYTICS, CUSTOM_DOMAIN, PRIORITY_SUPPORT];
    assert_eq!(catalog().check_declared(&all_features, &[API_CALLS, AI_GENERATIONS]), Ok(()));
    assert_eq!(valid().check_declared(&[], &[]), Ok(()));
}

#[test]
fn every_undeclared_constant_is_reported_with_the_declared_ones() {
    let CatalogErrors(errors) = valid()
        .check_declared(&[CUSTOM_DOMAIN, ADVANCED_ANALYTICS], &[API_CALLS, Meter::new("seats")])
        .expect_err("two are missing");
    assert_eq!(
        errors,
        [
            "plans.toml does not declare the feature `advancedAnalytics` (declared: customDomain, prioritySupport)",
            "plans.toml does not declare the meter `seats` (declared: apiCallsPerMonth, aiGenerationsPerMonth)",
        ]
    );
    let nothing = parse("[[plan]]\ntier = \"FREE\"\nname = \"Free\"").expect("valid");
    let CatalogErrors(errors) = nothing.check_declared(&[CUSTOM_DOMAIN], &[]).expect_err("it is missing");
    assert!(errors[0].ends_with("(declared: none)"), "{errors:?}");
}

// From a Stripe price to a tier

#[test]
fn a_price_is_found_by_the_id_from_the_environment() {
    let catalog = catalog();
    assert_eq!(catalog.tier_of_price(&PriceId::new("price_pro"), None), Some(&pro()));
    assert_eq!(catalog.tier_of_price(&PriceId::new("price_ent_year"), None), Some(&enterprise()));
    assert_eq!(catalog.tier_of_price(&PriceId::new("price_PRO"), None), None, "ids are case-sensitive");
}

#[test]
fn a_retired_price_still_belongs_to_its_plan() {
    assert_eq!(valid().tier_of_price(&PriceId::new("price_2024"), None), Some(&pro()));
}

#[test]
fn an_id_outranks_a_lookup_key() {
    let tier = catalog().tier_of_price(&PriceId::new("price_pro"), Some("tollgate_enterprise_month")).cloned();
    assert_eq!(tier, Some(pro()));
}

#[test]
fn an_unknown_price_belongs_to_no_tier() {
    for key in [None, Some(""), Some("tollgate_gold_month")] {
        assert_eq!(catalog().tier_of_price(&PriceId::new("price_other"), key), None);
    }
    assert_eq!(catalog().tier_of_price(&PriceId::new(""), None), None);
}

#[test]
fn an_empty_variable_counts_as_unset_and_whitespace_around_an_id_is_trimmed() {
    let id_from = |value: &'static str| {
        let catalog = Catalog::parse(VALID, &|_| Some(value.to_owned())).expect("valid");
        catalog.plan(&pro()).and_then(|plan| plan.prices[0].id.clone())
    };
    assert_eq!(id_from(""), None);
    assert_eq!(id_from("  "), None);
    assert_eq!(id_from(" price_1 \r\n"), Some(PriceId::new("price_1")));
}

#[test]
fn only_the_variables_listed_in_the_file_are_read() {
    let read = std::cell::RefCell::new(Vec::new());
    let catalog = Catalog::parse(VALID, &|name| {
        read.borrow_mut().push(name.to_owned());
        None
    });
    assert!(catalog.is_ok());
    assert_eq!(read.into_inner(), ["PRO_ID"]);
}

// Errors

#[test]
fn text_that_is_not_toml_is_one_error_with_its_line() {
    let errors = parse("[[plan]\n").expect_err("not TOML").0;
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("line 1"), "{}", errors[0]);
}

#[test]
fn a_catalog_needs_a_plan() {
    for text in ["", "trial_days = 14"] {
        let errors = parse(text).expect_err("no plan").0;
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("[[plan]]"));
    }
}

#[test]
fn unknown_keys_are_errors_in_every_table() {
    assert_error("grace_days", "grace_dayz", &["top level", "`grace_dayz`", "grace_days"]);
    assert_error("name = \"Pro\"", "name = \"Pro\"\ncolor = \"red\"", &["plan `PRO`", "`color`", "retired_prices"]);
    assert_error("amount = 2900", "amount = 2900\ntrial = 3", &["plan `PRO`", "price 1", "`trial`", "interval"]);
    assert_error("amount = 500", "amount = 500\nvat = 20", &["product `credits`", "`vat`", "quantity"]);
    assert_error(
        "label = \"API calls\"",
        "label = \"API calls\"\nunit = \"call\"",
        &["meter `api", "`unit`", "overage"],
    );
    assert_error(
        "label = \"Custom domain\"",
        "label = \"Custom domain\"\nbeta = true",
        &["feature `customDomain`", "`beta`", "(known: key, label)"],
    );
}

#[test]
fn unknown_names_are_errors_that_list_the_known_ones() {
    assert_error("\"customDomain\"", "\"customDomains\"", &["plan `PRO`", "`customDomains`", "customDomain,"]);
    assert_error("apiCallsPerMonth = 1000,", "apiCallsPerMonth = 1000, seats = 5,", &["`seats`", "apiCallsPerMonth"]);
    assert_error("meter = \"ai", "meter = \"AI", &["product `credits`", "`AIGenerationsPerMonth`"]);
    assert_error("\"month\"", "\"weekly\"", &["plan `PRO`", "`weekly`", "month, year"]);
}

#[test]
fn features_and_meters_need_a_key_and_a_label() {
    assert_error("label = \"Custom domain\"", "", &["feature `customDomain`", "`label`", "missing"]);
    assert_error("label = \"API calls\"", "label = \" \"", &["meter `apiCallsPerMonth`", "`label`"]);
    assert_error("key = \"prioritySupport\"", "", &["feature 2", "`key`", "missing"]);
    assert_error("key = \"prioritySupport\"", "key = \"priority support\"", &["`key`", "letters"]);
}

#[test]
fn a_limit_is_a_whole_number_or_unlimited() {
    for wrong in ["-1", "1.5", "\"none\"", "\"1000\"", "true", "\"Unlimited\""] {
        let part = "apiCallsPerMonth = 1000";
        assert_error(part, &format!("apiCallsPerMonth = {wrong}"), &["plan `PRO`", "`apiCallsPerMonth`"]);
    }
    let zero = parse(&replaced("apiCallsPerMonth = 1000", "apiCallsPerMonth = 0")).expect("valid");
    assert_eq!(zero.plan(&pro()).map(|plan| plan.limit(API_CALLS)), Some(Limit::Finite(0)));
}

#[test]
fn every_plan_has_to_limit_every_declared_meter() {
    assert_error("apiCallsPerMonth = 1000, ", "", &["plan `PRO`", "`apiCallsPerMonth`"]);
    let both = parse(&VALID.replace("apiCallsPerMonth = 100,", "").replace("apiCallsPerMonth = 1000,", ""));
    let errors = both.expect_err("it is missing from two plans").0;
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("plan `FREE`") && errors[1].contains("plan `PRO`"), "{errors:?}");
    let declared = format!("{VALID}\n[[meter]]\nkey = \"seats\"\nlabel = \"Seats\"");
    let errors = parse(&declared).expect_err("it is missing from both plans").0;
    assert!(errors.len() == 2 && errors.iter().all(|error| error.contains("`seats`")), "{errors:?}");
}

#[test]
fn a_misspelled_meter_is_both_unknown_and_missing() {
    let errors = errors_of("apiCallsPerMonth = 1000", "apiCalls = 1000");
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn the_first_plan_has_no_price_and_every_other_has_one() {
    let price =
        "\n  [[plan.price]]\n  interval = \"month\"\n  amount = 1\n  currency = \"usd\"\n  lookup_key = \"free\"\n";
    assert_error(
        "aiGenerationsPerMonth = 10 }",
        &format!("aiGenerationsPerMonth = 10 }}{price}"),
        &["plan `FREE`", "price"],
    );
    assert_error(
        "[[product]]",
        "[[plan]]\ntier = \"MAX\"\nname = \"Max\"\nlimits = { apiCallsPerMonth = 1, aiGenerationsPerMonth = 1 }\n[[product]]",
        &["plan `MAX`", "[[plan.price]]"],
    );
}

#[test]
fn names_used_in_forms_and_urls_have_only_plain_characters() {
    assert_error("\"PRO\"", "\"PRO PLUS\"", &["PRO PLUS", "`tier`"]);
    assert_error("\"PRO\"", "\"\"", &["`tier`"]);
    assert_error("\"credits\"", "\"a/b\"", &["a/b", "`key`"]);
    assert_error("\"credits\"", "\"\"", &["`key`"]);
}

#[test]
fn displayed_names_and_lookup_keys_are_not_empty() {
    assert_error("name = \"Pro\"", "name = \" \"", &["plan `PRO`", "`name`"]);
    assert_error("\"pro_month\"", "\"\"", &["plan `PRO`", "`lookup_key`"]);
    assert_error("\"credits_100\"", "\"\"", &["product `credits`", "`lookup_key`"]);
    assert_error("\"price_2024\"", "\"\"", &["plan `PRO`", "`retired_prices`"]);
}

#[test]
fn missing_keys_are_named() {
    assert_error("tier = \"PRO\"", "", &["plan 2", "`tier`", "missing"]);
    assert_error("name = \"Pro\"", "", &["plan `PRO`", "`name`", "missing"]);
    assert_error("interval = \"month\"", "", &["plan `PRO`, price 1", "`interval`", "missing"]);
    assert_error("amount = 2900", "", &["plan `PRO`, price 1", "`amount`", "missing"]);
    assert_error("lookup_key = \"credits_100\"", "", &["product `credits`", "`lookup_key`", "missing"]);
}

#[test]
fn amounts_are_whole_minor_units_in_a_real_currency() {
    for wrong in ["-1", "29.00", "\"2900\""] {
        assert_error("amount = 2900", &format!("amount = {wrong}"), &["plan `PRO`", "`amount`"]);
        assert_error("amount = 500", &format!("amount = {wrong}"), &["product `credits`", "`amount`"]);
    }
    assert_error("currency = \"usd\"", "currency = \"dollar\"", &["plan `PRO`", "`dollar`"]);
}

#[test]
fn days_are_whole_and_a_trial_is_no_longer_than_stripe_accepts() {
    assert_error("trial_days = 14", "trial_days = 731", &["731", "730"]);
    assert!(parse(&replaced("trial_days = 14", "trial_days = 730")).is_ok());
    assert_error("trial_days = 14", "trial_days = -1", &["`trial_days`"]);
    assert_error("grace_days = 3", "grace_days = \"three\"", &["`grace_days`"]);
}

#[test]
fn a_product_grants_a_meter_and_a_quantity_or_neither() {
    assert_error("quantity = 100", "", &["product `credits`", "`meter`", "`quantity`"]);
    assert_error("quantity = 100", "quantity = 0", &["product `credits`", "`quantity`"]);
    assert_error("quantity = 100", "quantity = -1", &["product `credits`", "`quantity`"]);
    assert_error("meter = \"aiGenerationsPerMonth\"", "", &["product `credits`", "`meter`"]);
    let plain = replaced("meter = \"aiGenerationsPerMonth\"\nquantity = 100", "");
    assert_eq!(parse(&plain).expect("valid").product("credits").map(|product| product.grants), Some(None));
}

#[test]
fn names_are_unique() {
    let second = |tier: &str, key: &str, env: &str| {
        format!(
            "[[plan]]\ntier = \"{tier}\"\nname = \"Max\"\nlimits = {{ apiCallsPerMonth = 1, aiGenerationsPerMonth = 1 }}\n\
             [[plan.price]]\ninterval = \"month\"\namount = 1\ncurrency = \"usd\"\nlookup_key = \"{key}\"\nenv = \"{env}\"\n\
             [[product]]"
        )
    };
    assert_error("[[product]]", &second("PRO", "max", "MAX_ID"), &["tier `PRO`", "twice"]);
    assert_error("[[product]]", &second("pro", "max", "MAX_ID"), &["tier `pro`", "twice"]);
    assert_error("[[product]]", &second("MAX", "pro_month", "MAX_ID"), &["lookup_key `pro_month`", "twice"]);
    assert_error("[[product]]", &second("MAX", "max", "PRO_ID"), &["env `PRO_ID`", "twice"]);
    assert_error("\"credits_100\"", "\"pro_month\"", &["lookup_key `pro_month`", "twice"]);
    assert_error("[\"customDomain\"]", "[\"customDomain\", \"customDomain\"]", &["`customDomain`", "twice"]);
    assert_error("[\"price_2024\"]", "[\"price_2024\", \"price_2024\"]", &["price id `price_2024`", "twice"]);
    assert_error("key = \"prioritySupport\"", "key = \"customDomain\"", &["feature `customDomain`", "twice"]);
    let meter = "\n[[meter]]\nkey = \"apiCallsPerMonth\"\nlabel = \"Calls\"";
    let errors = parse(&format!("{VALID}{meter}")).expect_err("declared twice").0;
    assert_eq!(errors, ["meter `apiCallsPerMonth` appears twice"]);
}

#[test]
fn a_plan_has_one_price_per_interval_and_currency() {
    let another = "\n  [[plan.price]]\n  interval = \"month\"\n  amount = 1\n  currency = \"USD\"\n  lookup_key = \"x\"\n\n[[product]]";
    assert_error("\n[[product]]", another, &["plan `PRO`", "month", "usd"]);
}

#[test]
fn a_price_id_that_the_environment_configures_twice_is_an_error() {
    let errors = Catalog::parse(PLANS, &|_| Some("price_same".to_owned())).expect_err("four times the same").0;
    assert_eq!(errors.len(), 3, "{errors:?}");
    let retired = Catalog::parse(VALID, &|_| Some("price_2024".to_owned())).expect_err("sold and retired").0;
    assert_eq!(retired.len(), 1, "{retired:?}");
    assert!(retired[0].contains("price_2024"));
}

#[test]
fn a_table_of_the_wrong_type_hides_no_other_error() {
    for (part, replacement) in [
        ("limits = { apiCallsPerMonth = 100, aiGenerationsPerMonth = 10 }", "limits = 100"),
        ("features = [\"customDomain\"]", "features = \"customDomain\""),
        ("retired_prices = [\"price_2024\"]", "retired_prices = { id = \"price_2024\" }"),
        ("label = \"API calls\"", "label = [\"API calls\"]"),
    ] {
        let text = replaced(part, replacement).replace("amount = 500", "amount = \"500\"");
        let errors = parse(&text).expect_err("two errors or more").0;
        let key = part.split(' ').next().unwrap();
        assert!(errors.iter().any(|error| error.contains(&format!("`{key}` must be"))), "{key}: {errors:#?}");
        assert!(errors.iter().any(|error| error.contains("`amount` must be")), "{key}: {errors:#?}");
    }
    let errors = parse("plan = 5\nproduct = [1]\ntrial_days = 1000").expect_err("all of it is wrong").0;
    assert_eq!(errors.len(), 4, "{errors:#?}");
}

#[test]
fn all_errors_are_reported_together() {
    let wrong = r#"
trial_days = 1000
grace = 3

[[feature]]
key = "running"

[[meter]]
key = "apiCallsPerMonth"
label = "API calls"
overage = "perhaps"

[[meter]]
key = "aiGenerationsPerMonth"
label = 5

[[plan]]
tier = "FREE"
features = ["flying", "running"]
limits = { apiCallsPerMonth = -5 }

[[plan]]
tier = "free"
name = "Again"
color = "red"
limits = { apiCallsPerMonth = 1, aiGenerationsPerMonth = 1, seats = 2 }

  [[plan.price]]
  interval = "fortnight"
  amount = "much"
  currency = "dollars"

[[product]]
key = "a b"
name = "Thing"
amount = 1
currency = "usd"
lookup_key = "thing"
quantity = 1
"#;
    let errors = parse(wrong).expect_err("nearly everything is wrong").0;
    let expected = [
        "`grace`",
        "trial_days = 1000",
        "feature `running`: `label` is missing",
        "overage `perhaps`",
        "`label` must be",
        "`name` is missing",
        "`flying`",
        "limits: `apiCallsPerMonth`",
        "`limits` has no `aiGenerationsPerMonth`",
        "tier `free` appears twice",
        "`color`",
        "`seats`",
        "`fortnight`",
        "`amount`",
        "`dollars`",
        "`lookup_key` is missing",
        "`key` must be",
        "`meter` and a `quantity`",
    ];
    for words in expected {
        assert_eq!(errors.iter().filter(|error| error.contains(words)).count(), 1, "{words}: {errors:#?}");
    }
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    assert_eq!(CatalogErrors(errors.clone()).to_string(), errors.join("\n"));
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn leaving_out_a_line_gives_a_catalog_or_errors_but_no_panic(skipped in 0..VALID.lines().count()) {
        let text: Vec<&str> =
            VALID.lines().enumerate().filter(|(place, _)| *place != skipped).map(|(_, line)| line).collect();
        if let Err(CatalogErrors(errors)) = parse(&text.join("\n")) {
            prop_assert!(!errors.is_empty());
        }
    }
}

// Metered prices

const METER: &str = "key = \"apiCallsPerMonth\"\n";

const BILLED: &str = r#"key = "apiCallsPerMonth"
overage = "bill"
event_name = "api_calls"
lookup_key = "api_calls_metered"
"#;

/// [`VALID`] with this in place of the key of the API calls meter.
fn with_meter(meter: &str) -> Result<Catalog, CatalogErrors> {
    parse(&replaced(METER, meter))
}

#[test]
fn overage_is_denied_unless_a_metered_price_is_configured() {
    let billed = with_meter(BILLED).expect("valid");
    assert_eq!(billed.overage(API_CALLS, Limit::Finite(10)), Overage::Bill { max: 10 }, "as much as is included");
    assert_eq!(billed.overage(AI_GENERATIONS, Limit::Finite(10)), Overage::Deny);
    assert_eq!(billed.metered_price(API_CALLS).map(|price| price.event_name.as_str()), Some("api_calls"));
    assert_eq!(billed.metered_prices().map(|(meter, _)| meter).collect::<Vec<_>>(), [API_CALLS]);
    let denied = with_meter(&format!("{METER}overage = \"deny\"\n")).expect("valid");
    assert_eq!(denied.overage(API_CALLS, Limit::Finite(10)), Overage::Deny);
    assert_eq!(valid().overage(API_CALLS, Limit::Finite(10)), Overage::Deny);
}

#[test]
fn overage_has_a_ceiling_which_a_plan_that_includes_nothing_must_specify() {
    let named = with_meter(&format!("{BILLED}max_overage = 7\n")).expect("valid");
    assert_eq!(named.overage(API_CALLS, Limit::Finite(10)), Overage::Bill { max: 7 });
    let nothing = |meter: &str| {
        let text = replaced(METER, meter);
        assert!(text.contains("apiCallsPerMonth = 1000"), "{text}");
        parse(&text.replace("apiCallsPerMonth = 1000", "apiCallsPerMonth = 0"))
    };
    let errors = nothing(BILLED).expect_err("no ceiling").0;
    assert_eq!(errors, ["meter `apiCallsPerMonth` needs `max_overage`, because plan `PRO` includes none"]);
    assert!(nothing(&format!("{BILLED}max_overage = 7\n")).is_ok());
    let denied = with_meter(&format!("{METER}max_overage = 7\n")).expect_err("it is not billed").0.join("\n");
    assert!(denied.contains("need overage = \"bill\""), "{denied}");
}

#[test]
fn a_subscription_has_the_metered_prices_of_the_meters_its_plan_limits() {
    let priced = BILLED.replace("event_name", "amount = 2\ncurrency = \"usd\"\nevent_name");
    let prices = |text: &str| {
        let catalog = parse(text).expect("valid");
        let plan = catalog.plan_named("PRO").expect("the plan");
        catalog.metered_prices_of(plan).map(|(_, price)| price.clone()).collect::<Vec<_>>()
    };
    let [price] = &prices(&replaced(METER, &priced))[..] else { panic!("one price") };
    assert_eq!(price.unit.as_ref().map(|unit| unit.minor), Some(2));
    assert_eq!(price.lookup_key_at(Interval::Year), "api_calls_metered_year");
    let unlimited = priced.replace("apiCallsPerMonth", "aiGenerationsPerMonth");
    let text = replaced("key = \"aiGenerationsPerMonth\"\n", &unlimited);
    assert_eq!(prices(&text), [], "an unlimited meter has no overage");
}

#[test]
fn a_metered_price_is_recognized_by_its_lookup_key_and_belongs_to_no_tier() {
    let catalog = with_meter(BILLED).expect("valid");
    for key in ["api_calls_metered_month", "api_calls_metered_year"] {
        assert!(catalog.bills(API_CALLS, Some(key)) && catalog.is_metered(Some(key)), "{key}");
        assert!(!catalog.bills(AI_GENERATIONS, Some(key)), "{key}");
    }
    for key in [None, Some("api_calls_metered"), Some("pro_month")] {
        assert!(!catalog.bills(API_CALLS, key) && !catalog.is_metered(key), "{key:?}");
    }
    let mut metered = subscription("sub_1", "price_2024");
    metered.items.push(item("price_calls", START, END));
    metered.items[1].lookup_key = Some("api_calls_metered_month".to_owned());
    assert_eq!(metered.tier(&catalog), (Some(&pro()), true), "a metered item is known");
    let only_metered = Subscription { items: metered.items[1..].to_vec(), status: Status::Active, ..metered };
    assert_eq!(only_metered.tier(&catalog).0, None);
}

#[test]
fn an_incomplete_metered_price_is_an_error() {
    let errors = |meter: &str| with_meter(meter).expect_err("an error").0.join("\n");
    let needs_both = "overage = \"bill\" needs `event_name` and `lookup_key`";
    assert!(errors(&BILLED.replace("event_name = \"api_calls\"\n", "")).contains(needs_both));
    assert!(errors(&BILLED.replace("lookup_key = \"api_calls_metered\"\n", "")).contains(needs_both));
    assert!(errors(&BILLED.replace("\"bill\"", "\"deny\"")).contains("need overage = \"bill\""));
    assert!(errors(&BILLED.replace("overage = \"bill\"\n", "")).contains("need overage = \"bill\""));
    assert!(errors(&format!("{METER}amount = 1\ncurrency = \"usd\"\n")).contains("need overage = \"bill\""));
    assert!(errors(&format!("{BILLED}amount = 1\n")).contains("`currency` is missing"));
    assert!(errors(&BILLED.replace("\"bill\"", "\"sell\"")).contains("unknown overage `sell` (known: deny, bill)"));
    assert!(errors(&BILLED.replace("api_calls_metered", "pro")).contains("lookup_key `pro_month` appears twice"));
}

#[test]
fn two_meters_have_different_event_names() {
    let second = BILLED.replace("apiCallsPerMonth", "aiGenerationsPerMonth").replace("_metered", "_too");
    let text = replaced(METER, BILLED).replacen("key = \"aiGenerationsPerMonth\"\n", &second, 1);
    assert_eq!(parse(&text).expect_err("one name for two").0, ["event_name `api_calls` appears twice"]);
}
