//! What a purchase grants follows from what was promised and from its payment as it is now, and from
//! nothing that happened in between.

use billing::ledger::{Bought, Dispute, Grant, InvoiceStatus, Payment, PaymentStatus, Purchase, Refund};
use billing::purchase::DisputeStatus;
use billing::{Catalog, CheckoutSessionId, Currency, Meter, Money, PaymentIntentId, PriceId, Timestamp};
use proptest::prelude::*;

const PLANS: &str = include_str!("../../plans.toml");
const MONTH: Timestamp = Timestamp(1_812_628_800);

/// The shipped catalogue.
fn catalog() -> Catalog {
    parse(PLANS)
}

fn parse(text: &str) -> Catalog {
    Catalog::parse(text, &|_| None).expect("the catalogue is sound")
}

/// The catalogue of a day on which the smaller pack is half of what it was.
fn stingy() -> Catalog {
    parse(&PLANS.replace("quantity = 500\n", "quantity = 250\n"))
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").unwrap())
}

/// A line for the smaller pack, as Stripe tells it.
fn line() -> Bought {
    Bought {
        description: "500 AI generations".to_owned(),
        price: Some(PriceId::new("price_1")),
        lookup_key: Some("tollgate_ai_500".to_owned()),
        quantity: 1,
        amount: 1_500,
        product: Some("ai-500".to_owned()),
        grants: None,
    }
}

fn purchase(items: Vec<Bought>) -> Purchase {
    Purchase {
        session: CheckoutSessionId::new("cs_1"),
        payment: Some(PaymentIntentId::new("pi_1")),
        is_settled: true,
        total: usd(1_500),
        items,
        created: MONTH,
    }
}

fn payment() -> Payment {
    Payment {
        id: PaymentIntentId::new("pi_1"),
        customer: None,
        status: PaymentStatus::Succeeded,
        amount: usd(1_500),
        description: None,
        charge: Some("ch_1".to_owned()),
        amount_refunded: 0,
        refunds: Vec::new(),
        is_disputed: false,
        disputes: Vec::new(),
        card: None,
        receipt_url: None,
        failure: None,
        failure_code: None,
        created: MONTH,
    }
}

fn dispute(status: &str, amount: i64) -> Dispute {
    let status = DisputeStatus::from(status.to_owned());
    Dispute { id: "dp_1".to_owned(), amount, status, reason: None, created: MONTH }
}

/// What the first line is, and how many units it is good for.
fn first(purchase: &Purchase) -> (Option<&str>, Option<u64>) {
    let item = &purchase.items[0];
    (item.product.as_deref(), item.grants.map(|(_, units)| units))
}

/// How many units the pack is good for now.
fn units(purchase: &Purchase, payment: Option<&Payment>) -> u64 {
    let grants = purchase.grants(payment);
    let [grant] = grants.as_slice() else { panic!("{grants:?}") };
    assert_eq!((grant.source.as_str(), grant.meter), ("cs_1", Meter::AiGenerations));
    grant.units
}

fn pack() -> Purchase {
    purchase(vec![line()]).described(&catalog(), None)
}

/// At a renewal nobody is there to be asked: Stripe's word for that is a failure of the attempt.
#[test]
fn the_bank_wants_a_word_while_it_asks_and_after_it_could_not() {
    let after = |status: PaymentStatus, code: Option<&str>| Payment {
        status,
        failure_code: code.map(str::to_owned),
        ..payment()
    };
    assert!(after(PaymentStatus::RequiresAction, None).needs_action());
    assert!(after(PaymentStatus::RequiresPaymentMethod, Some("authentication_required")).needs_action());
    assert!(!after(PaymentStatus::RequiresPaymentMethod, Some("card_declined")).needs_action());
    assert!(!after(PaymentStatus::RequiresPaymentMethod, None).needs_action());
    assert!(!after(PaymentStatus::Succeeded, Some("authentication_required")).needs_action(), "it was given");
}

#[test]
fn a_line_is_the_product_of_its_price() {
    let by_key = Bought { product: None, ..line() };
    assert_eq!(first(&purchase(vec![by_key]).described(&catalog(), None)), (Some("ai-500"), Some(500)));
    let of_old = Bought { lookup_key: None, price: Some(PriceId::new("price_old")), product: None, ..line() };
    let retired = parse(&PLANS.replace(
        "lookup_key = \"tollgate_ai_2500\"",
        "lookup_key = \"tollgate_ai_2500\"\nretired_prices = [\"price_old\"]",
    ));
    assert_eq!(first(&purchase(vec![of_old]).described(&retired, None)), (Some("ai-2500"), Some(2_500)));
}

/// What was paid for counts, and not what the session was called.
#[test]
fn the_price_of_a_line_counts_before_the_name_of_the_session() {
    let misnamed = Bought { product: Some("ai-2500".to_owned()), ..line() };
    assert_eq!(first(&purchase(vec![misnamed]).described(&catalog(), None)), (Some("ai-500"), Some(500)));
}

