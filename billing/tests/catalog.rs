//! The plans: what is shipped, what is refused, and how a Stripe price finds its tier.

mod support;

use billing::{Catalog, CatalogErrors, Currency, Feature, Interval, Limit, Meter, Money, Overage, PriceId, Tier};
use proptest::prelude::*;
use support::{PLANS, catalog, enterprise, free, pro};

/// The smallest sound catalogue; faults are made by replacing parts of it.
const SOUND: &str = r#"
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
"#;

fn parse(text: &str) -> Result<Catalog, CatalogErrors> {
    Catalog::parse(text, &|_| None)
}

fn sound() -> Catalog {
    parse(SOUND).expect("sound")
}

/// [`SOUND`] with one part replaced: what is wrong with that.
#[track_caller]
fn faults_of(part: &str, replacement: &str) -> Vec<String> {
    assert!(SOUND.contains(part), "{part} is not in the text");
    parse(&SOUND.replacen(part, replacement, 1)).expect_err("this is a fault").0
}

/// Exactly one fault, and it speaks of all of `words`.
#[track_caller]
fn assert_fault(part: &str, replacement: &str, words: &[&str]) {
    let faults = faults_of(part, replacement);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    for word in words {
        assert!(faults[0].contains(word), "{word} is not in: {}", faults[0]);
    }
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").expect("a currency"))
}

// What is shipped

#[test]
fn the_shipped_tiers_stand_in_their_order_with_their_names() {
    let catalog = catalog();
    let plans: Vec<(&str, &str)> = catalog.plans().iter().map(|p| (p.tier.as_str(), p.name.as_str())).collect();
    assert_eq!(plans, [("FREE", "Free"), ("PRO", "Pro"), ("ENTERPRISE", "Enterprise")]);
    assert_eq!([free(), pro(), enterprise()].map(|tier| catalog.rank(&tier)), [Some(0), Some(1), Some(2)]);
    assert_eq!(catalog.free().tier, free());
}

#[test]
fn the_shipped_limits_are_those_of_the_table() {
    let catalog = catalog();
    let limits = |meter| catalog.plans().iter().map(|plan| plan.limit(meter)).collect::<Vec<_>>();
    assert_eq!(limits(Meter::ApiCalls), [Limit::Finite(100), Limit::Finite(10_000), Limit::Unlimited]);
    assert_eq!(limits(Meter::AiGenerations), [Limit::Finite(10), Limit::Finite(500), Limit::Unlimited]);
}

#[test]
fn the_shipped_features_are_those_of_the_table() {
    let features: Vec<Vec<Feature>> =
        catalog().plans().iter().map(|plan| plan.features.iter().copied().collect()).collect();
    assert_eq!(
        features,
        [
            vec![],
            vec![Feature::AdvancedAnalytics, Feature::CustomDomain],
            vec![Feature::AdvancedAnalytics, Feature::CustomDomain, Feature::PrioritySupport],
        ]
    );
}

