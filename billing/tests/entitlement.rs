//! An account's tier, its end and the reason: the status table row by row, then properties that hold
//! for all subscriptions.

mod support;

use billing::ledger::{Reversal, ReversalKind};
use billing::time::DAY;
use billing::{
    Catalog, Entitlement, Flag, InvoiceId, Item, Limit, PaidPlan, PauseReason, Period, PriceId, Reason, Rule, Status,
    Subscription, SubscriptionId, Tier, Timestamp, entitlement,
};
use proptest::prelude::*;
use support::{
    ADVANCED_ANALYTICS, AI_GENERATIONS, API_CALLS, CUSTOM_DOMAIN, END, GRACE, PLANS, START, catalog, enterprise, free,
    item, parse, pro, subscription,
};

fn at(subscriptions: &[Subscription], now: Timestamp) -> Entitlement {
    entitlement(subscriptions, &catalog(), now)
}

fn tier_at(subscription: &Subscription, now: Timestamp) -> Tier {
    at(std::slice::from_ref(subscription), now).tier
}

/// Asserts that the tier is PRO until one second before `end` and FREE from then on.
#[track_caller]
fn assert_pro_ends_exactly(subscription: &Subscription, end: Timestamp) {
    assert_eq!(tier_at(subscription, end.plus_seconds(-1)), pro(), "one second before");
    assert_eq!(tier_at(subscription, end), free(), "at the boundary");
    assert_eq!(tier_at(subscription, end.plus_seconds(1)), free(), "one second after");
    assert_eq!(at(std::slice::from_ref(subscription), end.plus_seconds(-1)).until, Some(end));
}

#[track_caller]
fn assert_reason(entitlement: &Entitlement, id: &str, status: Status, rule: Rule) {
    assert_eq!(entitlement.reason, Reason::Subscription { id: SubscriptionId::new(id), status, rule });
}

fn in_status(status: Status) -> Subscription {
    Subscription { status, ..subscription("sub_1", "price_pro") }
}

fn past_due_since(since: Timestamp) -> Subscription {
    Subscription { past_due_since: Some(since), ..in_status(Status::PastDue) }
}

/// A subscription to `price`, past due since `since`, that was paid last for `tier` until `until`.
fn unpaid_after(price: &str, since: Timestamp, tier: Tier, until: Timestamp) -> Subscription {
    Subscription {
        status: Status::PastDue,
        past_due_since: Some(since),
        paid: Some(PaidPlan { tier, until }),
        ..subscription("sub_1", price)
    }
}

// No subscription

#[test]
fn without_a_subscription_an_account_is_free_with_calendar_months_and_no_end() {
    let free_plan = at(&[], START);
    assert_eq!(free_plan.tier, free());
    assert_eq!(free_plan.rank, 0);
    assert_eq!(free_plan.reason, Reason::NoSubscription);
    assert_eq!((free_plan.until, free_plan.window_anchor), (None, None));
    assert_eq!(free_plan.limit(API_CALLS), Limit::Finite(100));
    assert!(free_plan.features.is_empty());
    assert!(free_plan.flags.is_empty());
}

// trialing, active

#[test]
fn active_has_the_tier_of_its_price_with_features_and_limits() {
    let open = at(&[subscription("sub_1", "price_pro")], START);
    assert_eq!((open.tier.clone(), open.rank), (pro(), 1));
    assert_eq!(open.features, [ADVANCED_ANALYTICS, CUSTOM_DOMAIN].into());
    assert_eq!(open.limit(API_CALLS), Limit::Finite(10_000));
    assert_eq!(open.limit(AI_GENERATIONS), Limit::Finite(500));
    assert_eq!(open.window_anchor, Some(START));
    assert!(open.flags.is_empty());
    assert_reason(&open, "sub_1", Status::Active, Rule::PeriodPaid);
}

#[test]
fn active_keeps_the_tier_until_three_days_after_the_period() {
    assert_pro_ends_exactly(&in_status(Status::Active), END.plus_seconds(GRACE));
}

#[test]
fn trialing_keeps_the_tier_until_three_days_after_the_period() {
    let trial = Subscription { trial_end: Some(END), ..in_status(Status::Trialing) };
    assert_pro_ends_exactly(&trial, END.plus_seconds(GRACE));
    assert_reason(&at(&[trial], START), "sub_1", Status::Trialing, Rule::PeriodPaid);
}