#[test]
fn the_name_of_the_session_stands_in_for_a_price_that_nobody_knows() {
    for price in [None, Some(PriceId::new("price_of_old"))] {
        let named = Bought { price, lookup_key: None, ..line() };
        assert_eq!(first(&purchase(vec![named]).described(&catalog(), None)), (Some("ai-500"), Some(500)));
    }
}

#[test]
fn what_the_catalogue_does_not_have_grants_nothing() {
    let strange = Bought { lookup_key: None, product: Some("gold".to_owned()), ..line() };
    let described = purchase(vec![strange]).described(&catalog(), None);
    assert_eq!(first(&described), (None, None));
    assert_eq!(described.grants(Some(&payment())), []);
}

#[test]
fn a_product_without_a_meter_is_known_and_grants_nothing() {
    let plain = parse(&PLANS.replace("meter = \"aiGenerationsPerMonth\"\nquantity = 500\n", ""));
    let described = purchase(vec![line()]).described(&plain, None);
    assert_eq!(first(&described), (Some("ai-500"), None));
    assert_eq!(described.grants(Some(&payment())), []);
}

#[test]
fn two_of_a_pack_grant_twice_as_much() {
    let two = Bought { quantity: 2, ..line() };
    assert_eq!(first(&purchase(vec![two]).described(&catalog(), None)).1, Some(1_000));
    let too_many = Bought { quantity: u64::MAX, ..line() };
    assert_eq!(first(&purchase(vec![too_many]).described(&catalog(), None)).1, Some(u64::MAX));
}

/// An event that comes again after the catalogue was changed must not take back what was sold.
#[test]
fn what_was_promised_stays_promised_whatever_the_catalogue_says_today() {
    let then = pack();
    assert_eq!(first(&purchase(vec![line()]).described(&stingy(), None)), (Some("ai-500"), Some(250)));
    assert_eq!(first(&purchase(vec![line()]).described(&stingy(), Some(&then))), (Some("ai-500"), Some(500)));
    let gone = parse(&PLANS[..PLANS.find("[[product]]").expect("products are sold")]);
    assert_eq!(first(&purchase(vec![line()]).described(&gone, Some(&then))), (Some("ai-500"), Some(500)));
}

#[test]
fn what_was_promised_is_the_same_however_often_it_is_told() {
    let mut known = pack();
    for catalog in [stingy(), catalog(), stingy()] {
        let told = purchase(vec![line()]).described(&catalog, Some(&known));
        assert_eq!(told, known);
        known = told;
    }
}

/// Its price was forgotten in `plans.toml`, and put there when somebody saw it.
#[test]
fn what_nobody_knew_is_described_as_soon_as_the_catalogue_has_it() {
    let strange = Bought { product: None, ..line() };
    let before = purchase(vec![Bought { grants: None, ..strange.clone() }]);
    assert_eq!(first(&purchase(vec![strange]).described(&catalog(), Some(&before))), (Some("ai-500"), Some(500)));
}

#[test]
fn another_price_in_the_place_of_a_line_is_another_line() {
    let bigger = Bought {
        price: Some(PriceId::new("price_2")),
        lookup_key: Some("tollgate_ai_2500".to_owned()),
        product: None,
        ..line()
    };
    assert_eq!(first(&purchase(vec![bigger]).described(&catalog(), Some(&pack()))), (Some("ai-2500"), Some(2_500)));
}

#[test]
fn each_line_grants_by_itself_and_under_a_name_of_its_own() {
    let strange = Bought { lookup_key: None, product: None, ..line() };
    let bigger = Bought { lookup_key: Some("tollgate_ai_2500".to_owned()), product: None, ..line() };
    let described = purchase(vec![line(), strange, bigger]).described(&catalog(), None);
    let grant = |source: &str, units| Grant { source: source.to_owned(), meter: Meter::AiGenerations, units };
    assert_eq!(described.grants(Some(&payment())), [grant("cs_1", 500), grant("cs_1#2", 2_500)]);
}

#[test]
fn what_is_paid_grants_all_of_it() {
    assert_eq!(units(&pack(), Some(&payment())), 500);
}

/// The session is heard of before its payment is: what Stripe says of it will do.
#[test]
fn a_settled_purchase_grants_before_its_payment_is_heard_of() {
    assert_eq!(units(&pack(), None), 500);
    let free = Purchase { payment: None, total: usd(0), ..pack() };
    assert_eq!(units(&free, None), 500, "a whole discount has no payment at all");
}

#[test]
fn what_is_not_settled_grants_nothing_yet_and_says_so() {
    let on_its_way = Purchase { is_settled: false, ..pack() };
    assert_eq!(units(&on_its_way, None), 0);
    assert_eq!(units(&on_its_way, Some(&Payment { status: PaymentStatus::Processing, ..payment() })), 0);
    assert_eq!(units(&on_its_way, Some(&payment())), 0, "the session is asked again when its event comes");
}