#[test]
fn the_shipped_trial_is_fourteen_days_and_the_grace_three() {
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
fn the_shipped_catalogue_needs_no_environment_and_finds_prices_by_lookup_key() {
    let catalog = parse(PLANS).expect("sound without any variable");
    let tier = |key| catalog.tier_of_price(&PriceId::new("price_any"), Some(key)).cloned();
    assert_eq!(tier("tollgate_pro_month"), Some(pro()));
    assert_eq!(tier("tollgate_enterprise_year"), Some(enterprise()));
}

#[test]
fn every_shipped_product_has_a_price_and_grants_something() {
    for product in catalog().products() {
        assert!(product.amount.minor > 0, "{}", product.key);
        assert!(product.grants.is_some_and(|(_, quantity)| quantity > 0), "{}", product.key);
    }
}

// Reading

#[test]
fn grace_is_three_days_and_trial_none_unless_said() {
    let silent = parse(&SOUND.replace("trial_days = 14\ngrace_days = 3\n", "")).expect("sound");
    assert_eq!((silent.trial_days(), silent.grace_days()), (0, 3));
}

#[test]
fn a_product_is_found_by_its_key_and_grants_its_meter() {
    let catalog = sound();
    let product = catalog.product("credits").expect("it is there");
    assert_eq!((product.amount.clone(), product.grants), (usd(500), Some((Meter::AiGenerations, 100))));
    assert_eq!(catalog.product("credit"), None);
}

#[test]
fn a_plan_is_named_in_either_case_and_never_by_a_part() {
    let catalog = catalog();
    assert_eq!(catalog.plan_named("pro").map(|plan| &plan.tier), Some(&pro()));
    assert_eq!(catalog.plan_named("Enterprise").map(|plan| &plan.tier), Some(&enterprise()));
    for name in ["", "pr", "pro ", "price_pro", "GOLD"] {
        assert!(catalog.plan_named(name).is_none(), "{name:?}");
    }
}

#[test]
fn the_cheapest_plan_with_a_feature_is_the_lowest_that_has_it() {
    let catalog = catalog();
    assert_eq!(catalog.cheapest_with(Feature::CustomDomain).map(|plan| &plan.tier), Some(&pro()));
    assert_eq!(catalog.cheapest_with(Feature::PrioritySupport).map(|plan| &plan.tier), Some(&enterprise()));
}

#[test]
fn unlimited_is_more_than_any_number() {
    assert_eq!(Limit::Finite(u64::MAX).max(Limit::Unlimited), Limit::Unlimited);
    assert_eq!(Limit::Unlimited.max(Limit::Finite(0)), Limit::Unlimited);
    assert_eq!(Limit::Finite(3).max(Limit::Finite(7)), Limit::Finite(7));
    assert_eq!(
        (Limit::Finite(10_000).to_string().as_str(), Limit::Unlimited.to_string().as_str()),
        ("10,000", "unlimited")
    );
}

#[test]
fn every_key_reads_back_as_itself() {
    assert!(Feature::ALL.iter().all(|feature| Feature::parse(feature.as_str()) == Some(*feature)));
    assert!(Meter::ALL.iter().all(|meter| Meter::parse(meter.as_str()) == Some(*meter)));
    assert!(Interval::ALL.iter().all(|interval| Interval::parse(interval.as_str()) == Some(*interval)));
    let json = serde_json::to_string(&Meter::AiGenerations).expect("a key");
    assert_eq!(json, "\"aiGenerationsPerMonth\"");
}

#[test]
fn a_plan_may_be_sold_in_several_currencies_and_the_first_is_the_default() {
    let euros = "\n  [[plan.price]]\n  interval = \"month\"\n  amount = 2700\n  currency = \"eur\"\n  lookup_key = \"pro_month_eur\"\n";
    let catalog = parse(&SOUND.replace("\n[[product]]", &format!("{euros}\n[[product]]"))).expect("sound");
    let plan = catalog.plan(&pro()).expect("it is there");
    assert_eq!(plan.prices.len(), 2);
    assert_eq!(plan.price(Interval::Month).map(|price| price.amount.clone()), Some(usd(2900)));
    let in_euros = catalog.tier_of_price(&PriceId::new("price_any"), Some("pro_month_eur"));
    assert_eq!(in_euros, Some(&pro()));
}

// From a Stripe price to a tier

#[test]
fn a_price_is_found_by_the_id_from_the_environment() {
    let catalog = catalog();
    assert_eq!(catalog.tier_of_price(&PriceId::new("price_pro"), None), Some(&pro()));
    assert_eq!(catalog.tier_of_price(&PriceId::new("price_ent_year"), None), Some(&enterprise()));
    assert_eq!(catalog.tier_of_price(&PriceId::new("price_PRO"), None), None, "ids have their case");
}

#[test]
fn a_price_no_longer_sold_still_means_its_plan() {
    assert_eq!(sound().tier_of_price(&PriceId::new("price_2024"), None), Some(&pro()));
}

#[test]
fn an_id_counts_more_than_a_lookup_key() {
    let tier = catalog().tier_of_price(&PriceId::new("price_pro"), Some("tollgate_enterprise_month")).cloned();
    assert_eq!(tier, Some(pro()));
}

#[test]
fn an_unknown_price_means_no_tier() {
    for key in [None, Some(""), Some("tollgate_gold_month")] {
        assert_eq!(catalog().tier_of_price(&PriceId::new("price_other"), key), None);
    }
    assert_eq!(catalog().tier_of_price(&PriceId::new(""), None), None);
}

#[test]
fn an_empty_variable_counts_as_unset_and_spaces_around_an_id_are_dropped() {
    let id_from = |value: &'static str| {
        let catalog = Catalog::parse(SOUND, &|_| Some(value.to_owned())).expect("sound");
        catalog.plan(&pro()).and_then(|plan| plan.prices[0].id.clone())
    };
    assert_eq!(id_from(""), None);
    assert_eq!(id_from("  "), None);
    assert_eq!(id_from(" price_1 \r\n"), Some(PriceId::new("price_1")));
}