#[test]
fn a_period_that_was_not_renewed_is_stale_and_flagged_once_the_grace_period_ends() {
    let active = in_status(Status::Active);
    let in_grace = at(std::slice::from_ref(&active), END.plus_seconds(GRACE - 1));
    assert!(in_grace.flags.is_empty());
    let stale = at(&[active], END.plus_seconds(GRACE));
    assert_reason(&stale, "sub_1", Status::Active, Rule::StalePeriod);
    assert_eq!(stale.flags, [Flag::StalePeriod(SubscriptionId::new("sub_1"))]);
    assert_eq!((stale.until, stale.window_anchor), (None, None));
}

#[test]
fn a_renewal_restores_access_to_a_stale_subscription() {
    let renewed = Subscription { items: vec![item("price_pro", END, END.plus_days(30))], ..in_status(Status::Active) };
    assert_pro_ends_exactly(&renewed, END.plus_days(30).plus_seconds(GRACE));
}

#[test]
fn a_recovered_subscription_ignores_its_earlier_failure() {
    let recovered = Subscription { past_due_since: Some(START.plus_days(-90)), ..in_status(Status::Active) };
    assert_pro_ends_exactly(&recovered, END.plus_seconds(GRACE));
}

// past_due

#[test]
fn an_upgrade_whose_payment_failed_gives_and_takes_nothing() {
    let upgrade = unpaid_after("price_ent", START.plus_days(10), pro(), END);
    let open = at(std::slice::from_ref(&upgrade), START.plus_days(11));
    assert_reason(&open, "sub_1", Status::PastDue, Rule::PaidBefore);
    assert_pro_ends_exactly(&upgrade, END);
}

#[test]
fn after_an_unpaid_renewal_an_unpaid_upgrade_has_the_grace_period_of_what_was_paid() {
    let upgrade = unpaid_after("price_ent", END.plus_days(-1), pro(), END);
    assert_pro_ends_exactly(&upgrade, END.plus_days(-1).plus_seconds(GRACE));
    let renewal = unpaid_after("price_pro", START, pro(), START);
    assert_pro_ends_exactly(&renewal, START.plus_seconds(GRACE));
}

#[test]
fn an_unpaid_renewal_after_a_downgrade_gives_the_lower_plan() {
    let downgraded = unpaid_after("price_pro", START, enterprise(), START);
    assert_pro_ends_exactly(&downgraded, START.plus_seconds(GRACE));
}

#[test]
fn a_scheduled_cancellation_ends_what_was_paid_before() {
    let upgrade = unpaid_after("price_ent", START, pro(), END);
    let canceled = Subscription { cancel_at: Some(START.plus_days(5)), ..upgrade };
    assert_pro_ends_exactly(&canceled, START.plus_days(5));
}

#[test]
fn paused_after_a_failed_payment_counts_as_past_due() {
    for reason in [PauseReason::FirstPaymentFailure, PauseReason::FinalPaymentFailure] {
        let paused = Subscription { paused: Some(reason), past_due_since: Some(START), ..in_status(Status::Paused) };
        assert_pro_ends_exactly(&paused, START.plus_seconds(GRACE));
    }
}

#[test]
fn paused_for_another_reason_is_free() {
    let reasons = [
        None,
        Some(PauseReason::PauseRequested),
        Some(PauseReason::System),
        Some(PauseReason::TrialEndWithoutPaymentMethod),
        Some(PauseReason::Unknown("new".to_owned())),
    ];
    for paused in reasons {
        assert_eq!(tier_at(&Subscription { paused, ..in_status(Status::Paused) }, START), free());
    }
}

#[test]
fn a_requested_pause_keeps_the_paid_period_if_the_catalog_says_so() {
    let keeps = parse(&PLANS.replace("on_pause = \"end_access\"", "on_pause = \"keep_period\""));
    let paused = |reason| Subscription { paused: Some(reason), ..in_status(Status::Paused) };
    let requested = [paused(PauseReason::PauseRequested)];
    let before = entitlement(&requested, &keeps, END.plus_seconds(-1));
    assert_eq!((&before.tier, before.until), (&pro(), Some(END)));
    assert_reason(&before, "sub_1", Status::Paused, Rule::PausedInPeriod);
    let after = entitlement(&requested, &keeps, END);
    assert_eq!((after.tier, after.flags), (free(), Vec::new()), "it is not stale: Stripe renews no paused period");
    for reason in [PauseReason::System, PauseReason::TrialEndWithoutPaymentMethod] {
        assert_eq!(entitlement(&[paused(reason)], &keeps, START).tier, free());
    }
}

#[test]
fn past_due_inside_grace_keeps_the_tier() {
    let failed = past_due_since(START);
    let open = at(std::slice::from_ref(&failed), START.plus_days(2));
    assert_eq!(open.tier, pro());
    assert_reason(&open, "sub_1", Status::PastDue, Rule::InGrace);
}

