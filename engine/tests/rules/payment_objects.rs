//! Invoices, payments, disputes, customers and purchases are read in both API shapes, and a missing
//! amount or date is never guessed.

use billing::ledger::{
    Card, Customer, Dispute, DisputeStatus, Invoice, InvoiceStatus, LineItem, Payment, PaymentStatus, Purchase, Refund,
};
use billing::{
    CheckoutSessionId, Currency, CustomerId, InvoiceId, Money, PaymentIntentId, PriceId, SubscriptionId, Timestamp,
};
use engine::stripe::objects::{self, Named};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixtures::{SHAPES, any_json, names, object, with, without};

/// 1 June 2027, 12:00 UTC: when the renewal starts whose payment fails at first.
const RENEWAL: Timestamp = Timestamp(1_811_851_200);
/// 10 June, 12:00:03 UTC: when the credit pack was paid by card.
const PAID: Timestamp = Timestamp(1_812_628_803);
/// 20 June, 12:00 UTC: when a third of it was refunded.
const REFUNDED: Timestamp = Timestamp(1_813_492_800);
/// 28 June, 8:00 UTC: when the rest was disputed.
const DISPUTED: Timestamp = Timestamp(1_814_169_600);

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").unwrap())
}

/// The fixtures whose type begins like this.
fn events(family: &str) -> Vec<String> {
    names().into_iter().filter(|name| name.starts_with(family)).collect()
}

/// An invoice with its payments expanded, as Stripe returns it.
fn invoice_response(folder: &str, name: &str, intents: &[&str]) -> Value {
    let invoice = object(folder, name);
    if folder == "before_basil" {
        return invoice;
    }
    let payment = |(index, intent): (usize, &&str)| {
        json!({
            "id": format!("inpay_{index}"),
            "object": "invoice_payment",
            "amount_paid": null,
            "amount_requested": invoice["amount_due"],
            "created": invoice["created"],
            "currency": "usd",
            "invoice": invoice["id"],
            "is_default": index == 0,
            "livemode": false,
            "payment": { "type": "payment_intent", "payment_intent": intent },
            "status": "open",
            "status_transitions": { "canceled_at": null, "paid_at": null },
        })
    };
    let data: Vec<Value> = intents.iter().enumerate().map(payment).collect();
    with(
        invoice.clone(),
        "/payments",
        json!({ "object": "list", "data": data, "has_more": false, "url": "/v1/invoice_payments" }),
    )
}

/// A PaymentIntent with its charge and its refunds expanded, as Stripe returns it.
fn payment_response(folder: &str) -> Value {
    let refunds = json!({
        "object": "list",
        "data": [object(folder, "refund.updated")],
        "has_more": false,
        "url": "/v1/charges/ch_3QxAda3/refunds",
    });
    let charge = with(object(folder, "charge.refunded"), "/refunds", refunds);
    let payment = with(object(folder, "payment_intent.succeeded"), "/id", json!("pi_3QxAda3"));
    let payment = ["metadata", "amount", "created", "description"]
        .iter()
        .fold(payment, |payment, field| with(payment, &format!("/{field}"), charge[field].clone()));
    with(payment, "/latest_charge", charge)
}

/// A Checkout Session with its line items expanded, as Stripe returns it.
fn session_response(folder: &str, name: &str) -> Value {
    let session = object(folder, name);
    let (id, lookup_key, description) = match session["metadata"]["product"].as_str() {
        Some("ai-500") => ("price_1QxAi500", "tollgate_ai_500", "500 AI generations"),
        _ => ("price_1QxAi2500", "tollgate_ai_2500", "2,500 AI generations"),
    };
    let line = json!({
        "id": "li_1QxAda",
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": session["amount_total"],
        "amount_tax": 0,
        "amount_total": session["amount_total"],
        "currency": "usd",
        "description": description,
        "price": { "id": id, "object": "price", "lookup_key": lookup_key, "unit_amount": session["amount_total"], "type": "one_time" },
        "quantity": 1,
    });
    let lines =
        json!({ "object": "list", "data": [line], "has_more": false, "url": "/v1/checkout/sessions/cs/line_items" });
    with(session, "/line_items", lines)
}

