//! The credits a purchase grants follow from what was promised and from its payment's current state,
//! never from what happened in between.

mod support;

use billing::ledger::{CreditGrant, LineItem, Payment, PaymentStatus, Purchase, Refund};
use billing::{Catalog, CheckoutSessionId, PaymentIntentId, PriceId};
use proptest::prelude::*;
use support::{AI_GENERATIONS, CREATED, PLANS, dispute, payment, usd};

/// The shipped catalog.
fn catalog() -> Catalog {
    parse(PLANS)
}

fn parse(text: &str) -> Catalog {
    Catalog::parse(text, &|_| None).expect("a valid catalog")
}

/// The catalog after the smaller pack was cut to half its size.
fn halved() -> Catalog {
    parse(&PLANS.replace("quantity = 500\n", "quantity = 250\n"))
}

/// A line for the smaller pack, as read from Stripe.
fn line() -> LineItem {
    LineItem {
        description: "500 AI generations".to_owned(),
        price: Some(PriceId::new("price_1")),
        lookup_key: Some("tollgate_ai_500".to_owned()),
        quantity: 1,
        amount: 1_500,
        product: Some("ai-500".to_owned()),
        grants: None,
    }
}

fn purchase(items: Vec<LineItem>) -> Purchase {
    Purchase {
        session: CheckoutSessionId::new("cs_1"),
        payment: Some(PaymentIntentId::new("pi_1")),
        is_paid: true,
        total: usd(1_500),
        items,
        created: CREATED,
    }
}

/// The product of the first line and the units it promises.
fn first(purchase: &Purchase) -> (Option<&str>, Option<u64>) {
    let item = &purchase.items[0];
    (item.product.as_deref(), item.grants.map(|(_, units)| units))
}

/// The units that the only line grants now.
fn units(purchase: &Purchase, payment: Option<&Payment>) -> u64 {
    let grants = purchase.grants(payment);
    let [grant] = grants.as_slice() else { panic!("{grants:?}") };
    assert_eq!((grant.source.as_str(), grant.meter), ("cs_1", AI_GENERATIONS));
    grant.units
}

fn pack() -> Purchase {
    purchase(vec![line()]).described(&catalog(), None)
}

/// A purchase for `total` that promises `units`.
fn promising(units: u64, total: i64) -> Purchase {
    let item = LineItem { grants: Some((AI_GENERATIONS, units)), ..line() };
    Purchase { total: usd(total), ..purchase(vec![item]) }
}

/// A succeeded payment of which these amounts were refunded and are disputed.
fn reduced(refunded: i64, disputed: i64) -> Payment {
    Payment { amount_refunded: refunded, disputes: vec![dispute("lost", disputed)], ..payment(1_500) }
}

// The product of a line and its promised credits

#[test]
fn a_line_is_the_product_of_its_price() {
    let by_key = LineItem { product: None, ..line() };
    assert_eq!(first(&purchase(vec![by_key]).described(&catalog(), None)), (Some("ai-500"), Some(500)));
    let by_id = LineItem { lookup_key: None, price: Some(PriceId::new("price_old")), product: None, ..line() };
    let retired = parse(&PLANS.replace(
        "lookup_key = \"tollgate_ai_2500\"",
        "lookup_key = \"tollgate_ai_2500\"\nretired_prices = [\"price_old\"]",
    ));
    assert_eq!(first(&purchase(vec![by_id]).described(&retired, None)), (Some("ai-2500"), Some(2_500)));
}

#[test]
fn the_price_of_a_line_outranks_the_product_of_the_session() {
    let misnamed = LineItem { product: Some("ai-2500".to_owned()), ..line() };
    assert_eq!(first(&purchase(vec![misnamed]).described(&catalog(), None)), (Some("ai-500"), Some(500)));
}

#[test]
fn the_product_of_the_session_stands_in_for_an_unknown_price() {
    for price in [None, Some(PriceId::new("price_of_old"))] {
        let named = LineItem { price, lookup_key: None, ..line() };
        assert_eq!(first(&purchase(vec![named]).described(&catalog(), None)), (Some("ai-500"), Some(500)));
    }
}

#[test]
fn a_line_that_is_not_in_the_catalog_grants_nothing() {
    let unknown = LineItem { lookup_key: None, product: Some("gold".to_owned()), ..line() };
    let described = purchase(vec![unknown]).described(&catalog(), None);
    assert_eq!(first(&described), (None, None));
    assert_eq!(described.grants(Some(&payment(1_500))), []);
}

#[test]
fn a_product_without_a_meter_is_known_and_grants_nothing() {
    let plain = parse(&PLANS.replace("meter = \"aiGenerationsPerMonth\"\nquantity = 500\n", ""));
    let described = purchase(vec![line()]).described(&plain, None);
    assert_eq!(first(&described), (Some("ai-500"), None));
    assert_eq!(described.grants(Some(&payment(1_500))), []);
}