#[test]
fn past_due_ends_exactly_three_days_after_the_first_failure() {
    assert_pro_ends_exactly(&past_due_since(START), START.plus_seconds(GRACE));
}

#[test]
fn past_due_after_grace_is_free_without_a_flag() {
    let closed = at(&[past_due_since(START)], START.plus_seconds(GRACE));
    assert_reason(&closed, "sub_1", Status::PastDue, Rule::GraceOver);
    assert!(closed.flags.is_empty());
}

#[test]
fn past_due_gives_no_access_for_the_unpaid_period() {
    assert_eq!(tier_at(&past_due_since(START), END.plus_days(-1)), free());
}

#[test]
fn a_retry_does_not_extend_the_grace_period() {
    // On the second day Stripe retries and reports the unpaid period again; the first failure stays.
    let first = past_due_since(START);
    let retried = Subscription {
        items: vec![item("price_pro", START.plus_days(2), END.plus_days(2))],
        billing_cycle_anchor: START.plus_days(2),
        ..first.clone()
    };
    assert_eq!(at(&[first], START).until, Some(START.plus_seconds(GRACE)));
    assert_pro_ends_exactly(&retried, START.plus_seconds(GRACE));
}

#[test]
fn past_due_without_a_known_failure_counts_from_the_start_of_the_unpaid_period() {
    assert_pro_ends_exactly(&in_status(Status::PastDue), START.plus_seconds(GRACE));
}

#[test]
fn past_due_set_to_cancel_within_grace_ends_there() {
    let end = START.plus_days(1);
    let ending = Subscription { cancel_at: Some(end), ..past_due_since(START) };
    assert_pro_ends_exactly(&ending, end);
}

#[test]
fn past_due_set_to_cancel_later_gets_no_more_than_the_grace_period() {
    let ending = Subscription { cancel_at_period_end: true, cancel_at: Some(END), ..past_due_since(START) };
    assert_pro_ends_exactly(&ending, START.plus_seconds(GRACE));
}

// Set to cancel, still active

#[test]
fn cancel_at_period_end_keeps_the_tier_until_the_period_ends_without_grace() {
    let ending = Subscription { cancel_at_period_end: true, ..in_status(Status::Active) };
    assert_pro_ends_exactly(&ending, END);
    assert_reason(&at(std::slice::from_ref(&ending), START), "sub_1", Status::Active, Rule::EndsLater);
    let ended = at(&[ending], END);
    assert_reason(&ended, "sub_1", Status::Active, Rule::Ended);
    assert!(ended.flags.is_empty(), "a requested cancellation needs no attention");
}

#[test]
fn a_trial_set_to_cancel_ends_with_the_trial() {
    let ending = Subscription { cancel_at_period_end: true, trial_end: Some(END), ..in_status(Status::Trialing) };
    assert_pro_ends_exactly(&ending, END);
}

#[test]
fn cancel_at_within_the_period_ends_access_then() {
    let end = START.plus_days(5);
    assert_pro_ends_exactly(&Subscription { cancel_at: Some(end), ..in_status(Status::Active) }, end);
}

#[test]
fn cancel_at_within_the_grace_period_ends_access_then() {
    let end = END.plus_days(1);
    assert_pro_ends_exactly(&Subscription { cancel_at: Some(end), ..in_status(Status::Active) }, end);
}

#[test]
fn a_cancellation_at_the_end_of_the_grace_period_is_not_stale() {
    let end = END.plus_seconds(GRACE);
    let ended = at(&[Subscription { cancel_at: Some(end), ..in_status(Status::Active) }], end);
    assert_reason(&ended, "sub_1", Status::Active, Rule::Ended);
    assert!(ended.flags.is_empty());
}

#[test]
fn cancel_at_in_a_later_period_gives_no_access_until_then() {
    let ending = Subscription { cancel_at: Some(END.plus_days(365)), ..in_status(Status::Active) };
    assert_pro_ends_exactly(&ending, END.plus_seconds(GRACE));
    assert_reason(&at(&[ending], START), "sub_1", Status::Active, Rule::PeriodPaid);
}

#[test]
fn the_earlier_of_cancel_at_and_the_period_end_counts() {
    let both = |at| Subscription { cancel_at_period_end: true, cancel_at: Some(at), ..in_status(Status::Active) };
    assert_pro_ends_exactly(&both(END.plus_days(40)), END);
    assert_pro_ends_exactly(&both(START.plus_days(4)), START.plus_days(4));
}

