//! Refunds, disputes and bank debits.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{World, data, id, text};

const DAY: u64 = 86_400;

/// Pays with a card, and returns the PaymentIntent with its charge.
async fn paid(world: &World, card: &str) -> Value {
    let form = [
        ("amount", "500"),
        ("currency", "usd"),
        ("payment_method", card),
        ("confirm", "true"),
        ("expand[]", "latest_charge"),
    ];
    world.post("/v1/payment_intents", &form).await.ok()
}

async fn charge(world: &World, payment: &Value) -> Value {
    let path = format!("/v1/payment_intents/{}?expand[]=latest_charge.refunds", id(payment));
    world.get(&path).await.ok()["latest_charge"].clone()
}

#[tokio::test]
async fn a_refund_sends_events_for_itself_and_for_its_charge() {
    let world = World::new().await;
    let payment = paid(&world, "pm_card_visa").await;
    let mark = world.event_types().await.len();
    let form = [("payment_intent", &*id(&payment)), ("amount", "200"), ("reason", "requested_by_customer")];
    let refund = world.post("/v1/refunds", &form).await.ok();
    assert_eq!((refund["status"].as_str(), refund["amount"].as_i64()), (Some("succeeded"), Some(200)));
    assert_eq!(
        world.events_since(mark).await,
        ["refund.created", "charge.refunded", "refund.updated", "charge.refund.updated"]
    );
    let charge = charge(&world, &payment).await;
    assert_eq!((&charge["refunded"], &charge["amount_refunded"]), (&json!(false), &json!(200)));
    assert_eq!(charge["refunds"]["data"][0]["id"], refund["id"]);
    for query in [format!("charge={}", id(&charge)), format!("payment_intent={}", id(&payment))] {
        assert_eq!(data(&world.get(&format!("/v1/refunds?{query}")).await.ok()).len(), 1, "{query}");
    }
    let noted = world.post(&format!("/v1/refunds/{}", id(&refund)), &[("metadata[why]", "asked")]).await.ok();
    assert_eq!(noted["metadata"]["why"], "asked");
    world.post(&format!("/v1/refunds/{}/cancel", id(&refund)), &[]).await.rejected(400, "");
}

#[tokio::test]
async fn a_refund_can_be_pending_first() {
    let world = World::new().await;
    let payment = paid(&world, "pm_card_pendingRefund").await;
    let refund = world.post("/v1/refunds", &[("payment_intent", &id(&payment))]).await.ok();
    assert_eq!(refund["status"], "pending");
    let mark = world.event_types().await.len();
    world.sandbox.advance(Duration::from_secs(DAY + 1));
    assert_eq!(world.events_since(mark).await, ["refund.updated", "charge.refund.updated"]);
    assert_eq!(world.get(&format!("/v1/refunds/{}", id(&refund))).await.ok()["status"], "succeeded");
}

#[tokio::test]
async fn a_failed_refund_restores_the_refundable_amount() {
    let world = World::new().await;
    let payment = paid(&world, "pm_card_refundFail").await;
    let refund = world.post("/v1/refunds", &[("payment_intent", &id(&payment))]).await.ok();
    assert_eq!(refund["status"], "succeeded");
    assert_eq!(charge(&world, &payment).await["refunded"], true);
    let mark = world.event_types().await.len();
    world.sandbox.advance(Duration::from_secs(DAY + 1));
    assert_eq!(
        world.events_since(mark).await,
        ["refund.failed", "refund.updated", "charge.refund.updated", "charge.updated"]
    );
    let charge = charge(&world, &payment).await;
    assert_eq!((&charge["refunded"], &charge["amount_refunded"]), (&json!(false), &json!(0)));
}

#[tokio::test]
async fn a_pending_refund_can_be_canceled_with_a_control() {
    let world = World::new().await;
    let payment = paid(&world, "pm_card_pendingRefund").await;
    let refund = id(&world.post("/v1/refunds", &[("payment_intent", &id(&payment))]).await.ok());
    let canceled = world.sandbox.control(&format!("POST refunds/{refund}/cancel"), &[]).expect("cancels");
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(charge(&world, &payment).await["amount_refunded"], 0);
}

#[tokio::test]
async fn the_evidence_decides_a_dispute() {
    let world = World::new().await;
    for (evidence, status, reinstated) in [("winning_evidence", "won", true), ("losing_evidence", "lost", false)] {
        let mark = world.event_types().await.len();
        let payment = paid(&world, "pm_card_createDispute").await;
        assert_eq!(payment["latest_charge"]["disputed"], true);
        let list = world.get(&format!("/v1/disputes?payment_intent={}", id(&payment))).await.ok();
        let dispute = data(&list)[0].clone();
        assert_eq!((dispute["status"].as_str(), dispute["amount"].as_i64()), (Some("needs_response"), Some(500)));
        assert_eq!(dispute["balance_transactions"][0]["net"], -2_000, "the amount plus the fee");
        let refund = world.post("/v1/refunds", &[("payment_intent", &id(&payment))]).await;
        refund.rejected(400, "charge_disputed");

        let path = format!("/v1/disputes/{}", id(&dispute));
        let form = [("evidence[uncategorized_text]", evidence)];
        assert_eq!(world.post(&path, &form).await.ok()["status"], "under_review");
        world.sandbox.advance(Duration::from_secs(61));

        assert_eq!(world.get(&path).await.ok()["status"], status);
        let events = world.events_since(mark).await;
        let events: Vec<&str> = events.iter().map(String::as_str).filter(|kind| kind.contains("dispute")).collect();
        let mut expected = vec![
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
            "charge.dispute.closed",
        ];
        expected.extend(reinstated.then_some("charge.dispute.funds_reinstated"));
        assert_eq!(events, expected);
    }
}