fn purchase(value: &Value) -> Option<Purchase> {
    objects::checkout_session(value).unwrap().purchase
}

/// The field that is named in the error.
fn missing_field<T: std::fmt::Debug>(read: Result<T, engine::stripe::ObjectError>, object: &str) -> &'static str {
    let error = read.expect_err("it is malformed");
    assert_eq!(error.object, object);
    error.field
}

#[test]
fn an_invoice_reads_the_same_in_both_shapes() {
    let events = events("invoice.");
    assert_eq!(events.len(), 8, "{events:?}");
    for name in events {
        let intent = object("before_basil", &name)["payment_intent"].take();
        let [new, old] = SHAPES
            .map(|folder| objects::invoice(&invoice_response(folder, &name, &[intent.as_str().unwrap()])).unwrap());
        assert_eq!(new, old, "{name}");
    }
}

#[test]
fn every_field_of_an_invoice_is_read() {
    let read =
        objects::invoice(&invoice_response("basil_and_later", "invoice.payment_failed", &["pi_3QxAda4"])).unwrap();
    let expected = Invoice {
        id: InvoiceId::new("in_1QxAda4"),
        customer: CustomerId::new("cus_QxAda"),
        subscription: Some(SubscriptionId::new("sub_1QxAda")),
        number: Some("QXADA-0004".to_owned()),
        status: InvoiceStatus::Open,
        reason: Some("subscription_cycle".to_owned()),
        total: usd(4_900),
        amount_due: 4_900,
        amount_paid: 0,
        amount_remaining: 4_900,
        credited_before_payment: 0,
        credited_after_payment: 0,
        period_end: Some(RENEWAL.plus_days(30)),
        created: RENEWAL,
        finalized_at: Some(RENEWAL.plus_seconds(3_600)),
        due_date: None,
        paid_at: None,
        next_payment_attempt: Some(RENEWAL.plus_days(3).plus_seconds(3_600)),
        attempt_count: 1,
        payments: vec![PaymentIntentId::new("pi_3QxAda4")],
    };
    assert_eq!(read, Named { object: expected, account: Some("0197ada".to_owned()), method: None });
}

#[test]
fn credit_notes_and_the_last_period_of_an_invoice_are_read() {
    for folder in SHAPES {
        let edited = objects::invoice(&object(folder, "invoice.updated")).unwrap().object;
        assert_eq!((edited.total, edited.amount_due, edited.amount_remaining), (usd(938), 438, 438), "{folder}");
        assert_eq!((edited.credited_before_payment, edited.credited_after_payment), (500, 0), "{folder}");
        let value = object(folder, "invoice.payment_failed");
        let value = with(value, "/pre_payment_credit_notes_amount", json!(700));
        let value = with(value, "/post_payment_credit_notes_amount", json!(200));
        let value = with(value, "/lines/data/1/period/end", json!(RENEWAL.plus_days(365).0));
        let read = objects::invoice(&value).unwrap().object;
        assert_eq!((read.credited_before_payment, read.credited_after_payment, read.credited()), (700, 200, 900));
        assert_eq!(read.period_end, Some(RENEWAL.plus_days(365)), "{folder}: of a yearly add-on");
        let bare = objects::invoice(&without(value, "/lines")).unwrap().object;
        assert_eq!(bare.period_end, None);
    }
}

#[test]
fn every_final_status_of_an_invoice_is_read() {
    for (name, status, paid, remaining) in [
        ("invoice.finalized", InvoiceStatus::Open, 0, 4_900),
        ("invoice.payment_succeeded", InvoiceStatus::Paid, 4_900, 0),
        ("invoice.voided", InvoiceStatus::Void, 0, 938),
        ("invoice.marked_uncollectible", InvoiceStatus::Uncollectible, 0, 2_900),
    ] {
        for folder in SHAPES {
            let read = objects::invoice(&object(folder, name)).unwrap().object;
            assert_eq!(
                (read.status, read.amount_paid, read.amount_remaining),
                (status.clone(), paid, remaining),
                "{name}"
            );
            assert_eq!(read.paid_at.is_some(), paid > 0, "{folder}/{name}");
        }
    }
}