// Statuses that give no access

#[test]
fn incomplete_incomplete_expired_canceled_unpaid_and_paused_are_free() {
    for status in [Status::Incomplete, Status::IncompleteExpired, Status::Canceled, Status::Unpaid, Status::Paused] {
        let mut closed = in_status(status.clone());
        closed.past_due_since = Some(START);
        closed.last_known_tier = Some(enterprise());
        let denied = at(&[closed], START);
        assert_eq!(denied.tier, free(), "{status:?}");
        assert_reason(&denied, "sub_1", status, Rule::StatusGivesNothing);
        assert!(denied.flags.is_empty());
    }
}

#[test]
fn a_failed_first_payment_gets_no_grace_period() {
    let incomplete = Subscription { past_due_since: Some(START), ..in_status(Status::Incomplete) };
    assert_eq!(tier_at(&incomplete, START), free());
}

// Unknown statuses and prices

#[test]
fn an_unknown_status_gives_no_access_and_is_flagged() {
    let new = Subscription { last_known_tier: Some(pro()), ..in_status(Status::from("dormant".to_owned())) };
    let denied = at(&[new], START);
    assert_eq!(denied.tier, free());
    assert_reason(&denied, "sub_1", Status::Unknown("dormant".into()), Rule::UnknownStatus);
    assert_eq!(denied.flags, [Flag::UnknownStatus(SubscriptionId::new("sub_1"), "dormant".into())]);
}

#[test]
fn a_status_is_known_only_by_stripes_exact_string() {
    for word in ["Active", "ACTIVE", " active", "active ", "cancelled", ""] {
        let status = Status::from(word.to_owned());
        assert_eq!(status, Status::Unknown(word.to_owned()));
        assert_eq!(tier_at(&in_status(status), START), free(), "{word:?}");
    }
}

#[test]
fn every_status_is_serialized_as_stripes_string() {
    for word in [
        "trialing",
        "active",
        "past_due",
        "unpaid",
        "paused",
        "incomplete",
        "incomplete_expired",
        "canceled",
        "dormant",
    ] {
        let json = format!("{word:?}");
        let status: Status = serde_json::from_str(&json).expect("any string is a status");
        assert_eq!(matches!(status, Status::Unknown(_)), word == "dormant");
        assert_eq!(serde_json::to_string(&status).expect("a status is a string"), json);
    }
}

#[test]
fn a_price_that_was_never_known_gives_no_access_and_is_flagged() {
    let denied = at(&[subscription("sub_1", "price_other")], START);
    assert_eq!(denied.tier, free());
    assert_reason(&denied, "sub_1", Status::Active, Rule::UnknownPrice);
    assert_eq!(denied.flags, [Flag::UnknownPrice(SubscriptionId::new("sub_1"))]);
}

#[test]
fn a_subscription_keeps_its_last_known_tier_when_its_price_leaves_the_catalog() {
    let paying = Subscription { last_known_tier: Some(pro()), ..subscription("sub_1", "price_forgotten") };
    assert_pro_ends_exactly(&paying, END.plus_seconds(GRACE));
    assert_eq!(at(&[paying], START).flags, [Flag::UnknownPrice(SubscriptionId::new("sub_1"))]);
}

#[test]
fn an_unknown_price_past_due_keeps_the_last_known_tier_only_for_the_grace_period() {
    let mut failing = past_due_since(START);
    failing.items = vec![item("price_forgotten", START, END)];
    failing.last_known_tier = Some(pro());
    assert_pro_ends_exactly(&failing, START.plus_seconds(GRACE));
}

#[test]
fn a_known_price_outranks_the_last_known_tier() {
    let downgraded = Subscription { last_known_tier: Some(enterprise()), ..subscription("sub_1", "price_pro") };
    let open = at(&[downgraded], START);
    assert_eq!(open.tier, pro());
    assert!(open.flags.is_empty());
}

#[test]
fn a_last_known_tier_that_left_the_catalog_gives_no_access_and_is_flagged() {
    let old = Subscription { last_known_tier: Some(Tier::new("GOLD")), ..subscription("sub_1", "price_gold") };
    let denied = at(&[old], START);
    assert_reason(&denied, "sub_1", Status::Active, Rule::UnknownPrice);
    assert_eq!(denied.flags, [Flag::UnknownPrice(SubscriptionId::new("sub_1"))]);
}

#[test]
fn a_last_known_tier_of_free_has_calendar_months() {
    let denied = at(&[Subscription { last_known_tier: Some(free()), ..subscription("sub_1", "price_x") }], START);
    assert_eq!(denied.tier, free());
    assert_eq!((denied.until, denied.window_anchor), (None, None));
}

