//! The entitlements that a policy admits, and policies that no plan can meet.

mod support;

use billing::{Admission, Catalog, Entitlement, Policy, PolicyError, Tier, entitlement};
use support::{
    ADVANCED_ANALYTICS, CUSTOM_DOMAIN, PLANS, PRIORITY_SUPPORT, START, catalog, enterprise, pro, subscription,
};

/// The entitlement of each shipped tier, lowest first.
fn every_tier() -> [Entitlement; 3] {
    let catalog = catalog();
    [
        entitlement(&[], &catalog, START),
        entitlement(&[subscription("sub_1", "price_pro")], &catalog, START),
        entitlement(&[subscription("sub_1", "price_ent")], &catalog, START),
    ]
}

fn admitted(policy: Policy) -> [bool; 3] {
    every_tier().map(|entitlement| policy.admits(&entitlement, &catalog()) == Admission::Admitted)
}

#[test]
fn public_and_signed_in_admit_every_tier() {
    assert_eq!(admitted(Policy::Public), [true; 3]);
    assert_eq!(admitted(Policy::SignedIn), [true; 3]);
}

#[test]
fn a_tier_admits_itself_and_every_higher_tier() {
    assert_eq!(admitted(Policy::Tier("FREE")), [true, true, true]);
    assert_eq!(admitted(Policy::Tier("PRO")), [false, true, true]);
    assert_eq!(admitted(Policy::Tier("ENTERPRISE")), [false, false, true]);
}

#[test]
fn a_feature_admits_the_plans_that_include_it() {
    assert_eq!(admitted(Policy::Feature(ADVANCED_ANALYTICS)), [false, true, true]);
    assert_eq!(admitted(Policy::Feature(CUSTOM_DOMAIN)), [false, true, true]);
    assert_eq!(admitted(Policy::Feature(PRIORITY_SUPPORT)), [false, false, true]);
}

#[test]
fn tiers_rank_by_their_place_in_the_file_and_not_by_name() {
    // By name, ENTERPRISE sorts before FREE and PRO.
    assert!(enterprise() < pro());
    let [_, on_pro, _] = every_tier();
    assert_eq!(
        Policy::Tier("ENTERPRISE").admits(&on_pro, &catalog()),
        Admission::UpgradeRequired { needed: enterprise() }
    );
}

#[test]
fn a_rejection_contains_the_lowest_plan_that_meets_the_policy() {
    let [on_free, on_pro, _] = every_tier();
    let needed = |policy: Policy, entitlement: &Entitlement| policy.admits(entitlement, &catalog());
    assert_eq!(needed(Policy::Tier("PRO"), &on_free), Admission::UpgradeRequired { needed: pro() });
    assert_eq!(needed(Policy::Feature(CUSTOM_DOMAIN), &on_free), Admission::UpgradeRequired { needed: pro() });
    assert_eq!(needed(Policy::Feature(PRIORITY_SUPPORT), &on_pro), Admission::UpgradeRequired { needed: enterprise() });
}

#[test]
fn no_plan_admits_to_operator_routes() {
    for entitlement in every_tier() {
        assert_eq!(Policy::Operator.admits(&entitlement, &catalog()), Admission::Forbidden);
    }
}

#[test]
fn the_shipped_catalog_can_meet_every_policy() {
    for policy in [Policy::Public, Policy::SignedIn, Policy::Operator, Policy::Tier("FREE"), Policy::Tier("PRO")] {
        assert_eq!(policy.check(&catalog()), Ok(()));
    }
    for definition in catalog().features() {
        assert_eq!(Policy::Feature(definition.feature).check(&catalog()), Ok(()));
    }
}

#[test]
fn an_unknown_tier_is_an_error_and_admits_no_one() {
    for name in ["GOLD", "pro", "Pro ", ""] {
        let error = Policy::Tier(name).check(&catalog()).expect_err("no plan has it");
        assert_eq!(error, PolicyError::UnknownTier(name));
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        assert_eq!(admitted(Policy::Tier(name)), [false; 3]);
    }
}

#[test]
fn a_feature_that_no_plan_includes_is_an_error_and_admits_no_one() {
    let without = Catalog::parse(&PLANS.replace(", \"prioritySupport\"", ""), &|_| None).expect("still valid");
    let policy = Policy::Feature(PRIORITY_SUPPORT);
    let error = policy.check(&without).expect_err("no plan has it");
    assert_eq!(error, PolicyError::UnknownFeature(PRIORITY_SUPPORT));
    assert!(error.to_string().contains("`prioritySupport`"), "{error}");
    // Not even an entitlement from a time when a plan included it.
    for entitlement in every_tier() {
        assert_ne!(policy.admits(&entitlement, &without), Admission::Admitted);
    }
}

#[test]
fn a_lapsed_plan_is_no_longer_admitted() {
    let catalog = catalog();
    let pro = subscription("sub_1", "price_pro");
    let lapsed = entitlement(std::slice::from_ref(&pro), &catalog, pro.period().end.plus_days(3));
    assert_eq!(
        Policy::Feature(CUSTOM_DOMAIN).admits(&lapsed, &catalog),
        Admission::UpgradeRequired { needed: Tier::new("PRO") }
    );
}
