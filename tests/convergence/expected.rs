//! The state that a node must have, from Stripe's own JSON.
//!
//! A second implementation, from Stripe's documentation, that shares nothing with the program but the
//! types it stores: a field that the program misreads is read correctly here. Every type is built from
//! all of its fields, so that a new field has to be compared with Stripe before this compiles.

use std::collections::BTreeSet;

use crate::objects::Objects;
use billing::ledger::{
    Card, Customer, Dispute, DisputeStatus, Invoice, InvoiceStatus, LineItem, Payment, PaymentStatus, Purchase, Refund,
    Reversal, ReversalKind,
};
use billing::{
    CheckoutSessionId, Currency, CustomerId, InvoiceId, Item, Meter, Money, PaidPlan, Pause, PauseBehavior,
    PauseReason, PaymentIntentId, Period, PriceId, Status, Subscription, SubscriptionId, Tier, Timestamp,
};
use engine::store::checkouts::AttemptStatus;
use serde_json::Value;

/// The grace period after a period's end, or after a failed payment, in seconds (`plans.toml`).
const GRACE: i64 = 3 * 86_400;

pub fn customer(json: &Value) -> Customer {
    Customer {
        id: CustomerId::new(text(&json["id"])),
        email: optional_text(&json["email"]),
        name: optional_text(&json["name"]),
        is_deleted: json["deleted"] == true,
    }
}

pub fn subscription(all: &Objects, json: &Value) -> Subscription {
    let items = json["items"]["data"].as_array().unwrap();
    let tiers = items.iter().map(|item| tier(&item["price"]["lookup_key"]));
    Subscription {
        id: SubscriptionId::new(text(&json["id"])),
        customer: CustomerId::new(text(&json["customer"])),
        status: Status::from(text(&json["status"])),
        created: at(&json["created"]),
        billing_cycle_anchor: at(&json["billing_cycle_anchor"]),
        cancel_at_period_end: json["cancel_at_period_end"].as_bool().unwrap(),
        cancel_at: time(&json["cancel_at"]),
        ended_at: time(&json["ended_at"]),
        trial_end: time(&json["trial_end"]),
        pause: Some(&json["pause_collection"]).filter(|pause| pause.is_object()).map(|pause| Pause {
            behavior: PauseBehavior::from(text(&pause["behavior"])),
            resumes_at: time(&pause["resumes_at"]),
        }),
        paused: optional_text(&json["status_details"]["paused"]["subscription"]["type"]).map(PauseReason::from),
        paid: paid(all, json).map(|(tier, until)| PaidPlan { tier: Tier::new(NAMES[tier]), until: Timestamp(until) }),
        reversals: reversals(all, json),
        past_due_since: owed_since(all, json).map(Timestamp),
        last_known_tier: tiers.max().map(|tier| Tier::new(NAMES[tier])),
        items: items.iter().map(item).collect(),
    }
}

fn item(json: &Value) -> Item {
    Item {
        id: text(&json["id"]),
        price: PriceId::new(text(&json["price"]["id"])),
        lookup_key: optional_text(&json["price"]["lookup_key"]),
        quantity: json["quantity"].as_u64().unwrap(),
        period: Period { start: at(&json["current_period_start"]), end: at(&json["current_period_end"]) },
    }
}

/// The creation time of the oldest open invoice of a past-due subscription.
fn owed_since(all: &Objects, subscription: &Value) -> Option<i64> {
    let owed = |invoice: &&Value| {
        invoice["status"] == "open"
            && invoice["parent"]["subscription_details"]["subscription"] == subscription["id"]
            && subscription["status"] == "past_due"
    };
    all.invoices.iter().filter(owed).map(|invoice| invoice["created"].as_i64().unwrap()).min()
}