#[test]
fn a_price_is_known_by_its_lookup_key_too() {
    let mut by_key = subscription("sub_1", "price_made_by_hand");
    by_key.items[0].lookup_key = Some("tollgate_pro_month".to_owned());
    let open = at(&[by_key], START);
    assert_eq!(open.tier, pro());
    assert!(open.flags.is_empty());
}

#[test]
fn a_subscription_without_items_gives_no_access_and_is_flagged() {
    let empty = Subscription { items: Vec::new(), ..in_status(Status::Active) };
    let denied = at(&[empty], START);
    assert_reason(&denied, "sub_1", Status::Active, Rule::UnknownPrice);
    assert_eq!(denied.flags, [Flag::UnknownPrice(SubscriptionId::new("sub_1"))]);
}

// Disputes and refunds

/// The shipped catalog with these policies.
fn with_policies(on_dispute: &str, on_full_refund: &str) -> Catalog {
    let plans = PLANS
        .replace("on_dispute = \"flag\"", &format!("on_dispute = \"{on_dispute}\""))
        .replace("on_full_refund = \"keep\"", &format!("on_full_refund = \"{on_full_refund}\""));
    parse(&plans)
}

fn strict() -> Catalog {
    with_policies("suspend", "end_access")
}

/// A subscription to Pro whose invoice for the period up to `until` was reversed.
fn reversed(kind: ReversalKind, until: Timestamp) -> Subscription {
    let reversal = Reversal { invoice: InvoiceId::new("in_1"), created: until.plus_days(-31), until, kind };
    Subscription { reversals: vec![reversal], ..subscription("sub_1", "price_pro") }
}

#[test]
fn a_reversed_payment_of_the_period_is_flagged_and_takes_no_access_by_default() {
    for (kind, flag) in [
        (ReversalKind::Disputed, Flag::Disputed(SubscriptionId::new("sub_1"))),
        (ReversalKind::DisputeLost, Flag::DisputeLost(SubscriptionId::new("sub_1"))),
        (ReversalKind::Refunded, Flag::Refunded(SubscriptionId::new("sub_1"))),
    ] {
        let open = at(&[reversed(kind, END)], START);
        assert_eq!((open.tier.clone(), open.flags.clone()), (pro(), vec![flag]));
        assert_reason(&open, "sub_1", Status::Active, Rule::PeriodPaid);
    }
}

#[test]
fn a_reversed_payment_of_the_period_takes_access_if_the_policy_says_so() {
    for (kind, rule) in [
        (ReversalKind::Disputed, Rule::PaymentDisputed),
        (ReversalKind::DisputeLost, Rule::PaymentDisputed),
        (ReversalKind::Refunded, Rule::PaymentRefunded),
    ] {
        let denied = entitlement(&[reversed(kind, END)], &strict(), START);
        assert_eq!((denied.tier.clone(), denied.until), (free(), None));
        assert_reason(&denied, "sub_1", Status::Active, rule);
        let other = match rule {
            Rule::PaymentDisputed => with_policies("flag", "end_access"),
            _ => with_policies("suspend", "keep"),
        };
        assert_eq!(entitlement(&[reversed(kind, END)], &other, START).tier, pro(), "each policy has its own kind");
    }
}

#[test]
fn a_payment_of_an_earlier_period_takes_no_access_and_is_flagged_only_while_it_is_disputed() {
    for (kind, flags) in [
        (ReversalKind::Disputed, vec![Flag::Disputed(SubscriptionId::new("sub_1"))]),
        (ReversalKind::DisputeLost, Vec::new()),
        (ReversalKind::Refunded, Vec::new()),
    ] {
        // The earlier period ended when this one began.
        let open = entitlement(&[reversed(kind, START)], &strict(), START);
        assert_eq!((open.tier, open.flags), (pro(), flags), "{kind:?}");
    }
}

#[test]
fn a_dispute_is_flagged_after_the_subscription_has_ended() {
    let ended = Subscription { status: Status::Canceled, ..reversed(ReversalKind::Disputed, END) };
    assert_eq!(at(&[ended], START).flags, [Flag::Disputed(SubscriptionId::new("sub_1"))]);
    let refunded = Subscription { status: Status::Canceled, ..reversed(ReversalKind::Refunded, END) };
    assert!(at(&[refunded], START).flags.is_empty(), "a refund of a canceled plan needs no action");
}

