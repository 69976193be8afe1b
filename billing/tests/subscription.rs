//! A subscription's grace period and price.

mod support;

use billing::{Status, Subscription, entitlement};
use support::{START, catalog, item, subscription};

#[test]
fn the_grace_ends_when_past_due_access_does() {
    for past_due_since in [None, Some(START.plus_days(4))] {
        let late = Subscription { status: Status::PastDue, past_due_since, ..subscription("sub_1", "price_pro") };
        let open = entitlement(std::slice::from_ref(&late), &catalog(), START.plus_days(1));
        assert_eq!(open.until, Some(late.grace_end(&catalog())), "{past_due_since:?}");
    }
}

#[test]
fn its_price_is_found_by_id_or_by_lookup_key() {
    let catalog = catalog();
    let amount = |subscription: &Subscription| subscription.price(&catalog).map(|price| price.amount.to_string());
    let by_id = subscription("sub_1", "price_pro_year");
    assert_eq!(amount(&by_id).as_deref(), Some("$290"));
    let mut by_key = subscription("sub_1", "price_of_another_time");
    by_key.items[0].lookup_key = Some("tollgate_enterprise_month".to_owned());
    assert_eq!(amount(&by_key).as_deref(), Some("$199"));
}

#[test]
fn an_add_on_and_a_price_that_is_no_longer_sold_have_no_price_here() {
    let catalog = catalog();
    assert_eq!(subscription("sub_1", "price_unknown").price(&catalog), None);
    let plan = subscription("sub_1", "price_pro");
    let period = plan.period();
    let mut with_add_on = plan.clone();
    with_add_on.items.insert(0, item("price_add_on", period.start, period.end));
    assert_eq!(with_add_on.price(&catalog), plan.price(&catalog), "the plan's item counts");
}
