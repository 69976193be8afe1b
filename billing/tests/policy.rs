//! Who may come in: tiers in order, features, and policies that nobody can meet.

mod support;

use billing::{Admission, Catalog, Entitlement, Policy, Tier, entitlement};
use support::{
    ADVANCED_ANALYTICS, CUSTOM_DOMAIN, PLANS, PRIORITY_SUPPORT, START, catalog, enterprise, pro, subscription,
};

/// What somebody on each shipped tier has, lowest first.
fn everybody() -> [Entitlement; 3] {
    let catalog = catalog();
    [
        entitlement(&[], &catalog, START),
        entitlement(&[subscription("sub_1", "price_pro")], &catalog, START),
        entitlement(&[subscription("sub_1", "price_ent")], &catalog, START),
    ]
}

fn admitted(policy: Policy) -> [bool; 3] {
    everybody().map(|entitlement| policy.admits(&entitlement, &catalog()) == Admission::Admitted)
}

#[test]
fn public_and_signed_in_admit_every_tier() {
    assert_eq!(admitted(Policy::Public), [true; 3]);
    assert_eq!(admitted(Policy::SignedIn), [true; 3]);
}

#[test]
fn a_tier_admits_itself_and_what_is_above_it() {
    assert_eq!(admitted(Policy::Tier("FREE")), [true, true, true]);
    assert_eq!(admitted(Policy::Tier("PRO")), [false, true, true]);
    assert_eq!(admitted(Policy::Tier("ENTERPRISE")), [false, false, true]);
}

#[test]
fn a_feature_admits_the_plans_that_have_it() {
    assert_eq!(admitted(Policy::Feature(ADVANCED_ANALYTICS)), [false, true, true]);
    assert_eq!(admitted(Policy::Feature(CUSTOM_DOMAIN)), [false, true, true]);
    assert_eq!(admitted(Policy::Feature(PRIORITY_SUPPORT)), [false, false, true]);
}

#[test]
fn the_order_is_the_files_and_not_the_alphabets() {
    // ENTERPRISE sorts before FREE and PRO as a word.
    assert!(enterprise() < pro());
    let [_, on_pro, _] = everybody();
    assert_eq!(
        Policy::Tier("ENTERPRISE").admits(&on_pro, &catalog()),
        Admission::UpgradeRequired { needed: enterprise() }
    );
}

#[test]
fn who_is_too_low_hears_the_lowest_plan_that_would_do() {
    let [on_free, on_pro, _] = everybody();
    let needed = |policy: Policy, who: &Entitlement| policy.admits(who, &catalog());
    assert_eq!(needed(Policy::Tier("PRO"), &on_free), Admission::UpgradeRequired { needed: pro() });
    assert_eq!(needed(Policy::Feature(CUSTOM_DOMAIN), &on_free), Admission::UpgradeRequired { needed: pro() });
    assert_eq!(needed(Policy::Feature(PRIORITY_SUPPORT), &on_pro), Admission::UpgradeRequired { needed: enterprise() });
}

#[test]
fn no_plan_opens_what_is_for_operators() {
    for entitlement in everybody() {
        assert_eq!(Policy::Operator.admits(&entitlement, &catalog()), Admission::Forbidden);
    }
}

#[test]
fn every_policy_of_the_shipped_catalogue_can_be_answered() {
    for policy in [Policy::Public, Policy::SignedIn, Policy::Operator, Policy::Tier("FREE"), Policy::Tier("PRO")] {
        assert_eq!(policy.check(&catalog()), Ok(()));
    }
    for definition in catalog().features() {
        assert_eq!(Policy::Feature(definition.feature).check(&catalog()), Ok(()));
    }
}

#[test]
fn a_tier_that_no_plan_has_is_refused_by_name_and_admits_nobody() {
    for name in ["GOLD", "pro", "Pro ", ""] {
        let fault = Policy::Tier(name).check(&catalog()).expect_err("no plan has it");
        assert!(fault.contains(&format!("`{name}`")), "{fault}");
        assert_eq!(admitted(Policy::Tier(name)), [false; 3]);
    }
}

#[test]
fn a_feature_that_no_plan_has_is_refused_by_name_and_admits_nobody() {
    let without = Catalog::parse(&PLANS.replace(", \"prioritySupport\"", ""), &|_| None).expect("still sound");
    let policy = Policy::Feature(PRIORITY_SUPPORT);
    let fault = policy.check(&without).expect_err("no plan has it");
    assert!(fault.contains("`prioritySupport`"), "{fault}");
    // Not even somebody who has it from the days when a plan did.
    for entitlement in everybody() {
        assert_ne!(policy.admits(&entitlement, &without), Admission::Admitted);
    }
}

#[test]
fn a_lapsed_plan_admits_no_longer() {
    let catalog = catalog();
    let pro = subscription("sub_1", "price_pro");
    let lapsed = entitlement(std::slice::from_ref(&pro), &catalog, pro.period().end.plus_days(3));
    assert_eq!(
        Policy::Feature(CUSTOM_DOMAIN).admits(&lapsed, &catalog),
        Admission::UpgradeRequired { needed: Tier::new("PRO") }
    );
}