#[test]
fn a_monthly_invoice_does_not_belong_to_the_period_of_a_yearly_add_on() {
    let mut mixed = reversed(ReversalKind::Refunded, START);
    mixed.items.push(item("price_pro_year", START.plus_days(-90), START.plus_days(275)));
    assert_eq!(entitlement(&[mixed], &strict(), START).tier, pro());
}

// Several items

#[test]
fn every_item_counts_whatever_its_place() {
    for order in [["price_pro", "price_ent"], ["price_ent", "price_pro"]] {
        let both = Subscription {
            items: order.map(|price| item(price, START, END)).to_vec(),
            ..subscription("sub_1", "price_pro")
        };
        assert_eq!(tier_at(&both, START), enterprise());
    }
}

#[test]
fn an_unknown_item_is_flagged_and_does_not_affect_a_known_one() {
    let mut mixed = subscription("sub_1", "price_addon");
    mixed.items.push(item("price_pro", START, END));
    let open = at(&[mixed], START);
    assert_eq!(open.tier, pro());
    assert_eq!(open.flags, [Flag::UnknownPrice(SubscriptionId::new("sub_1"))]);
}

#[test]
fn the_last_known_tier_stands_in_for_an_unknown_item() {
    let mut mixed = subscription("sub_1", "price_pro");
    mixed.items.push(item("price_forgotten", START, END));
    mixed.last_known_tier = Some(enterprise());
    assert_eq!(tier_at(&mixed, START), enterprise());
}

#[test]
fn a_longer_period_of_another_item_does_not_prolong_a_stale_one() {
    let mut mixed = subscription("sub_1", "price_ent");
    mixed.items.push(item("price_pro_year", START, START.plus_days(365)));
    let before = at(std::slice::from_ref(&mixed), END.plus_seconds(GRACE - 1));
    assert_eq!((before.tier, before.until), (enterprise(), Some(END.plus_seconds(GRACE))));
    let after = at(&[mixed], END.plus_seconds(GRACE));
    assert_eq!((after.tier, after.until), (pro(), Some(START.plus_days(365).plus_seconds(GRACE))));
    assert_eq!(after.flags, [Flag::StalePeriod(SubscriptionId::new("sub_1"))]);
}

#[test]
fn an_unknown_item_with_a_longer_period_does_not_prolong_a_known_one() {
    let mut mixed = subscription("sub_1", "price_pro");
    mixed.items.push(item("price_addon", START, START.plus_days(365)));
    assert_eq!(tier_at(&mixed, END.plus_seconds(GRACE)), free());
}

// Several subscriptions

#[test]
fn the_best_subscription_counts() {
    let open = at(&[subscription("sub_1", "price_pro"), subscription("sub_2", "price_ent")], START);
    assert_eq!(open.tier, enterprise());
    assert_eq!(open.limit(API_CALLS), Limit::Unlimited);
    assert_reason(&open, "sub_2", Status::Active, Rule::PeriodPaid);
}

#[test]
fn a_canceled_subscription_does_not_lower_a_newer_active_one() {
    let old = Subscription { ended_at: Some(START), created: START.plus_days(-60), ..in_status(Status::Canceled) };
    let new = subscription("sub_2", "price_pro");
    for pair in [[old.clone(), new.clone()], [new, old]] {
        let open = at(&pair, START);
        assert_eq!(open.tier, pro());
        assert_reason(&open, "sub_2", Status::Active, Rule::PeriodPaid);
    }
}

#[test]
fn a_newer_subscription_without_access_does_not_lower_an_older_active_one() {
    let newer =
        Subscription { id: SubscriptionId::new("sub_2"), created: START.plus_days(1), ..in_status(Status::Incomplete) };
    assert_eq!(at(&[subscription("sub_1", "price_ent"), newer], START.plus_days(2)).tier, enterprise());
}

#[test]
fn when_the_best_subscription_ends_the_next_best_takes_over() {
    let best = Subscription { cancel_at_period_end: true, ..subscription("sub_1", "price_ent") };
    let next = Subscription {
        items: vec![item("price_pro_year", START, START.plus_days(365))],
        billing_cycle_anchor: START.plus_days(-7),
        ..subscription("sub_2", "price_pro_year")
    };
    let both = [best, next];
    assert_eq!(at(&both, END.plus_seconds(-1)).tier, enterprise());
    let after = at(&both, END);
    assert_eq!((after.tier, after.window_anchor), (pro(), Some(START.plus_days(-7))));
}