#[tokio::test]
async fn a_dispute_is_lost_when_accepted_or_when_its_deadline_passes() {
    let world = World::new().await;
    let dispute_of = async |payment: &Value| {
        data(&world.get(&format!("/v1/disputes?payment_intent={}", id(payment))).await.ok())[0].clone()
    };
    let payment = paid(&world, "pm_card_createDispute").await;
    let accepted = id(&dispute_of(&payment).await);
    assert_eq!(world.post(&format!("/v1/disputes/{accepted}/close"), &[]).await.ok()["status"], "lost");
    world.post(&format!("/v1/disputes/{accepted}/close"), &[]).await.rejected(400, "");
    let missed = paid(&world, "pm_card_createDispute").await;
    world.sandbox.advance(Duration::from_secs(10 * DAY));
    let missed = dispute_of(&missed).await;
    assert_eq!((&missed["status"], &missed["evidence_details"]["past_due"]), (&json!("lost"), &json!(true)));
}

#[tokio::test]
async fn an_inquiry_withdraws_no_money_and_the_payment_can_be_refunded() {
    let world = World::new().await;
    let payment = paid(&world, "pm_card_createDisputeInquiry").await;
    let list = world.get(&format!("/v1/disputes?charge={}", id(&payment["latest_charge"]))).await.ok();
    let inquiry = &data(&list)[0];
    assert_eq!(inquiry["status"], "warning_needs_response");
    assert_eq!(inquiry["balance_transactions"], json!([]));
    world.post("/v1/refunds", &[("payment_intent", &id(&payment))]).await.ok();
    let closed = world.post(&format!("/v1/disputes/{}/close", id(inquiry)), &[]).await.ok();
    assert_eq!(closed["status"], "warning_closed");
}

#[tokio::test]
async fn any_payment_can_be_disputed_with_a_control() {
    let world = World::new().await;
    let payment = id(&paid(&world, "pm_card_visa").await);
    let form = [("reason", "product_not_received")];
    let dispute = world.sandbox.control(&format!("POST payments/{payment}/dispute"), &form).expect("opens");
    assert_eq!(dispute["reason"], "product_not_received");
    let won = world.sandbox.control(&format!("POST disputes/{}/win", id(&dispute)), &[]).expect("closes");
    assert_eq!(won["status"], "won");
    let again = world.sandbox.control(&format!("POST disputes/{}/lose", id(&dispute)), &[]).expect_err("is closed");
    assert_eq!(again["error"]["message"], "This dispute is already closed.");
}

/// Completes a Checkout Session by bank debit.
async fn debited(world: &World, mode: &str, account: &str) -> String {
    let price = world.price("500", (mode == "subscription").then_some("month")).await;
    let session = id(&world.session(mode, &price, &[]).await);
    let page = world.page("GET", &format!("/c/pay/{session}"), &[]).await;
    assert!(page.body.contains("Bank debit"), "{}", page.body);
    let form =
        [("pay_with", "us_bank_account"), ("account", account), ("name", "Ada Lovelace"), ("email", "ada@example.com")];
    let done = world.submit(&session, &form).await;
    assert_eq!(done.status, 303, "{}", done.body);
    session
}

#[tokio::test]
async fn a_bank_debit_is_paid_days_later() {
    let world = World::new().await;
    let mark = world.event_types().await.len();
    let session = debited(&world, "payment", "000123456789").await;
    let done = world.retrieve_session(&session).await;
    assert_eq!((done["status"].as_str(), done["payment_status"].as_str()), (Some("complete"), Some("unpaid")));
    let intent = format!("/v1/payment_intents/{}", text(&done, "payment_intent"));
    assert_eq!(world.get(&intent).await.ok()["status"], "processing");
    world.sandbox.advance(Duration::from_secs(3 * DAY));
    assert_eq!(world.retrieve_session(&session).await["payment_status"], "unpaid");
    world.sandbox.advance(Duration::from_secs(2 * DAY));
    assert_eq!(world.retrieve_session(&session).await["payment_status"], "paid");
    assert_eq!(world.get(&intent).await.ok()["amount_received"], 500);
    let events = world.events_since(mark).await;
    assert_eq!(
        events[2..],
        [
            "payment_intent.created",
            "charge.pending",
            "payment_intent.processing",
            "checkout.session.completed",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.async_payment_succeeded",
        ]
    );
}