#[test]
fn two_packs_grant_twice_as_much() {
    let two = LineItem { quantity: 2, ..line() };
    assert_eq!(first(&purchase(vec![two]).described(&catalog(), None)).1, Some(1_000));
    let too_many = LineItem { quantity: u64::MAX, ..line() };
    assert_eq!(first(&purchase(vec![too_many]).described(&catalog(), None)).1, Some(u64::MAX));
}

/// An event that is delivered again after the catalog changed must not take back what was sold.
#[test]
fn a_promise_outlasts_changes_to_the_catalog() {
    let stored = pack();
    assert_eq!(first(&purchase(vec![line()]).described(&halved(), None)), (Some("ai-500"), Some(250)));
    assert_eq!(first(&purchase(vec![line()]).described(&halved(), Some(&stored))), (Some("ai-500"), Some(500)));
    let nothing_sold = parse(&PLANS[..PLANS.find("[[product]]").expect("products are sold")]);
    assert_eq!(first(&purchase(vec![line()]).described(&nothing_sold, Some(&stored))), (Some("ai-500"), Some(500)));
}

#[test]
fn describing_a_purchase_again_changes_nothing() {
    let mut stored = pack();
    for catalog in [halved(), catalog(), halved()] {
        let again = purchase(vec![line()]).described(&catalog, Some(&stored));
        assert_eq!(again, stored);
        stored = again;
    }
}

#[test]
fn an_unknown_line_is_resolved_once_its_price_is_added_to_the_catalog() {
    let unknown = LineItem { product: None, ..line() };
    let before = purchase(vec![LineItem { grants: None, ..unknown.clone() }]);
    assert_eq!(first(&purchase(vec![unknown]).described(&catalog(), Some(&before))), (Some("ai-500"), Some(500)));
}

#[test]
fn another_price_in_the_same_place_is_another_line() {
    let bigger = LineItem {
        price: Some(PriceId::new("price_2")),
        lookup_key: Some("tollgate_ai_2500".to_owned()),
        product: None,
        ..line()
    };
    assert_eq!(first(&purchase(vec![bigger]).described(&catalog(), Some(&pack()))), (Some("ai-2500"), Some(2_500)));
}

#[test]
fn each_line_grants_under_a_key_of_its_own() {
    let unknown = LineItem { lookup_key: None, product: None, ..line() };
    let bigger = LineItem { lookup_key: Some("tollgate_ai_2500".to_owned()), product: None, ..line() };
    let described = purchase(vec![line(), unknown, bigger]).described(&catalog(), None);
    let grant = |source: &str, units| CreditGrant { source: source.to_owned(), meter: AI_GENERATIONS, units };
    assert_eq!(described.grants(Some(&payment(1_500))), [grant("cs_1", 500), grant("cs_1#2", 2_500)]);
}

// Granted credits as the payment changes

#[test]
fn a_paid_purchase_grants_everything_it_promised() {
    assert_eq!(units(&pack(), Some(&payment(1_500))), 500);
}

/// The session is often read before its payment.
#[test]
fn a_paid_purchase_grants_before_its_payment_is_read() {
    assert_eq!(units(&pack(), None), 500);
}

#[test]
fn a_free_purchase_grants_everything_it_promised() {
    let free = Purchase { payment: None, total: usd(0), ..pack() };
    assert_eq!(units(&free, None), 500, "a full discount has no payment at all");
    assert_eq!(units(&promising(500, 0), Some(&payment(1_500))), 500);
}

#[test]
fn an_unpaid_purchase_grants_zero_units() {
    let unpaid = Purchase { is_paid: false, ..pack() };
    assert_eq!(units(&unpaid, None), 0);
    assert_eq!(units(&unpaid, Some(&Payment { status: PaymentStatus::Processing, ..payment(1_500) })), 0);
    assert_eq!(units(&unpaid, Some(&payment(1_500))), 0, "the session's own event reports it as paid");
}

/// A bank debit can be rejected after Stripe reported the session as paid.
#[test]
fn a_payment_that_did_not_succeed_grants_nothing_whatever_the_session_says() {
    use PaymentStatus::{
        Canceled, Processing, RequiresAction, RequiresCapture, RequiresConfirmation, RequiresPaymentMethod, Unknown,
    };
    let unknown = Unknown("hibernating".to_owned());
    for status in
        [Canceled, Processing, RequiresAction, RequiresCapture, RequiresConfirmation, RequiresPaymentMethod, unknown]
    {
        assert_eq!(units(&pack(), Some(&Payment { status: status.clone(), ..payment(1_500) })), 0, "{status:?}");
    }
}