#[test]
fn only_the_variables_that_the_file_names_are_asked_for() {
    let asked = std::cell::RefCell::new(Vec::new());
    let catalog = Catalog::parse(SOUND, &|name| {
        asked.borrow_mut().push(name.to_owned());
        None
    });
    assert!(catalog.is_ok());
    assert_eq!(asked.into_inner(), ["PRO_ID"]);
}

// What is refused

#[test]
fn what_is_not_toml_is_refused_with_its_place() {
    let faults = parse("[[plan]\n").expect_err("not TOML").0;
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("line 1"), "{}", faults[0]);
}

#[test]
fn a_catalogue_without_plans_is_refused() {
    for text in ["", "trial_days = 14"] {
        let faults = parse(text).expect_err("no plan").0;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("[[plan]]"));
    }
}

#[test]
fn unknown_keys_are_refused_at_every_depth() {
    assert_fault("grace_days", "grace_dayz", &["top level", "`grace_dayz`", "grace_days"]);
    assert_fault("name = \"Pro\"", "name = \"Pro\"\ncolour = \"red\"", &["plan `PRO`", "`colour`"]);
    assert_fault("amount = 2900", "amount = 2900\ntrial = 3", &["plan `PRO`", "price 1", "`trial`"]);
    assert_fault("amount = 500", "amount = 500\nvat = 20", &["product `credits`", "`vat`"]);
}

#[test]
fn unknown_features_meters_and_intervals_are_refused_with_those_that_are_known() {
    assert_fault("\"customDomain\"", "\"customDomains\"", &["plan `PRO`", "`customDomains`", "customDomain,"]);
    assert_fault("apiCallsPerMonth = 1000,", "apiCallsPerMonth = 1000, seats = 5,", &["`seats`", "apiCallsPerMonth"]);
    assert_fault("meter = \"ai", "meter = \"AI", &["product `credits`", "`AIGenerationsPerMonth`"]);
    assert_fault("\"month\"", "\"weekly\"", &["plan `PRO`", "`weekly`", "month, year"]);
}

#[test]
fn a_limit_is_a_whole_number_from_zero_or_unlimited() {
    for wrong in ["-1", "1.5", "\"none\"", "\"1000\"", "true", "\"Unlimited\""] {
        let part = "apiCallsPerMonth = 1000";
        assert_fault(part, &format!("apiCallsPerMonth = {wrong}"), &["plan `PRO`", "`apiCallsPerMonth`"]);
    }
    let zero = parse(&SOUND.replace("apiCallsPerMonth = 1000", "apiCallsPerMonth = 0")).expect("sound");
    assert_eq!(zero.plan(&pro()).map(|plan| plan.limit(Meter::ApiCalls)), Some(Limit::Finite(0)));
}

#[test]
fn every_plan_must_say_every_limit() {
    assert_fault("apiCallsPerMonth = 1000, ", "", &["plan `PRO`", "`apiCallsPerMonth`"]);
    let both = parse(&SOUND.replace("apiCallsPerMonth = 100,", "").replace("apiCallsPerMonth = 1000,", ""));
    let faults = both.expect_err("two plans lack it").0;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("plan `FREE`") && faults[1].contains("plan `PRO`"), "{faults:?}");
}