/// The tier and the end of the period that a past-due subscription was paid for last.
fn paid(all: &Objects, subscription: &Value) -> Option<(usize, i64)> {
    if subscription["status"] != "past_due" {
        return None;
    }
    let is_of = |invoice: &&Value| {
        invoice["status"] == "paid" && invoice["parent"]["subscription_details"]["subscription"] == subscription["id"]
    };
    // The newest comes first.
    let invoice = all.invoices.iter().find(is_of)?;
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    let charged = lines.filter(|line| line["amount"].as_i64().unwrap() >= 0);
    charged
        .map(|line| {
            (
                tier(&all.lookup_keys[&text(&line["pricing"]["price_details"]["price"])]),
                line["period"]["end"].as_i64().unwrap(),
            )
        })
        .max()
}

/// What happened to the payments of a subscription, oldest first: open and lost disputes, and full refunds
/// since the newest paid invoice.
fn reversals(all: &Objects, subscription: &Value) -> Vec<Reversal> {
    let own = all.invoices.iter().filter(|invoice| {
        invoice["status"] == "paid" && invoice["parent"]["subscription_details"]["subscription"] == subscription["id"]
    });
    let own: Vec<&Value> = own.collect();
    let newest = own.iter().filter(|invoice| invoice["amount_paid"] != 0).map(|invoice| at(&invoice["created"])).max();
    let mut reversals = Vec::new();
    for invoice in own {
        let refers_to = |payment: &Value| {
            let paid_by = invoice["payments"]["data"].as_array().unwrap().iter();
            paid_by.map(|each| &each["payment"]["payment_intent"]).any(|id| *id == payment["id"])
        };
        let disputes = all.disputes.iter().filter(|dispute| {
            all.payments.iter().any(|payment| payment["id"] == dispute["payment_intent"] && refers_to(payment))
        });
        let statuses: BTreeSet<&str> = disputes.filter_map(|dispute| dispute["status"].as_str()).collect();
        let is_refunded = all.payments.iter().any(|payment| {
            refers_to(payment)
                && payment["status"] == "succeeded"
                && payment["latest_charge"]["amount_refunded"] == payment["amount"]
        });
        let mut add = |kind| {
            reversals.push(Reversal {
                invoice: InvoiceId::new(text(&invoice["id"])),
                created: at(&invoice["created"]),
                until: period_end(invoice).unwrap(),
                kind,
            });
        };
        if statuses.contains("needs_response") || statuses.contains("under_review") {
            add(ReversalKind::Disputed);
        } else if statuses.contains("lost") {
            add(ReversalKind::DisputeLost);
        }
        if is_refunded && newest == Some(at(&invoice["created"])) {
            add(ReversalKind::Refunded);
        }
    }
    reversals.sort_by_key(|reversal| (reversal.created, reversal.invoice.clone(), reversal.kind));
    reversals
}

/// The end of the period that an invoice bills.
fn period_end(invoice: &Value) -> Option<Timestamp> {
    invoice["lines"]["data"].as_array().unwrap().iter().map(|line| at(&line["period"]["end"])).max()
}

pub fn invoice(json: &Value) -> Invoice {
    let payments = json["payments"]["data"].as_array().unwrap();
    let payments: BTreeSet<String> =
        payments.iter().map(|payment| text(&payment["payment"]["payment_intent"])).collect();
    let times = &json["status_transitions"];
    Invoice {
        id: InvoiceId::new(text(&json["id"])),
        customer: CustomerId::new(text(&json["customer"])),
        subscription: optional_text(&json["parent"]["subscription_details"]["subscription"]).map(SubscriptionId::new),
        number: optional_text(&json["number"]),
        status: InvoiceStatus::from(text(&json["status"])),
        reason: optional_text(&json["billing_reason"]),
        total: money(&json["total"], json),
        amount_due: json["amount_due"].as_i64().unwrap(),
        amount_paid: json["amount_paid"].as_i64().unwrap(),
        amount_remaining: json["amount_remaining"].as_i64().unwrap(),
        credited_before_payment: json["pre_payment_credit_notes_amount"].as_i64().unwrap(),
        credited_after_payment: json["post_payment_credit_notes_amount"].as_i64().unwrap(),
        period_end: period_end(json),
        created: at(&json["created"]),
        finalized_at: time(&times["finalized_at"]),
        due_date: time(&json["due_date"]),
        paid_at: time(&times["paid_at"]),
        next_payment_attempt: time(&json["next_payment_attempt"]),
        attempt_count: json["attempt_count"].as_i64().unwrap(),
        payments: payments.into_iter().map(PaymentIntentId::new).collect(),
    }
}