#[test]
fn a_missing_field_of_an_invoice_is_named_in_the_error() {
    for folder in SHAPES {
        for (pointer, field) in [
            ("/id", "id"),
            ("/customer", "customer"),
            ("/status", "status"),
            ("/total", "total"),
            ("/currency", "total"),
            ("/amount_due", "amount_due"),
            ("/amount_paid", "amount_paid"),
            ("/amount_remaining", "amount_remaining"),
            ("/pre_payment_credit_notes_amount", "pre_payment_credit_notes_amount"),
            ("/post_payment_credit_notes_amount", "post_payment_credit_notes_amount"),
            ("/created", "created"),
        ] {
            let value = without(object(folder, "invoice.payment_failed"), pointer);
            assert_eq!(missing_field(objects::invoice(&value), "invoice"), field, "{folder}: {pointer}");
        }
    }
}

#[test]
fn an_invoice_field_of_the_wrong_type_counts_as_missing() {
    for (pointer, odd, field) in [
        ("/id", json!(7), "id"),
        ("/customer", json!({}), "customer"),
        ("/customer", json!(null), "customer"),
        ("/status", json!(null), "status"),
        ("/total", json!("49.00"), "total"),
        ("/total", json!(49.5), "total"),
        ("/currency", json!("dollars"), "total"),
        ("/amount_due", json!(null), "amount_due"),
        ("/created", json!("2027-06-01"), "created"),
        ("/due_date", json!("soon"), "due_date"),
        ("/next_payment_attempt", json!("soon"), "next_payment_attempt"),
        ("/status_transitions/finalized_at", json!(1.5), "finalized_at"),
        ("/status_transitions/paid_at", json!("yesterday"), "paid_at"),
    ] {
        let value = with(object("basil_and_later", "invoice.payment_failed"), pointer, odd.clone());
        assert_eq!(missing_field(objects::invoice(&value), "invoice"), field, "{pointer} = {odd}");
    }
}

#[test]
fn the_optional_fields_of_an_invoice_may_be_missing() {
    let mut value = object("basil_and_later", "invoice.payment_failed");
    for pointer in ["/number", "/billing_reason", "/parent", "/due_date", "/next_payment_attempt", "/attempt_count"] {
        value = without(value, pointer);
    }
    value["status_transitions"] = json!(null);
    value["number"] = json!("");
    let Named { object, account, .. } = objects::invoice(&value).unwrap();
    assert_eq!((object.number, object.reason, object.subscription, account), (None, None, None, None));
    assert_eq!((object.due_date, object.next_payment_attempt, object.finalized_at), (None, None, None));
    assert_eq!((object.attempt_count, object.payments), (0, Vec::new()));
}

#[test]
fn an_invoice_has_its_account_wherever_the_metadata_is() {
    let metadata = json!({ "account_id": "0197other" });
    for (folder, pointer) in [
        ("basil_and_later", "/parent/subscription_details/metadata"),
        ("before_basil", "/subscription_details/metadata"),
        ("basil_and_later", "/metadata"),
        ("before_basil", "/metadata"),
    ] {
        let details = if folder == "before_basil" {
            "/subscription_details/metadata"
        } else {
            "/parent/subscription_details/metadata"
        };
        let value = with(with(object(folder, "invoice.paid"), details, json!({})), pointer, metadata.clone());
        assert_eq!(objects::invoice(&value).unwrap().account.as_deref(), Some("0197other"), "{folder}: {pointer}");
    }
}

/// An invoice that is paid by hand is owed from its due date.
#[test]
fn an_invoice_is_owed_from_its_due_date_or_from_when_it_was_finalized() {
    let invoice = objects::invoice(&object("basil_and_later", "invoice.payment_failed")).unwrap().object;
    assert_eq!(invoice.owed_since(), RENEWAL.plus_seconds(3_600), "since it was finalized");
    let by_hand = Invoice { due_date: Some(RENEWAL.plus_days(14)), ..invoice.clone() };
    assert_eq!(by_hand.owed_since(), RENEWAL.plus_days(14));
    let unfinalized = Invoice { finalized_at: None, ..invoice };
    assert_eq!(unfinalized.owed_since(), RENEWAL, "since it was created, if Stripe says no more");
}