#[test]
fn a_misspelt_meter_is_both_unknown_and_missed() {
    let faults = faults_of("apiCallsPerMonth = 1000", "apiCalls = 1000");
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn the_first_plan_has_no_price_and_every_other_has_one() {
    let price =
        "\n  [[plan.price]]\n  interval = \"month\"\n  amount = 1\n  currency = \"usd\"\n  lookup_key = \"free\"\n";
    assert_fault(
        "aiGenerationsPerMonth = 10 }",
        &format!("aiGenerationsPerMonth = 10 }}{price}"),
        &["plan `FREE`", "price"],
    );
    assert_fault(
        "[[product]]",
        "[[plan]]\ntier = \"MAX\"\nname = \"Max\"\nlimits = { apiCallsPerMonth = 1, aiGenerationsPerMonth = 1 }\n[[product]]",
        &["plan `MAX`", "[[plan.price]]"],
    );
}

#[test]
fn names_that_go_into_forms_and_addresses_have_no_odd_letters() {
    assert_fault("\"PRO\"", "\"PRO PLUS\"", &["PRO PLUS", "`tier`"]);
    assert_fault("\"PRO\"", "\"\"", &["`tier`"]);
    assert_fault("\"credits\"", "\"a/b\"", &["a/b", "`key`"]);
    assert_fault("\"credits\"", "\"\"", &["`key`"]);
}

#[test]
fn what_people_or_stripe_look_for_is_not_empty() {
    assert_fault("name = \"Pro\"", "name = \" \"", &["plan `PRO`", "`name`"]);
    assert_fault("\"pro_month\"", "\"\"", &["plan `PRO`", "`lookup_key`"]);
    assert_fault("\"credits_100\"", "\"\"", &["product `credits`", "`lookup_key`"]);
    assert_fault("\"price_2024\"", "\"\"", &["plan `PRO`", "`retired_prices`"]);
}

#[test]
fn what_is_missing_is_named() {
    assert_fault("tier = \"PRO\"", "", &["plan 2", "`tier`", "missing"]);
    assert_fault("name = \"Pro\"", "", &["plan `PRO`", "`name`", "missing"]);
    assert_fault("interval = \"month\"", "", &["plan `PRO`, price 1", "`interval`", "missing"]);
    assert_fault("amount = 2900", "", &["plan `PRO`, price 1", "`amount`", "missing"]);
    assert_fault("lookup_key = \"credits_100\"", "", &["product `credits`", "`lookup_key`", "missing"]);
}

#[test]
fn amounts_are_whole_minor_units_from_zero_in_a_real_currency() {
    for wrong in ["-1", "29.00", "\"2900\""] {
        assert_fault("amount = 2900", &format!("amount = {wrong}"), &["plan `PRO`", "`amount`"]);
        assert_fault("amount = 500", &format!("amount = {wrong}"), &["product `credits`", "`amount`"]);
    }
    assert_fault("currency = \"usd\"", "currency = \"dollar\"", &["plan `PRO`", "`dollar`"]);
}

#[test]
fn days_are_whole_and_a_trial_no_longer_than_stripe_takes() {
    assert_fault("trial_days = 14", "trial_days = 731", &["731", "730"]);
    assert!(parse(&SOUND.replace("trial_days = 14", "trial_days = 730")).is_ok());
    assert_fault("trial_days = 14", "trial_days = -1", &["`trial_days`"]);
    assert_fault("grace_days = 3", "grace_days = \"three\"", &["`grace_days`"]);
}

#[test]
fn a_product_grants_a_meter_and_a_quantity_or_neither() {
    assert_fault("quantity = 100", "", &["product `credits`", "`meter`", "`quantity`"]);
    assert_fault("quantity = 100", "quantity = 0", &["product `credits`", "`quantity`"]);
    assert_fault("meter = \"aiGenerationsPerMonth\"", "", &["product `credits`", "`meter`"]);
    let thing = SOUND.replace("meter = \"aiGenerationsPerMonth\"\nquantity = 100", "");
    assert_eq!(parse(&thing).expect("sound").product("credits").map(|product| product.grants), Some(None));
}

#[test]
fn nothing_stands_twice() {
    let second = |tier: &str, key: &str, env: &str| {
        format!(
            "[[plan]]\ntier = \"{tier}\"\nname = \"Max\"\nlimits = {{ apiCallsPerMonth = 1, aiGenerationsPerMonth = 1 }}\n\
             [[plan.price]]\ninterval = \"month\"\namount = 1\ncurrency = \"usd\"\nlookup_key = \"{key}\"\nenv = \"{env}\"\n\
             [[product]]"
        )
    };
    assert_fault("[[product]]", &second("PRO", "max", "MAX_ID"), &["tier `PRO`", "twice"]);
    assert_fault("[[product]]", &second("pro", "max", "MAX_ID"), &["tier `pro`", "twice"]);
    assert_fault("[[product]]", &second("MAX", "pro_month", "MAX_ID"), &["lookup_key `pro_month`", "twice"]);
    assert_fault("[[product]]", &second("MAX", "max", "PRO_ID"), &["env `PRO_ID`", "twice"]);
    assert_fault("\"credits_100\"", "\"pro_month\"", &["lookup_key `pro_month`", "twice"]);
    assert_fault("[\"customDomain\"]", "[\"customDomain\", \"customDomain\"]", &["`customDomain`", "twice"]);
    assert_fault("[\"price_2024\"]", "[\"price_2024\", \"price_2024\"]", &["price id `price_2024`", "twice"]);
}

#[test]
fn two_prices_of_one_interval_and_currency_are_refused() {
    let another = "\n  [[plan.price]]\n  interval = \"month\"\n  amount = 1\n  currency = \"USD\"\n  lookup_key = \"x\"\n\n[[product]]";
    assert_fault("\n[[product]]", another, &["plan `PRO`", "month", "usd"]);
}

#[test]
fn a_price_id_that_the_environment_gives_twice_is_refused() {
    let faults = Catalog::parse(PLANS, &|_| Some("price_same".to_owned())).expect_err("four times the same").0;
    assert_eq!(faults.len(), 3, "{faults:?}");
    let retired = Catalog::parse(SOUND, &|_| Some("price_2024".to_owned())).expect_err("sold and retired").0;
    assert_eq!(retired.len(), 1, "{retired:?}");
    assert!(retired[0].contains("price_2024"));
}

#[test]
fn every_fault_is_reported_at_once() {
    let wrong = r#"
trial_days = 1000
grace = 3

[[plan]]
tier = "FREE"
features = ["flying"]
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
    let faults = parse(wrong).expect_err("nearly all is wrong").0;
    let expected = [
        "`grace`",
        "trial_days = 1000",
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
        assert_eq!(faults.iter().filter(|fault| fault.contains(words)).count(), 1, "{words}: {faults:#?}");
    }
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    assert_eq!(CatalogErrors(faults.clone()).to_string(), faults.join("\n"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn any_line_left_out_gives_a_catalogue_or_faults_but_no_panic(skipped in 0..SOUND.lines().count()) {
        let text: Vec<&str> =
            SOUND.lines().enumerate().filter(|(place, _)| *place != skipped).map(|(_, line)| line).collect();
        if let Err(CatalogErrors(faults)) = parse(&text.join("\n")) {
            prop_assert!(!faults.is_empty());
        }
    }
}

// Metered prices

const METER: &str = r#"
[[meter]]
key = "apiCallsPerMonth"
overage = "bill"
event_name = "api_calls"
lookup_key = "api_calls_metered"
"#;

#[test]
fn overage_is_denied_unless_a_metered_price_is_named() {
    assert!(Meter::ALL.iter().all(|meter| catalog().overage(*meter) == Overage::Deny), "as shipped");
    let billed = parse(&format!("{SOUND}{METER}")).expect("sound");
    assert_eq!(billed.overage(Meter::ApiCalls), Overage::Bill);
    assert_eq!(billed.overage(Meter::AiGenerations), Overage::Deny);
    assert_eq!(billed.metered_price(Meter::ApiCalls).map(|price| price.event_name.as_str()), Some("api_calls"));
    let denied =
        parse(&format!("{SOUND}\n[[meter]]\nkey = \"apiCallsPerMonth\"\noverage = \"deny\"\n")).expect("sound");
    assert_eq!(denied.overage(Meter::ApiCalls), Overage::Deny);
}

#[test]
fn a_subscription_has_the_metered_prices_of_the_meters_that_its_plan_limits() {
    let priced = METER.replace("event_name", "amount = 2\ncurrency = \"usd\"\nevent_name");
    let of = |priced: &str| {
        let catalog = parse(&format!("{SOUND}{priced}")).expect("sound");
        let plan = catalog.plan_named("PRO").expect("it is sold");
        catalog.metered_prices_of(plan).map(|(_, price)| price.clone()).collect::<Vec<_>>()
    };
    let [price] = &of(&priced)[..] else { panic!("one") };
    assert_eq!(price.unit.as_ref().map(|unit| unit.minor), Some(2));
    assert_eq!(price.lookup_key_at(Interval::Year), "api_calls_metered_year");
    let unlimited = priced.replace("apiCallsPerMonth", "aiGenerationsPerMonth");
    assert_eq!(of(&unlimited), [], "nothing is beyond what has no limit");
}

#[test]
fn a_meter_that_cannot_be_billed_is_a_fault() {
    let faults = |meter: &str| parse(&format!("{SOUND}{meter}")).expect_err("this is a fault").0.join("\n");
    assert!(
        faults(&METER.replace("event_name = \"api_calls\"\n", ""))
            .contains("overage = \"bill\" needs `event_name` and `lookup_key`")
    );
    assert!(faults(&METER.replace("\"bill\"", "\"deny\"")).contains("need overage = \"bill\""));
    assert!(faults(&METER.replace("overage = \"bill\"\n", "")).contains("need overage = \"bill\""));
    assert!(faults(&METER.replace("\"bill\"", "\"sell\"")).contains("unknown overage `sell` (known: deny, bill)"));
    assert!(faults(&METER.replace("apiCallsPerMonth", "calls")).contains("unknown meter `calls`"));
    assert!(faults(&METER.repeat(2)).contains("meter `apiCallsPerMonth` appears twice"));
    assert!(faults(&METER.replace("api_calls_metered", "pro")).contains("lookup_key `pro_month` appears twice"));
}