/// A bank debit is settled at first and refused after all.
#[test]
fn a_payment_that_did_not_go_through_grants_nothing_whatever_the_session_says() {
    use PaymentStatus::{
        Canceled, Processing, RequiresAction, RequiresCapture, RequiresConfirmation, RequiresPaymentMethod, Unknown,
    };
    let word = Unknown("hibernating".to_owned());
    for status in
        [Canceled, Processing, RequiresAction, RequiresCapture, RequiresConfirmation, RequiresPaymentMethod, word]
    {
        assert_eq!(units(&pack(), Some(&Payment { status: status.clone(), ..payment() })), 0, "{status:?}");
    }
}

#[test]
fn a_refund_takes_back_its_share_and_one_that_failed_gives_it_again() {
    let refunded = |amount| Payment { amount_refunded: amount, ..payment() };
    assert_eq!(units(&pack(), Some(&refunded(500))), 333);
    assert_eq!(units(&pack(), Some(&refunded(1_500))), 0);
    assert_eq!(units(&pack(), Some(&refunded(0))), 500, "Stripe's sum is lower again");
    let listed = Refund { id: "re_1".to_owned(), amount: 1_500, status: "pending".to_owned(), created: MONTH };
    assert_eq!(units(&pack(), Some(&Payment { refunds: vec![listed], ..payment() })), 500, "only the sum decides");
}

#[test]
fn a_dispute_takes_back_what_the_bank_holds_and_gives_it_again_when_it_is_won() {
    let disputed = |status| Payment { is_disputed: true, disputes: vec![dispute(status, 1_500)], ..payment() };
    for (status, left) in [
        ("warning_needs_response", 500),
        ("needs_response", 0),
        ("under_review", 0),
        ("lost", 0),
        ("won", 500),
        ("prevented", 500),
        ("a_status_of_tomorrow", 0),
    ] {
        assert_eq!(units(&pack(), Some(&disputed(status))), left, "{status}");
    }
}

#[test]
fn what_was_refunded_and_what_is_disputed_are_taken_back_together() {
    let both = Payment { amount_refunded: 500, disputes: vec![dispute("needs_response", 1_000)], ..payment() };
    assert_eq!(units(&pack(), Some(&both)), 0);
    let some = Payment { amount_refunded: 500, disputes: vec![dispute("needs_response", 500)], ..payment() };
    assert_eq!(units(&pack(), Some(&some)), 166);
}

#[test]
fn only_the_disputes_that_hold_money_are_counted_as_disputed() {
    let disputes = vec![
        dispute("needs_response", 100),
        dispute("under_review", 20),
        dispute("lost", 3),
        dispute("won", 1_000),
        dispute("prevented", 1_000),
        dispute("warning_closed", 1_000),
    ];
    assert_eq!(Payment { disputes, ..payment() }.amount_disputed(), 123);
    assert_eq!(payment().amount_disputed(), 0);
    let beyond = vec![dispute("lost", i64::MAX), dispute("lost", i64::MAX)];
    assert_eq!(Payment { disputes: beyond, ..payment() }.amount_disputed(), i64::MAX);
}

#[test]
fn stripes_words_come_back_as_they_went_in() {
    for word in ["draft", "open", "paid", "void", "uncollectible", "hibernating", ""] {
        let status = InvoiceStatus::from(word.to_owned());
        assert_eq!(status.as_str(), word);
        assert_eq!(matches!(status, InvoiceStatus::Unknown(_)), ["hibernating", ""].contains(&word), "{word}");
    }
}

/// A payment in whatever state, of what is paid for the pack.
fn any_payment() -> impl Strategy<Value = Payment> {
    let word = prop::sample::select(vec!["succeeded", "processing", "canceled", "requires_payment_method", "new"]);
    let status = prop::sample::select(vec!["needs_response", "won", "lost", "warning_closed", "new"]);
    let disputes = prop::collection::vec((status, 0_i64..3_000), 0..3);
    (word, 0_i64..3_000, disputes).prop_map(|(word, amount_refunded, disputes)| Payment {
        status: PaymentStatus::from(word.to_owned()),
        amount_refunded,
        disputes: disputes.into_iter().map(|(status, amount)| dispute(status, amount)).collect(),
        ..payment()
    })
}

proptest! {
    #[test]
    fn nothing_grants_more_than_was_promised(payment in any_payment(), is_settled in any::<bool>()) {
        let bought = Purchase { is_settled, ..pack() };
        let granted = units(&bought, Some(&payment));
        prop_assert!(granted <= 500);
        prop_assert!(granted == 0 || (is_settled && payment.status == PaymentStatus::Succeeded));
    }

    #[test]
    fn a_larger_refund_never_grants_more(payment in any_payment(), more in 0_i64..3_000) {
        let refunded = Payment { amount_refunded: payment.amount_refunded + more, ..payment.clone() };
        prop_assert!(units(&pack(), Some(&refunded)) <= units(&pack(), Some(&payment)));
    }

    /// The order in which disputes are heard of is not known.
    #[test]
    fn the_order_of_the_disputes_never_matters(payment in any_payment()) {
        let mut reversed = payment.clone();
        reversed.disputes.reverse();
        prop_assert_eq!(units(&pack(), Some(&payment)), units(&pack(), Some(&reversed)));
    }
}