#[test]
fn every_payment_of_an_invoice_is_listed_once() {
    let payments = |value: &Value| -> Vec<String> {
        objects::invoice(value).unwrap().object.payments.iter().map(ToString::to_string).collect()
    };
    let several = invoice_response("basil_and_later", "invoice.payment_failed", &["pi_2", "pi_1", "pi_2"]);
    assert_eq!(payments(&several), ["pi_1", "pi_2"]);
    let both = with(several.clone(), "/payment_intent", json!({ "id": "pi_3", "object": "payment_intent" }));
    assert_eq!(payments(&both), ["pi_1", "pi_2", "pi_3"], "as Stripe responds in an older API version today");
    let mut others = several;
    others["payments"]["data"][0]["payment"] = json!({ "type": "charge", "charge": "ch_1" });
    others["payments"]["data"][1]["payment"] = json!({ "type": "payment_intent", "payment_intent": { "id": "pi_4" } });
    others["payments"]["data"][2]["payment"] = json!({ "type": "payment_record", "payment_record": "prec_1" });
    assert_eq!(payments(&others), ["pi_4"], "other kinds of payment have no PaymentIntent");
    let old = with(object("before_basil", "invoice.payment_failed"), "/payment_intent", json!(null));
    assert!(payments(&old).is_empty(), "nothing was due");
}

#[test]
fn amounts_are_in_the_currency_of_the_invoice() {
    for (currency, total) in [("jpy", 500), ("kwd", 1_234), ("EUR", -2_000), ("usd", 0)] {
        let value = with(object("basil_and_later", "invoice.paid"), "/currency", json!(currency));
        let value = with(value, "/total", json!(total));
        let read = objects::invoice(&value).unwrap().object.total;
        assert_eq!((read.minor, read.currency.as_str()), (total, currency.to_lowercase().as_str()));
    }
}

#[test]
fn unknown_statuses_are_kept_verbatim() {
    let invoice = with(object("basil_and_later", "invoice.paid"), "/status", json!("hibernating"));
    assert_eq!(objects::invoice(&invoice).unwrap().object.status, InvoiceStatus::Unknown("hibernating".to_owned()));
    let payment = with(object("basil_and_later", "payment_intent.succeeded"), "/status", json!("hibernating"));
    assert_eq!(objects::payment(&payment).unwrap().object.status, PaymentStatus::Unknown("hibernating".to_owned()));
    let dispute = with(object("basil_and_later", "charge.dispute.created"), "/status", json!("hibernating"));
    assert_eq!(objects::dispute(&dispute).unwrap().status, DisputeStatus::Unknown("hibernating".to_owned()));
    let refund = with(object("basil_and_later", "refund.created"), "/status", json!("hibernating"));
    let value = with(payment_response("basil_and_later"), "/latest_charge/refunds/data", json!([refund]));
    assert_eq!(objects::payment(&value).unwrap().object.refunds[0].status, "hibernating");
}

#[test]
fn a_payment_reads_the_same_in_both_shapes() {
    let events = events("payment_intent.");
    assert_eq!(events.len(), 5, "{events:?}");
    for name in events {
        let [new, old] = SHAPES.map(|folder| objects::payment(&object(folder, &name)).unwrap());
        assert_eq!(new, old, "{name}");
    }
    let [new, old] = SHAPES.map(|folder| objects::payment(&payment_response(folder)).unwrap());
    assert_eq!(new, old);
}

#[test]
fn every_field_of_a_payment_is_read() {
    let read = objects::payment(&payment_response("basil_and_later")).unwrap();
    let expected = Payment {
        id: PaymentIntentId::new("pi_3QxAda3"),
        customer: Some(CustomerId::new("cus_QxAda")),
        status: PaymentStatus::Succeeded,
        amount: usd(1_500),
        description: None,
        charge: Some("ch_3QxAda3".to_owned()),
        amount_refunded: 500,
        refunds: vec![Refund {
            id: "re_3QxAda3".to_owned(),
            amount: 500,
            status: "succeeded".to_owned(),
            created: REFUNDED,
        }],
        is_disputed: false,
        disputes: Vec::new(),
        card: Some(Card { brand: "visa".to_owned(), last4: "4242".to_owned() }),
        receipt_url: Some("https://pay.stripe.com/receipts/payment/ch_3QxAda3".to_owned()),
        failure: None,
        failure_code: None,
        created: PAID,
    };
    assert_eq!(
        read,
        Named { object: expected, account: Some("0197ada".to_owned()), method: Some("pm_1QxAda".to_owned()) }
    );
}

