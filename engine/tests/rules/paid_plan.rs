//! The plan that was paid last counts while a payment is missing.

use billing::{Catalog, PaidPlan, PriceId, Status, Subscription, Timestamp};
use engine::stripe::objects::{self, PaidLine};
use engine::sync::is_current;

use crate::fixtures::object;

const UNTIL: Timestamp = Timestamp(1_811_851_200);

fn line(price: &str, lookup_key: Option<&str>) -> PaidLine {
    PaidLine { price: PriceId::new(price), lookup_key: lookup_key.map(str::to_owned), until: UNTIL }
}

#[test]
fn a_paid_invoice_for_usage_does_not_hide_the_plan_that_was_paid_before() {
    let catalog = Catalog::parse(include_str!("../../../plans.toml"), &|_| None).unwrap();
    let pro = catalog.plan_named("pro").unwrap().tier.clone();
    let mut fetched = objects::subscription(&object("basil_and_later", "customer.subscription.created")).unwrap();
    fetched.subscription.status = Status::PastDue;
    let usage = vec![line("price_1QxCalls", None)];
    fetched.paid = vec![usage.clone(), vec![line("price_1QxPro", Some("tollgate_pro_month"))]];
    let paid = Some(PaidPlan { tier: pro.clone(), until: UNTIL });
    let stored = Subscription {
        paid,
        past_due_since: fetched.open_invoice_since,
        last_known_tier: Some(pro),
        ..fetched.subscription.clone()
    };
    assert!(is_current(Some(&stored), &fetched, &catalog));
    fetched.paid = vec![usage];
    let unpaid = Subscription { paid: None, ..stored };
    assert!(is_current(Some(&unpaid), &fetched, &catalog), "usage alone pays for no plan");
}