#[tokio::test]
async fn a_bank_debit_can_fail_days_later() {
    let world = World::new().await;
    let session = debited(&world, "payment", "000111111116").await;
    let mark = world.event_types().await.len();
    world.sandbox.advance(Duration::from_secs(5 * DAY));
    assert_eq!(world.retrieve_session(&session).await["payment_status"], "unpaid");
    assert_eq!(
        world.events_since(mark).await,
        ["charge.failed", "payment_intent.payment_failed", "checkout.session.async_payment_failed"]
    );
}

#[tokio::test]
async fn a_subscription_is_active_while_its_bank_debit_is_in_progress() {
    let world = World::new().await;
    let session = debited(&world, "subscription", "000123456789").await;
    let done = world.retrieve_session(&session).await;
    assert_eq!((done["status"].as_str(), done["payment_status"].as_str()), (Some("complete"), Some("unpaid")));
    let subscription = format!("/v1/subscriptions/{}?expand[]=latest_invoice", text(&done, "subscription"));
    let now = world.get(&subscription).await.ok();
    assert_eq!((&now["status"], &now["latest_invoice"]["status"]), (&"active".into(), &"open".into()));
    world.sandbox.advance(Duration::from_secs(5 * DAY));
    let now = world.get(&subscription).await.ok();
    assert_eq!((&now["status"], &now["latest_invoice"]["status"]), (&"active".into(), &"paid".into()));
    assert_eq!(world.retrieve_session(&session).await["payment_status"], "paid");
}

#[tokio::test]
async fn a_subscription_is_past_due_when_its_bank_debit_has_failed() {
    let world = World::new().await;
    let session = debited(&world, "subscription", "000111111116").await;
    let mark = world.event_types().await.len();
    world.sandbox.advance(Duration::from_secs(5 * DAY));
    let subscription = format!("/v1/subscriptions/{}", text(&world.retrieve_session(&session).await, "subscription"));
    assert_eq!(world.get(&subscription).await.ok()["status"], "past_due");
    let events = world.events_since(mark).await;
    assert!(events.contains(&"checkout.session.async_payment_failed".to_owned()), "{events:?}");
    assert!(events.contains(&"invoice.payment_failed".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_bank_debit_can_be_failed_with_a_control_only_once() {
    let world = World::new().await;
    let session = debited(&world, "payment", "000123456789").await;
    let payment = text(&world.retrieve_session(&session).await, "payment_intent");
    let failed = world.sandbox.control(&format!("POST payments/{payment}/fail"), &[]).expect("fails");
    assert_eq!(failed["status"], "requires_payment_method");
    world.sandbox.control(&format!("POST payments/{payment}/settle"), &[]).expect_err("has ended");
    world.sandbox.advance(Duration::from_secs(5 * DAY));
    assert_eq!(world.retrieve_session(&session).await["payment_status"], "unpaid");
}

#[tokio::test]
async fn an_unknown_account_number_is_rejected() {
    let world = World::new().await;
    let price = world.price("500", None).await;
    let session = id(&world.session("payment", &price, &[]).await);
    let form = [("pay_with", "us_bank_account"), ("account", "1"), ("name", "Ada"), ("email", "ada@example.com")];
    let page = world.submit(&session, &form).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains(r#"<p class="error" id="account-error">"#), "{}", page.body);
    let yen = [("payment_method_types[]", "sepa_debit")];
    let form = [
        ("mode", "payment"),
        ("line_items[0][price]", price.as_str()),
        ("line_items[0][quantity]", "1"),
        ("success_url", "http://app.test/"),
        yen[0],
    ];
    let rejected = world.post("/v1/checkout/sessions", &form).await.rejected(400, "");
    assert_eq!(rejected["param"], "payment_method_types", "SEPA does not support dollars");
}

#[tokio::test]
async fn a_free_session_needs_no_payment() {
    let world = World::new().await;
    let price = world.price("0", None).await;
    let more = [("custom_text[submit][message]", "A gift <3")];
    let session = id(&world.session("payment", &price, &more).await);
    let page = world.page("GET", &format!("/c/pay/{session}"), &[]).await;
    assert!(page.body.contains("A gift &lt;3") && !page.body.contains("Card number"), "{}", page.body);
    assert_eq!(world.submit(&session, &[("email", "ada@example.com")]).await.status, 303);
    let done = world.retrieve_session(&session).await;
    assert_eq!(done["payment_status"], "no_payment_required");
    assert_eq!(done["payment_intent"], json!(null));
}

#[tokio::test]
async fn the_balance_subtracts_refunds_and_disputes() {
    let world = World::new().await;
    let available = async || world.get("/v1/balance").await.ok()["available"][0]["amount"].as_i64();
    let payment = paid(&world, "pm_card_visa").await;
    assert_eq!(available().await, Some(500));
    world.post("/v1/refunds", &[("payment_intent", &*id(&payment)), ("amount", "200")]).await.ok();
    assert_eq!(available().await, Some(300));
    paid(&world, "pm_card_createDispute").await;
    assert_eq!(available().await, Some(300 - 1_500), "a dispute costs a fee");
}