#[test]
fn every_state_of_a_payment_is_read() {
    for (name, status, failure) in [
        ("succeeded", PaymentStatus::Succeeded, None),
        ("processing", PaymentStatus::Processing, None),
        ("requires_action", PaymentStatus::RequiresAction, None),
        ("canceled", PaymentStatus::Canceled, None),
        ("payment_failed", PaymentStatus::RequiresPaymentMethod, Some("Your card has insufficient funds.")),
    ] {
        for folder in SHAPES {
            let read = objects::payment(&object(folder, &format!("payment_intent.{name}"))).unwrap().object;
            assert_eq!((read.status, read.failure.as_deref()), (status.clone(), failure), "{folder}/{name}");
        }
    }
}

/// Before `2022-11-15` a PaymentIntent had a list of its charges, the latest first.
#[test]
fn a_payment_with_a_list_of_charges_reads_the_same() {
    let new = payment_response("before_basil");
    let latest = new["latest_charge"].clone();
    let failed = json!({ "id": "ch_before", "amount_refunded": 0, "status": "failed", "disputed": true });
    let list = json!({ "object": "list", "data": [latest, failed], "has_more": false, "url": "/v1/charges" });
    let old = with(without(new.clone(), "/latest_charge"), "/charges", list);
    assert_eq!(objects::payment(&old).unwrap(), objects::payment(&new).unwrap());
    let none = with(old, "/charges", json!({ "object": "list", "data": [], "has_more": false, "url": "/v1/charges" }));
    assert_eq!(objects::payment(&none).unwrap().object.charge, None);
}

#[test]
fn a_payment_whose_charge_is_not_expanded_has_only_its_id() {
    let read = objects::payment(&object("basil_and_later", "payment_intent.succeeded")).unwrap().object;
    assert_eq!(read.charge.as_deref(), Some("ch_3QxAda4b"));
    assert_eq!((read.amount_refunded, read.refunds, read.card, read.receipt_url), (0, Vec::new(), None, None));
}

#[test]
fn a_missing_field_of_a_payment_is_named_in_the_error() {
    for (pointer, field) in
        [("/id", "id"), ("/status", "status"), ("/amount", "amount"), ("/currency", "amount"), ("/created", "created")]
    {
        for folder in SHAPES {
            let value = without(payment_response(folder), pointer);
            assert_eq!(missing_field(objects::payment(&value), "payment_intent"), field, "{folder}: {pointer}");
        }
    }
    for (pointer, odd) in [
        ("/id", json!(null)),
        ("/status", json!(3)),
        ("/amount", json!("15.00")),
        ("/amount", json!(15.5)),
        ("/currency", json!("us")),
        ("/created", json!("2027-06-10")),
    ] {
        let value = with(payment_response("basil_and_later"), pointer, odd.clone());
        assert!(objects::payment(&value).is_err(), "{pointer} = {odd} was accepted");
    }
}

#[test]
fn refunds_are_listed_oldest_first() {
    let refund = |id: &str, created: i64| {
        let value = with(object("basil_and_later", "refund.created"), "/id", json!(id));
        with(value, "/created", json!(created))
    };
    // Stripe's list has the newest first.
    let list = json!([refund("re_c", 9), refund("re_b", 5), refund("re_a", 5)]);
    for refunds in [json!({ "object": "list", "data": list.clone() }), list] {
        let value = with(payment_response("basil_and_later"), "/latest_charge/refunds", refunds);
        let read = objects::payment(&value).unwrap().object.refunds;
        assert_eq!(read.iter().map(|refund| refund.id.as_str()).collect::<Vec<_>>(), ["re_a", "re_b", "re_c"]);
    }
}