#[test]
fn the_longer_of_two_subscriptions_to_one_tier_counts() {
    let longer = Subscription {
        items: vec![item("price_pro_year", START, START.plus_days(365))],
        ..subscription("sub_1", "price_pro_year")
    };
    let open = at(&[subscription("sub_2", "price_pro"), longer], START);
    assert_eq!(open.until, Some(START.plus_days(365).plus_seconds(GRACE)));
    assert_reason(&open, "sub_1", Status::Active, Rule::PeriodPaid);
}

#[test]
fn without_access_the_newest_subscription_is_the_reason() {
    let old = Subscription { created: START.plus_days(-90), ..in_status(Status::Canceled) };
    let new = Subscription { id: SubscriptionId::new("sub_0"), ..in_status(Status::Unpaid) };
    assert_reason(&at(&[new, old], START), "sub_0", Status::Unpaid, Rule::StatusGivesNothing);
}

#[test]
fn flags_are_raised_even_when_another_subscription_gives_access() {
    let odd = Subscription { id: SubscriptionId::new("sub_2"), ..in_status(Status::Unknown("new".into())) };
    let open = at(&[subscription("sub_1", "price_pro"), odd], START);
    assert_eq!(open.tier, pro());
    assert_eq!(open.flags, [Flag::UnknownStatus(SubscriptionId::new("sub_2"), "new".into())]);
}

// Descriptions

/// They are used between "sub_1 is past_due: " and a full stop.
#[test]
fn every_rule_has_a_description_of_its_own_that_completes_a_sentence() {
    let rules = [
        Rule::PeriodPaid,
        Rule::EndsLater,
        Rule::InGrace,
        Rule::GraceOver,
        Rule::Ended,
        Rule::StalePeriod,
        Rule::PaymentDisputed,
        Rule::PaymentRefunded,
        Rule::StatusGivesNothing,
        Rule::UnknownStatus,
        Rule::UnknownPrice,
    ];
    let mut descriptions: Vec<&str> = rules.iter().map(|rule| rule.describe()).collect();
    for each in &descriptions {
        assert!(each.starts_with(char::is_lowercase) && each.ends_with(char::is_alphabetic), "{each}");
    }
    descriptions.sort_unstable();
    descriptions.dedup();
    assert_eq!(descriptions.len(), rules.len(), "descriptions are unique");
}

// Properties

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![
        4 => prop_oneof![Just(Status::Active), Just(Status::Trialing), Just(Status::PastDue)],
        2 => prop_oneof![
            Just(Status::Unpaid), Just(Status::Paused), Just(Status::Incomplete),
            Just(Status::IncompleteExpired), Just(Status::Canceled),
        ],
        1 => any::<String>().prop_map(Status::from),
    ]
}

fn any_price() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["price_pro", "price_pro_year", "price_ent", "price_ent_year"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn any_tier() -> impl Strategy<Value = Tier> {
    prop_oneof![Just(free()), Just(pro()), Just(enterprise()), any::<String>().prop_map(Tier::new)]
}

/// Subscriptions with times from `time` and distinct ids.
fn subscriptions<S>(time: S) -> impl Strategy<Value = Vec<Subscription>>
where
    S: Strategy<Value = Timestamp> + Clone + 'static,
{
    let period = (time.clone(), time.clone()).prop_map(|(start, end)| Period { start, end });
    let line = (any_price(), prop::option::of(any::<String>()), any::<u64>(), period).prop_map(
        |(price, lookup_key, quantity, period)| Item {
            id: format!("si_{price}"),
            price: PriceId::new(price),
            lookup_key,
            quantity,
            period,
        },
    );
    let maybe = || prop::option::of(time.clone());
    let one = (
        any_status(),
        prop::collection::vec(line, 0..4),
        (time.clone(), time.clone()),
        (any::<bool>(), maybe(), maybe(), maybe()),
        maybe(),
        prop::option::of(any_tier()),
    )
        .prop_map(
            |(status, items, (created, anchor), (at_end, cancel_at, ended_at, trial_end), since, last_known_tier)| {
                Subscription {
                    status,
                    items,
                    created,
                    billing_cycle_anchor: anchor,
                    cancel_at_period_end: at_end,
                    cancel_at,
                    ended_at,
                    trial_end,
                    past_due_since: since,
                    last_known_tier,
                    ..subscription("sub", "price_pro")
                }
            },
        );
    prop::collection::vec(one, 0..5).prop_map(|mut all| {
        for (place, one) in all.iter_mut().enumerate() {
            one.id = SubscriptionId::new(format!("sub_{place}"));
        }
        all
    })
}

/// Times close enough for boundaries to coincide: half days of three months around [`START`].
fn near() -> impl Strategy<Value = Timestamp> + Clone {
    (-90..90_i64).prop_map(|halves| START.plus_seconds(halves * DAY / 2))
}

fn any_time() -> impl Strategy<Value = Timestamp> + Clone {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(0_i64), Just(-1_i64)].prop_map(Timestamp)
}

