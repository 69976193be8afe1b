//! Usage beyond a limit is billed only if it will be on an invoice that is paid.

mod support;

use billing::{Catalog, Overage, Pause, PauseBehavior, Status, Subscription, Timestamp, entitlement, overage};
use support::{API_CALLS, END, START, item, subscription};

const METERED: &str = "price_calls";

/// The shipped catalog, with API calls billed beyond the limit.
fn catalog() -> Catalog {
    let meter = "key = \"apiCallsPerMonth\"\n";
    let billed = "overage = \"bill\"\nevent_name = \"api_calls\"\nlookup_key = \"api_calls\"\n";
    let plans = include_str!("../../plans.toml").replace(meter, &format!("{meter}{billed}"));
    Catalog::parse(&plans, &|name| (name == "STRIPE_PRO_PRICE_ID").then(|| "price_pro".to_owned()))
        .expect("the plans are valid")
}

/// A subscription to Pro with the metered price.
fn metered(status: Status) -> Subscription {
    let mut metered = Subscription { status, ..subscription("sub_1", "price_pro") };
    metered.items.push(item(METERED, START, END));
    metered.items[1].lookup_key = Some("api_calls_month".to_owned());
    metered
}

fn overage_at(subscription: &Subscription, now: Timestamp) -> Overage {
    let (all, catalog) = (std::slice::from_ref(subscription), catalog());
    overage(all, &catalog, &entitlement(all, &catalog, now), API_CALLS)
}

fn overage_of(subscription: &Subscription) -> Overage {
    overage_at(subscription, START.plus_days(1))
}

#[test]
fn an_active_subscription_is_billed_up_to_what_its_plan_includes() {
    assert_eq!(overage_of(&metered(Status::Active)), Overage::Bill { max: 10_000 });
    assert_eq!(overage_of(&subscription("sub_1", "price_pro")), Overage::Deny, "without the metered price");
}

#[test]
fn nothing_is_billed_in_a_trial() {
    let trial = Subscription { trial_end: Some(END), ..metered(Status::Trialing) };
    assert_eq!(overage_of(&trial), Overage::Deny);
}

#[test]
fn nothing_is_billed_while_a_payment_is_missing() {
    let past_due = Subscription { past_due_since: Some(START), ..metered(Status::PastDue) };
    assert_eq!(overage_of(&past_due), Overage::Deny, "in the grace period");
    for status in [Status::Unpaid, Status::Paused, Status::Incomplete, Status::Canceled] {
        assert_eq!(overage_of(&metered(status)), Overage::Deny);
    }
}

#[test]
fn a_subscription_set_to_cancel_is_billed_to_the_end() {
    let ending = Subscription { cancel_at_period_end: true, ..metered(Status::Active) };
    assert_eq!(overage_at(&ending, END.plus_seconds(-1)), Overage::Bill { max: 10_000 });
    assert_eq!(overage_at(&ending, END), Overage::Deny);
}

#[test]
fn nothing_is_billed_while_invoices_are_not_charged() {
    let paused = |behavior| {
        let pause = Some(Pause { behavior, resumes_at: None });
        overage_of(&Subscription { pause, ..metered(Status::Active) })
    };
    assert_eq!(paused(PauseBehavior::Void), Overage::Deny);
    assert_eq!(paused(PauseBehavior::MarkUncollectible), Overage::Deny);
    assert_eq!(paused(PauseBehavior::Unknown("new".to_owned())), Overage::Deny);
    assert_eq!(paused(PauseBehavior::KeepAsDraft), Overage::Bill { max: 10_000 }, "they are charged later");
}

#[test]
fn another_subscription_does_not_make_usage_billed() {
    let (plan, other) = (subscription("sub_1", "price_pro"), metered(Status::Canceled));
    let all = [plan, Subscription { id: billing::SubscriptionId::new("sub_2"), ..other }];
    let now = START.plus_days(1);
    assert_eq!(overage(&all, &catalog(), &entitlement(&all, &catalog(), now), API_CALLS), Overage::Deny);
}