/// The refunded amount is Stripe's sum, in which a refund that failed does not count.
#[test]
fn a_failed_refund_is_listed_and_does_not_count() {
    for folder in SHAPES {
        let value =
            with(payment_response(folder), "/latest_charge/refunds/data", json!([object(folder, "refund.failed")]));
        let value = with(value, "/latest_charge/amount_refunded", json!(0));
        let read = objects::payment(&value).unwrap().object;
        assert_eq!((read.amount_refunded, read.refunds[0].status.as_str()), (0, "failed"), "{folder}");
    }
}

#[test]
fn an_unreadable_refund_is_left_out_and_stripes_sum_stays() {
    for pointer in ["/id", "/amount", "/created"] {
        let refund = without(object("basil_and_later", "refund.created"), pointer);
        let value = with(payment_response("basil_and_later"), "/latest_charge/refunds/data", json!([refund]));
        let read = objects::payment(&value).unwrap().object;
        assert_eq!((read.amount_refunded, read.refunds), (500, Vec::new()), "{pointer}");
    }
}

#[test]
fn only_card_payments_have_a_card() {
    let debit =
        json!({ "type": "us_bank_account", "us_bank_account": { "bank_name": "STRIPE TEST BANK", "last4": "6789" } });
    for details in [debit, json!({ "type": "card", "card": { "brand": null, "last4": "4242" } }), json!(null)] {
        let value = with(payment_response("basil_and_later"), "/latest_charge/payment_method_details", details);
        assert_eq!(objects::payment(&value).unwrap().object.card, None);
    }
}

#[test]
fn the_method_of_a_declined_payment_is_the_one_that_was_tried() {
    for folder in SHAPES {
        let declined = object(folder, "payment_intent.payment_failed");
        assert_eq!(objects::payment(&declined).unwrap().method.as_deref(), Some("pm_1QxAda"), "{folder}");
        let bare = with(declined, "/last_payment_error", json!(null));
        let charged = with(bare, "/latest_charge", json!({ "id": "ch_1", "payment_method": "pm_charged" }));
        assert_eq!(objects::payment(&charged).unwrap().method.as_deref(), Some("pm_charged"), "{folder}");
    }
}

#[test]
fn a_payment_without_a_customer_or_account_is_read() {
    let value = with(with(payment_response("basil_and_later"), "/customer", json!(null)), "/metadata", json!({}));
    let Named { object, account, .. } = objects::payment(&value).unwrap();
    assert_eq!((object.customer, account), (None, None));
    let deleted = with(value, "/customer", json!({ "id": "cus_QxAda", "object": "customer", "deleted": true }));
    assert_eq!(objects::payment(&deleted).unwrap().object.customer, Some(CustomerId::new("cus_QxAda")));
}

#[test]
fn a_disputed_payment_is_marked_and_lists_no_disputes_itself() {
    let value = with(payment_response("basil_and_later"), "/latest_charge/disputed", json!(true));
    let read = objects::payment(&value).unwrap().object;
    assert!(read.is_disputed && read.disputes.is_empty());
}

#[test]
fn every_field_of_a_dispute_is_read_the_same_in_both_shapes() {
    for (name, status) in [
        ("created", DisputeStatus::NeedsResponse),
        ("funds_withdrawn", DisputeStatus::NeedsResponse),
        ("updated", DisputeStatus::UnderReview),
        ("closed", DisputeStatus::Won),
        ("funds_reinstated", DisputeStatus::Won),
    ] {
        for folder in SHAPES {
            let read = objects::dispute(&object(folder, &format!("charge.dispute.{name}"))).unwrap();
            let expected = Dispute {
                id: "dp_1QxAda".to_owned(),
                amount: 1_000,
                status: status.clone(),
                reason: Some("fraudulent".to_owned()),
                created: DISPUTED,
            };
            assert_eq!(read, expected, "{folder}/{name}");
        }
    }
}

#[test]
fn a_missing_field_of_a_dispute_is_named_in_the_error() {
    let dispute = object("basil_and_later", "charge.dispute.created");
    for field in ["id", "amount", "status", "created"] {
        let value = without(dispute.clone(), &format!("/{field}"));
        assert_eq!(missing_field(objects::dispute(&value), "dispute"), field);
        let value = with(dispute.clone(), &format!("/{field}"), json!([]));
        assert_eq!(missing_field(objects::dispute(&value), "dispute"), field);
    }
    assert_eq!(objects::dispute(&without(dispute, "/reason")).unwrap().reason, None, "the reason is optional");
}