proptest! {
    #[test]
    fn the_order_of_subscriptions_does_not_matter(
        (listed, shuffled) in subscriptions(near()).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        now in near(),
    ) {
        prop_assert_eq!(at(&listed, now), at(&shuffled, now));
    }

    #[test]
    fn another_subscription_never_lowers_the_tier(all in subscriptions(near()), now in near()) {
        for count in 1..=all.len() {
            prop_assert!(at(&all[..count], now).rank >= at(&all[..count - 1], now).rank);
        }
    }

    #[test]
    fn access_never_increases_between_events(all in subscriptions(near()), now in near(), later in 0..100 * DAY) {
        prop_assert!(at(&all, now.plus_seconds(later)).rank <= at(&all, now).rank);
    }

    #[test]
    fn until_is_the_exact_second_at_which_the_tier_is_lost(all in subscriptions(near()), now in near()) {
        let open = at(&all, now);
        if let Some(until) = open.until {
            prop_assert!(now < until);
            let last = at(&all, until.plus_seconds(-1));
            prop_assert_eq!((&last.tier, last.until), (&open.tier, Some(until)));
            prop_assert!(at(&all, until).rank < open.rank);
        }
    }

    #[test]
    fn only_statuses_known_to_give_access_do(all in subscriptions(near()), now in near()) {
        let opens = |s: &Subscription| matches!(s.status, Status::Active | Status::Trialing | Status::PastDue);
        let open = at(&all, now);
        if !all.iter().any(opens) {
            prop_assert_eq!(&open.tier, &free());
        }
        let giving: Vec<_> = all.iter().filter(|s| opens(s)).cloned().collect();
        prop_assert_eq!(at(&giving, now).tier, open.tier);
    }

    #[test]
    fn an_account_never_gets_more_than_the_best_tier_it_bought(all in subscriptions(near()), now in near()) {
        let catalog = catalog();
        let best = all.iter().filter_map(|s| catalog.rank(s.tier(&catalog).0?)).max().unwrap_or_default();
        prop_assert!(at(&all, now).rank <= best);
    }

    #[test]
    fn a_reversal_never_raises_the_tier_and_counts_only_for_the_current_period(
        all in subscriptions(near()),
        kind in prop::sample::select(vec![ReversalKind::Disputed, ReversalKind::DisputeLost, ReversalKind::Refunded]),
        until in near(),
        now in near(),
    ) {
        let with: Vec<Subscription> = all
            .iter()
            .map(|each| Subscription { reversals: reversed(kind, until).reversals, ..each.clone() })
            .collect();
        prop_assert_eq!(at(&with, now).tier, at(&all, now).tier, "the shipped policies keep access");
        let (before, after) = (entitlement(&all, &strict(), now), entitlement(&with, &strict(), now));
        prop_assert!(after.rank <= before.rank);
        let is_current = |each: &Subscription| each.items.iter().all(|item| item.period.start < until);
        if after.rank > 0 {
            prop_assert!(with.iter().any(|each| !is_current(each)), "only an earlier period gives access");
        }
        if !with.iter().any(is_current) {
            prop_assert_eq!(after.tier, before.tier);
        }
    }

    #[test]
    fn free_has_no_end_and_no_anchor_and_a_paid_tier_has_both(all in subscriptions(near()), now in near()) {
        let open = at(&all, now);
        let paid = open.rank > 0;
        prop_assert_eq!((open.until.is_some(), open.window_anchor.is_some()), (paid, paid));
        let plan = catalog();
        let plan = plan.plan(&open.tier).expect("the tier is in the catalog");
        prop_assert_eq!((&open.limits, &open.features), (&plan.limits, &plan.features));
    }

    #[test]
    fn the_reason_refers_to_a_subscription_of_the_account_and_its_status(all in subscriptions(near()), now in near()) {
        match at(&all, now).reason {
            Reason::NoSubscription => prop_assert!(all.is_empty()),
            Reason::Subscription { id, status, .. } => {
                prop_assert!(all.iter().any(|s| s.id == id && s.status == status));
            }
        }
    }

    #[test]
    fn no_input_panics(all in subscriptions(any_time()), now in any_time()) {
        let open = at(&all, now);
        prop_assert!(open.until.is_none_or(|until| now < until));
    }
}