pub fn payment(all: &Objects, json: &Value) -> Payment {
    let charge = &json["latest_charge"];
    let card = &charge["payment_method_details"]["card"];
    let mut refunds: Vec<Refund> = charge["refunds"]["data"].as_array().into_iter().flatten().map(refund).collect();
    refunds.sort_by_key(|refund| (refund.created, refund.id.clone()));
    let mut disputes: Vec<Dispute> =
        all.disputes.iter().filter(|dispute| dispute["payment_intent"] == json["id"]).map(dispute).collect();
    disputes.sort_by_key(|dispute| (dispute.created, dispute.id.clone()));
    Payment {
        id: PaymentIntentId::new(text(&json["id"])),
        customer: optional_text(&json["customer"]).map(CustomerId::new),
        status: PaymentStatus::from(text(&json["status"])),
        amount: money(&json["amount"], json),
        description: optional_text(&json["description"]),
        charge: optional_text(&charge["id"]),
        amount_refunded: charge["amount_refunded"].as_i64().unwrap_or(0),
        refunds,
        is_disputed: charge["disputed"] == true,
        disputes,
        card: card.is_object().then(|| Card { brand: text(&card["brand"]), last4: text(&card["last4"]) }),
        receipt_url: optional_text(&charge["receipt_url"]),
        failure: optional_text(&json["last_payment_error"]["message"]),
        failure_code: optional_text(&json["last_payment_error"]["code"]),
        created: at(&json["created"]),
    }
}

fn refund(json: &Value) -> Refund {
    Refund {
        id: text(&json["id"]),
        amount: json["amount"].as_i64().unwrap(),
        status: text(&json["status"]),
        created: at(&json["created"]),
    }
}

fn dispute(json: &Value) -> Dispute {
    Dispute {
        id: text(&json["id"]),
        amount: json["amount"].as_i64().unwrap(),
        status: DisputeStatus::from(text(&json["status"])),
        reason: optional_text(&json["reason"]),
        created: at(&json["created"]),
    }
}

/// The purchase of a session; `None` for one that sold nothing, or a plan.
pub fn purchase(json: &Value) -> Option<Purchase> {
    let sold = json["mode"] == "payment" && json["status"] == "complete";
    sold.then(|| Purchase {
        session: CheckoutSessionId::new(text(&json["id"])),
        payment: optional_text(&json["payment_intent"]).map(PaymentIntentId::new),
        is_paid: json["payment_status"] != "unpaid",
        total: money(&json["amount_total"], json),
        items: json["line_items"]["data"].as_array().unwrap().iter().map(bought).collect(),
        created: at(&json["created"]),
    })
}

fn bought(json: &Value) -> LineItem {
    let (product, units) = product(json);
    LineItem {
        description: text(&json["description"]),
        price: optional_text(&json["price"]["id"]).map(PriceId::new),
        lookup_key: optional_text(&json["price"]["lookup_key"]),
        quantity: json["quantity"].as_u64().unwrap(),
        amount: json["amount_total"].as_i64().unwrap(),
        product: Some(product.to_owned()),
        grants: Some((Meter::new("aiGenerationsPerMonth"), units)),
    }
}

/// The product of a line, and the units it grants (`plans.toml`).
fn product(line: &Value) -> (&'static str, u64) {
    match line["price"]["lookup_key"].as_str() {
        Some("tollgate_ai_500") => ("ai-500", 500),
        Some("tollgate_ai_2500") => ("ai-2500", 2_500),
        other => panic!("{other:?} is not a product"),
    }
}