#[test]
fn every_field_of_a_customer_is_read_the_same_in_both_shapes() {
    for folder in SHAPES {
        let expected = Customer {
            id: CustomerId::new("cus_QxAda"),
            email: Some("ada@byron.example".to_owned()),
            name: Some("Ada King".to_owned()),
            is_deleted: false,
        };
        let read = objects::customer(&object(folder, "customer.updated")).unwrap();
        assert_eq!(
            read,
            Named { object: expected, account: Some("0197ada".to_owned()), method: Some("pm_1QxAda".to_owned()) },
            "{folder}"
        );
    }
}

/// The event of a deletion holds the customer as it was; only Stripe's response to a request shows that
/// the customer is deleted.
#[test]
fn a_customer_is_deleted_only_if_stripes_response_says_so() {
    for folder in SHAPES {
        assert!(!objects::customer(&object(folder, "customer.deleted")).unwrap().object.is_deleted, "{folder}");
    }
    let response = json!({ "id": "cus_QxAda", "object": "customer", "deleted": true });
    let expected = Customer { id: CustomerId::new("cus_QxAda"), email: None, name: None, is_deleted: true };
    assert_eq!(objects::customer(&response).unwrap(), Named { object: expected, account: None, method: None });
}

#[test]
fn a_customer_needs_only_its_id() {
    let customer = object("basil_and_later", "customer.updated");
    assert_eq!(missing_field(objects::customer(&without(customer.clone(), "/id")), "customer"), "id");
    let mut bare = customer;
    for (pointer, odd) in [("/email", json!("")), ("/name", json!(null)), ("/metadata", json!(null))] {
        bare = with(bare, pointer, odd);
    }
    let Named { object, account, .. } = objects::customer(&bare).unwrap();
    assert_eq!((object.email, object.name, account), (None, None, None));
}

#[test]
fn every_field_of_a_purchase_is_read_the_same_in_both_shapes() {
    for folder in SHAPES {
        let read =
            purchase(&session_response(folder, "checkout.session.completed-by_card")).expect("something was bought");
        let line = LineItem {
            description: "500 AI generations".to_owned(),
            price: Some(PriceId::new("price_1QxAi500")),
            lookup_key: Some("tollgate_ai_500".to_owned()),
            quantity: 1,
            amount: 1_500,
            product: Some("ai-500".to_owned()),
            grants: None,
        };
        let expected = Purchase {
            session: CheckoutSessionId::new("cs_test_a2QxAda"),
            payment: Some(PaymentIntentId::new("pi_3QxAda3")),
            is_paid: true,
            total: usd(1_500),
            items: vec![line],
            created: PAID.plus_seconds(-183),
        };
        assert_eq!(read, expected, "{folder}");
    }
}

#[test]
fn a_bank_debit_is_a_purchase_that_is_paid_later() {
    for folder in SHAPES {
        let outcome = |name: &str| {
            let response = objects::checkout_session(&session_response(folder, name)).unwrap();
            let purchase = response.purchase.expect("something was bought");
            assert_eq!(response.is_paid, purchase.is_paid, "{folder}/{name}");
            (purchase.session.to_string(), purchase.is_paid)
        };
        let first = "cs_test_a3QxAda".to_owned();
        assert_eq!(outcome("checkout.session.completed-by_bank_debit"), (first.clone(), false));
        assert_eq!(outcome("checkout.session.async_payment_succeeded"), (first, true));
        assert_eq!(outcome("checkout.session.async_payment_failed"), ("cs_test_a4QxAda".to_owned(), false));
    }
}

/// With a full discount there is nothing to pay, so there is no PaymentIntent.
#[test]
fn a_free_purchase_is_paid_without_a_payment() {
    let value = session_response("basil_and_later", "checkout.session.completed-by_card");
    let value = with(value, "/payment_intent", json!(null));
    let value = with(with(value, "/amount_total", json!(0)), "/payment_status", json!("no_payment_required"));
    let read = purchase(&value).expect("something was bought");
    assert_eq!((read.payment, read.is_paid, read.total), (None, true, usd(0)));
}

