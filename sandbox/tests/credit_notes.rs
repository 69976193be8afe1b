//! Credit notes of open and of paid invoices.

mod support;

use serde_json::{Value, json};
use support::{World, data, id, text};

/// Subscribes to a plan of 20.00 a month, and returns the first invoice.
async fn invoice(world: &World, card: &str) -> Value {
    let price = world.price("2000", Some("month")).await;
    let customer = world.customer_with(card).await;
    let form = [("customer", customer.as_str()), ("items[0][price]", price.as_str())];
    let made = world.post("/v1/subscriptions", &form).await.ok();
    fresh(world, &text(&made, "latest_invoice")).await
}

async fn fresh(world: &World, invoice: &str) -> Value {
    world.get(&format!("/v1/invoices/{invoice}?expand[]=payments.data.payment.payment_intent")).await.ok()
}

async fn credit(world: &World, invoice: &Value, form: &[(&str, &str)]) -> support::ApiResponse {
    let invoice = id(invoice);
    let form: Vec<_> = form.iter().copied().chain([("invoice", invoice.as_str())]).collect();
    world.post("/v1/credit_notes", &form).await
}

fn amounts(invoice: &Value) -> Value {
    json!([
        invoice["total"],
        invoice["amount_due"],
        invoice["amount_paid"],
        invoice["amount_remaining"],
        invoice["pre_payment_credit_notes_amount"],
        invoice["post_payment_credit_notes_amount"],
    ])
}

#[tokio::test]
async fn a_credit_note_reduces_what_is_due_until_it_is_voided() {
    let world = World::new().await;
    let open = invoice(&world, "pm_card_chargeCustomerFail").await;
    assert_eq!((open["status"].as_str(), amounts(&open)), (Some("open"), json!([2000, 2000, 0, 2000, 0, 0])));
    let mark = world.event_types().await.len();
    let note = credit(&world, &open, &[("amount", "500"), ("reason", "order_change")]).await.ok();
    assert_eq!(
        (&note["type"], &note["pre_payment_amount"], &note["post_payment_amount"]),
        (&json!("pre_payment"), &json!(500), &json!(0))
    );
    assert_eq!(world.events_since(mark).await, ["credit_note.created", "invoice.updated"]);
    let reduced = fresh(&world, &id(&open)).await;
    assert_eq!(amounts(&reduced), json!([2000, 1500, 0, 1500, 500, 0]));
    assert_eq!(reduced["payments"]["data"][0]["payment"]["payment_intent"]["amount"], 1500, "is charged");

    let path = format!("/v1/credit_notes/{}", id(&note));
    assert_eq!(world.post(&path, &[("memo", "Sorry")]).await.ok()["memo"], "Sorry");
    let mark = world.event_types().await.len();
    assert_eq!(world.post(&format!("{path}/void"), &[]).await.ok()["status"], "void");
    assert_eq!(world.events_since(mark).await, ["credit_note.voided", "invoice.updated"]);
    assert_eq!(amounts(&fresh(&world, &id(&open)).await), amounts(&open));
    world.post(&format!("{path}/void"), &[]).await.rejected(400, "");
}

#[tokio::test]
async fn a_credit_note_of_the_whole_amount_due_pays_the_invoice() {
    let world = World::new().await;
    let open = invoice(&world, "pm_card_chargeCustomerFail").await;
    credit(&world, &open, &[("amount", "2000")]).await.ok();
    let paid = fresh(&world, &id(&open)).await;
    assert_eq!((paid["status"].as_str(), amounts(&paid)), (Some("paid"), json!([2000, 0, 0, 0, 2000, 0])));
    let payment = &paid["payments"]["data"][0]["payment"]["payment_intent"];
    assert_eq!(payment["status"], "canceled", "it can't be charged any more");
    let subscriptions = world.get("/v1/subscriptions").await.ok();
    assert_eq!(data(&subscriptions)[0]["status"], "active");
}

#[tokio::test]
async fn a_credit_note_of_a_paid_invoice_is_refunded_or_credited() {
    let world = World::new().await;
    let paid = invoice(&world, "pm_card_visa").await;
    credit(&world, &paid, &[("amount", "500")]).await.rejected(400, "");
    credit(&world, &paid, &[("amount", "2500"), ("credit_amount", "2500")]).await.rejected(400, "");
    let parts = [("amount", "1500"), ("refund_amount", "600"), ("credit_amount", "900")];
    let note = credit(&world, &paid, &parts).await.ok();
    assert_eq!((&note["type"], &note["post_payment_amount"]), (&json!("post_payment"), &json!(1500)));
    let credited = fresh(&world, &id(&paid)).await;
    assert_eq!(amounts(&credited), json!([2000, 2000, 2000, 0, 0, 1500]), "what was paid stays");
    let refunds = world.get("/v1/refunds").await.ok();
    assert_eq!((&data(&refunds)[0]["id"], &data(&refunds)[0]["amount"]), (&note["refunds"][0]["refund"], &json!(600)));
    let customer = world.get(&format!("/v1/customers/{}", text(&paid, "customer"))).await.ok();
    assert_eq!(customer["balance"], -900);
    world.post(&format!("/v1/credit_notes/{}/void", id(&note)), &[]).await.rejected(400, "");
    let listed = world.get(&format!("/v1/credit_notes?invoice={}", id(&paid))).await.ok();
    assert_eq!(data(&listed).len(), 1);
    assert_eq!(data(&world.get("/v1/credit_notes?invoice=in_none").await.ok()).len(), 0);
    let lines = world.get(&format!("/v1/credit_notes/{}/lines", id(&note))).await.ok();
    assert_eq!(data(&lines)[0]["amount"], 1500);
}