/// The units that a session grants: for the amount that was paid and not taken back.
pub fn worth(all: &Objects, session: &Value) -> i64 {
    if session["mode"] != "payment" || session["status"] != "complete" || session["payment_status"] == "unpaid" {
        return 0;
    }
    let units = i64::try_from(product(&session["line_items"]["data"][0]).1).unwrap();
    let (total, payment) = (session["amount_total"].as_i64().unwrap(), &session["payment_intent"]);
    let Some(paid) = all.payments.iter().find(|each| each["id"] == *payment) else { return units };
    if paid["status"] != "succeeded" {
        return 0;
    }
    let refunded = paid["latest_charge"]["amount_refunded"].as_i64().unwrap();
    let taken = all.disputes.iter().filter(|dispute| {
        dispute["payment_intent"] == *payment
            && matches!(dispute["status"].as_str(), Some("needs_response" | "under_review" | "lost"))
    });
    let disputed: i64 = taken.map(|dispute| dispute["amount"].as_i64().unwrap()).sum();
    units * (total - refunded - disputed).max(0) / total
}

/// The status that a checkout attempt may have, by its session. An expired one may have been superseded
/// by another before.
pub fn attempt(session: &Value) -> &'static [AttemptStatus] {
    match session["status"].as_str() {
        Some("open") => &[AttemptStatus::Open],
        Some("complete") => &[AttemptStatus::Complete],
        Some("expired") => &[AttemptStatus::Expired, AttemptStatus::Superseded],
        other => panic!("{other:?} is not a session status"),
    }
}

const NAMES: [&str; 3] = ["FREE", "PRO", "ENTERPRISE"];

/// The index of a price's tier in [`NAMES`].
fn tier(lookup_key: &Value) -> usize {
    match lookup_key.as_str() {
        Some("tollgate_pro_month" | "tollgate_pro_year") => 1,
        Some("tollgate_enterprise_month" | "tollgate_enterprise_year") => 2,
        other => panic!("{other:?} is not the price of a plan"),
    }
}

/// The tier that these subscriptions grant at `now`, and its end if nothing else happens.
pub fn access<'a>(
    all: &Objects,
    subscriptions: impl Iterator<Item = &'a Value>,
    now: i64,
) -> (&'static str, Option<Timestamp>) {
    let open = subscriptions.filter_map(|json| Some((open_until(all, json)?, json))).filter(|(until, _)| now < *until);
    let tiers = open.map(|(until, json)| {
        let sold = tier(&json["items"]["data"][0]["price"]["lookup_key"]);
        (paid(all, json).map_or(sold, |(paid, _)| paid.min(sold)), until)
    });
    tiers.max().map_or((NAMES[0], None), |(tier, until)| (NAMES[tier], Some(Timestamp(until))))
}

/// The end of a subscription's access; `None` if its status grants none, or the payment for its period was
/// disputed or refunded.
fn open_until(all: &Objects, json: &Value) -> Option<i64> {
    let item = &json["items"]["data"][0];
    if reversals(all, json).iter().any(|reversal| reversal.until > at(&item["current_period_start"])) {
        return None;
    }
    let period_end = item["current_period_end"].as_i64().unwrap();
    let latest = match json["status"].as_str().unwrap() {
        "trialing" | "active" => period_end + GRACE,
        "past_due" => {
            let since = owed_since(all, json).unwrap_or_else(|| item["current_period_start"].as_i64().unwrap());
            paid(all, json).map_or(0, |(_, until)| until).max(since + GRACE)
        }
        _ => return None,
    };
    let set_to_end = if json["cancel_at_period_end"] == true { Some(period_end) } else { None };
    json["cancel_at"].as_i64().into_iter().chain(set_to_end).chain([latest]).min()
}

/// A string that must exist.
fn text(json: &Value) -> String {
    json.as_str().unwrap_or_else(|| panic!("not a string: {json}")).to_owned()
}

/// A string that may be missing or empty.
fn optional_text(json: &Value) -> Option<String> {
    json.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn at(json: &Value) -> Timestamp {
    time(json).unwrap_or_else(|| panic!("not a time: {json}"))
}

fn time(json: &Value) -> Option<Timestamp> {
    json.as_i64().map(Timestamp)
}

fn money(amount: &Value, object: &Value) -> Money {
    Money::new(amount.as_i64().unwrap(), Currency::parse(object["currency"].as_str().unwrap()).unwrap())
}