#[test]
fn only_a_complete_session_in_payment_mode_is_a_purchase() {
    for (status, mode) in
        [("open", "payment"), ("expired", "payment"), ("complete", "subscription"), ("complete", "setup")]
    {
        let value = session_response("basil_and_later", "checkout.session.completed-by_card");
        let value = with(with(value, "/status", json!(status)), "/mode", json!(mode));
        assert_eq!(purchase(&value), None, "{status}, {mode}");
    }
}

#[test]
fn a_missing_field_of_a_purchase_is_named_in_the_error() {
    for (pointer, field) in [("/amount_total", "amount_total"), ("/currency", "amount_total"), ("/created", "created")]
    {
        for folder in SHAPES {
            let value = session_response(folder, "checkout.session.completed-by_card");
            let read = objects::checkout_session(&without(value.clone(), pointer));
            assert_eq!(missing_field(read, "checkout.session"), field, "{folder}: {pointer}");
            let read = objects::checkout_session(&with(value, pointer, json!({})));
            assert_eq!(missing_field(read, "checkout.session"), field, "{folder}: {pointer}");
        }
    }
    // The session of a subscription does not need them.
    let plan = without(object("basil_and_later", "checkout.session.completed"), "/amount_total");
    assert!(objects::checkout_session(&plan).is_ok());
}

#[test]
fn the_product_in_the_metadata_is_ignored_if_there_are_several_lines() {
    let value = session_response("basil_and_later", "checkout.session.completed-by_card");
    let line = value["line_items"]["data"][0].clone();
    let second = with(with(line.clone(), "/quantity", json!(3)), "/price", json!("price_unexpanded"));
    let items = purchase(&with(value, "/line_items/data", json!([line, second]))).expect("bought").items;
    assert_eq!(items.iter().map(|item| item.product.as_deref()).collect::<Vec<_>>(), [None, None]);
    assert_eq!(
        (items[1].price.as_ref().map(PriceId::as_str), items[1].lookup_key.as_deref()),
        (Some("price_unexpanded"), None)
    );
    assert_eq!((items[0].quantity, items[1].quantity), (1, 3));
}

#[test]
fn the_optional_fields_of_a_line_item_may_be_missing() {
    let value = session_response("basil_and_later", "checkout.session.completed-by_card");
    let bare = with(value.clone(), "/line_items/data", json!([{ "id": "li_1", "price": null, "quantity": null }]));
    let item = purchase(&bare).expect("bought").items.remove(0);
    assert_eq!((item.description.as_str(), item.price, item.quantity, item.amount), ("", None, 1, 0));
    assert!(purchase(&without(value, "/line_items")).expect("bought").items.is_empty(), "they were not expanded");
}

proptest! {
    #[test]
    fn a_date_or_amount_is_read_from_its_own_field_or_not_at_all(at in 0_usize..10, new in any_json()) {
        let pointer = [
            "/total", "/amount_due", "/amount_paid", "/amount_remaining", "/created", "/due_date", "/next_payment_attempt",
            "/status_transitions/finalized_at", "/status_transitions/paid_at", "/attempt_count",
        ][at];
        let value = with(object("basil_and_later", "invoice.payment_failed"), pointer, new.clone());
        if let Ok(Named { object: invoice, .. }) = objects::invoice(&value) {
            let read = [
                Some(invoice.total.minor), Some(invoice.amount_due), Some(invoice.amount_paid), Some(invoice.amount_remaining),
                Some(invoice.created.0), invoice.due_date.map(|at| at.0), invoice.next_payment_attempt.map(|at| at.0),
                invoice.finalized_at.map(|at| at.0), invoice.paid_at.map(|at| at.0), Some(invoice.attempt_count),
            ];
            // The number of attempts is optional.
            let expected = if pointer == "/attempt_count" { new.as_i64().or(Some(0)) } else { new.as_i64() };
            prop_assert_eq!(read[at], expected, "{}", pointer);
        }
    }
}