#[test]
fn a_refund_takes_its_share_back_and_a_failed_refund_returns_it() {
    let refunded = |amount| Payment { amount_refunded: amount, ..payment(1_500) };
    assert_eq!(units(&pack(), Some(&refunded(500))), 333);
    assert_eq!(units(&pack(), Some(&refunded(1_500))), 0);
    assert_eq!(units(&pack(), Some(&refunded(0))), 500, "Stripe lowered its total again");
    let pending = Refund { id: "re_1".to_owned(), amount: 1_500, status: "pending".to_owned(), created: CREATED };
    assert_eq!(
        units(&pack(), Some(&Payment { refunds: vec![pending], ..payment(1_500) })),
        500,
        "only the total decides"
    );
}

#[test]
fn a_dispute_takes_back_what_the_bank_holds_and_returns_it_when_it_is_won() {
    let disputed = |status| Payment { is_disputed: true, disputes: vec![dispute(status, 1_500)], ..payment(1_500) };
    for (status, left) in [
        ("warning_needs_response", 500),
        ("needs_response", 0),
        ("under_review", 0),
        ("lost", 0),
        ("won", 500),
        ("prevented", 500),
        ("a_future_status", 0),
    ] {
        assert_eq!(units(&pack(), Some(&disputed(status))), left, "{status}");
    }
}

#[test]
fn refunds_and_disputes_add_up() {
    let all = Payment { amount_refunded: 500, disputes: vec![dispute("needs_response", 1_000)], ..payment(1_500) };
    assert_eq!(units(&pack(), Some(&all)), 0);
    let some = Payment { amount_refunded: 500, disputes: vec![dispute("needs_response", 500)], ..payment(1_500) };
    assert_eq!(units(&pack(), Some(&some)), 166);
}

#[test]
fn refunds_and_disputes_take_back_no_more_than_there_is() {
    assert_eq!(units(&promising(500, 1_500), Some(&reduced(1_000, 1_500))), 0);
    assert_eq!(units(&promising(u64::MAX, 1), Some(&reduced(i64::MAX, i64::MAX))), 0);
}

/// A payment for the pack, in any state.
fn any_payment() -> impl Strategy<Value = Payment> {
    let status = prop::sample::select(vec!["succeeded", "processing", "canceled", "requires_payment_method", "new"]);
    let dispute_status = prop::sample::select(vec!["needs_response", "won", "lost", "warning_closed", "new"]);
    let disputes = prop::collection::vec((dispute_status, 0_i64..3_000), 0..3);
    (status, 0_i64..3_000, disputes).prop_map(|(status, amount_refunded, disputes)| Payment {
        status: PaymentStatus::from(status.to_owned()),
        amount_refunded,
        disputes: disputes.into_iter().map(|(status, amount)| dispute(status, amount)).collect(),
        ..payment(1_500)
    })
}

proptest! {
    #[test]
    fn a_purchase_never_grants_more_than_it_promised(payment in any_payment(), is_paid in any::<bool>()) {
        let bought = Purchase { is_paid, ..pack() };
        let granted = units(&bought, Some(&payment));
        prop_assert!(granted <= 500);
        prop_assert!(granted == 0 || (is_paid && payment.status == PaymentStatus::Succeeded));
    }

    #[test]
    fn a_purchase_never_grants_more_than_was_paid_for(
        promised in 0_u64..1_000_000_000, total in 1_i64..1_000_000_000,
        refunded in 0_i64..2_000_000_000, disputed in 0_i64..2_000_000_000,
    ) {
        let granted = units(&promising(promised, total), Some(&reduced(refunded, disputed)));
        let kept = u128::from((total - refunded - disputed).max(0).unsigned_abs());
        prop_assert!(granted <= promised);
        prop_assert!(u128::from(granted) * u128::from(total.unsigned_abs()) <= u128::from(promised) * kept);
    }

    #[test]
    fn a_larger_refund_or_dispute_never_grants_more(
        promised in 0_u64..1_000_000, total in 1_i64..1_000_000, refunded in 0_i64..1_000_000, more in 0_i64..1_000_000,
    ) {
        let purchase = promising(promised, total);
        let before = units(&purchase, Some(&reduced(refunded, 0)));
        prop_assert!(units(&purchase, Some(&reduced(refunded + more, 0))) <= before);
        prop_assert!(units(&purchase, Some(&reduced(refunded, more))) <= before);
    }

    #[test]
    fn a_larger_refund_never_grants_more_whatever_else_happened(payment in any_payment(), more in 0_i64..3_000) {
        let refunded = Payment { amount_refunded: payment.amount_refunded + more, ..payment.clone() };
        prop_assert!(units(&pack(), Some(&refunded)) <= units(&pack(), Some(&payment)));
    }

    #[test]
    fn the_order_of_disputes_does_not_matter(payment in any_payment()) {
        let mut reversed = payment.clone();
        reversed.disputes.reverse();
        prop_assert_eq!(units(&pack(), Some(&payment)), units(&pack(), Some(&reversed)));
    }
}
