//! The hosted Checkout page: test cards in both modes, and the objects they create.

mod support;

use serde_json::{Value, json};
use support::{World, data, id, text};

const PAYS: &str = "4242 4242 4242 4242";
const DECLINED: &str = "4000000000000002";
const ATTACHES_THEN_FAILS: &str = "4000000000000341";
const REQUIRES_3DS: &str = "4000002500003155";
const TRIAL: (&str, &str) = ("subscription_data[trial_period_days]", "14");

#[tokio::test]
async fn a_valid_card_subscribes_and_sends_events_in_stripes_order() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let more = [("subscription_data[metadata][account_id]", "acc_1"), ("client_reference_id", "acc_1")];
    let session = id(&world.session("subscription", &price, &more).await);
    let mark = world.event_types().await.len();

    let page = world.pay(&session, PAYS).await;

    assert_eq!(page.status, 303, "{}", page.body);
    assert_eq!(page.location, format!("http://app.test/success?session_id={session}"));
    assert_eq!(
        world.events_since(mark).await,
        [
            "customer.created",
            "payment_method.attached",
            "customer.subscription.created",
            "invoice.created",
            "customer.updated",
            "invoice.finalized",
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "invoice.updated",
            "invoice.paid",
            "invoice.payment_succeeded",
            "invoice_payment.paid",
            "customer.subscription.updated",
            "checkout.session.completed",
        ]
    );
    let path = format!(
        "/v1/checkout/sessions/{session}?expand[]=subscription&expand[]=invoice&expand[]=customer&expand[]=line_items"
    );
    let done = world.get(&path).await.ok();
    assert_eq!(done["status"], "complete");
    assert_eq!(done["payment_status"], "paid");
    assert_eq!(done["url"], json!(null));
    assert_eq!(done["subscription"]["status"], "active");
    assert_eq!(done["subscription"]["metadata"]["account_id"], "acc_1");
    assert_eq!(done["invoice"]["amount_paid"], 1_900);
    assert_eq!(done["customer"]["email"], "ada@example.com");
    assert_eq!(done["line_items"]["data"][0]["price"]["id"], price.as_str());
}

#[tokio::test]
async fn a_trial_charges_nothing_and_saves_the_card() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[TRIAL]).await);
    let page = world.page("GET", &format!("/c/pay/{session}"), &[]).await;
    assert!(page.body.contains("14 days") && page.body.contains("$19.00"), "{}", page.body);
    assert!(page.body.contains("<button>Start trial</button>"));

    assert_eq!(world.pay(&session, PAYS).await.status, 303);

    let done = world.retrieve_session(&session).await;
    assert_eq!(done["payment_status"], "no_payment_required");
    let subscription =
        world.get(&format!("/v1/subscriptions/{}?expand[]=latest_invoice", text(&done, "subscription"))).await.ok();
    assert_eq!(subscription["status"], "trialing");
    let lasts =
        subscription["trial_end"].as_i64().expect("a trial") - subscription["trial_start"].as_i64().expect("a trial");
    assert_eq!(lasts, 14 * 86_400);
    assert_eq!(subscription["latest_invoice"]["status"], "paid");
    assert_eq!(subscription["latest_invoice"]["amount_paid"], 0);
    let methods = world.get(&format!("/v1/customers/{}/payment_methods", text(&done, "customer"))).await.ok();
    assert_eq!(data(&methods)[0]["card"]["last4"], "4242");
}

#[tokio::test]
async fn a_payment_is_charged_once() {
    let world = World::new().await;
    let price = world.price("500", None).await;
    let more = [("payment_intent_data[metadata][order]", "o_1")];
    let session = id(&world.session("payment", &price, &more).await);
    let mark = world.event_types().await.len();
    let page = world.page("GET", &format!("/c/pay/{session}"), &[]).await;
    assert!(page.body.contains("<button>Pay $5.00</button>"));

    assert_eq!(world.pay(&session, PAYS).await.status, 303);

    assert_eq!(
        world.events_since(mark).await,
        ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]
    );
    let done = world.get(&format!("/v1/checkout/sessions/{session}?expand[]=payment_intent.latest_charge")).await.ok();
    assert_eq!(done["payment_status"], "paid");
    assert_eq!(done["payment_intent"]["status"], "succeeded");
    assert_eq!(done["payment_intent"]["metadata"]["order"], "o_1");
    assert_eq!(done["payment_intent"]["latest_charge"]["paid"], true);
}

#[tokio::test]
async fn a_declined_card_leaves_the_session_open() {
    let world = World::new().await;
    for (mode, price, more) in [
        ("subscription", world.monthly_price().await, vec![]),
        ("subscription", world.monthly_price().await, vec![TRIAL]),
        ("payment", world.price("500", None).await, vec![]),
    ] {
        let session = id(&world.session(mode, &price, &more).await);

        let page = world.pay(&session, DECLINED).await;

        assert_eq!(page.status, 402);
        assert!(
            page.body.contains(r#"<p class="error" id="number-error">Your card was declined.</p>"#),
            "{}",
            page.body
        );
        assert!(page.body.contains(r#"value="Ada Lovelace""#), "the form keeps its values");
        assert!(!page.body.contains(r#"value="4000"#), "except the card number");
        assert_eq!(world.retrieve_session(&session).await["status"], "open");
        assert_eq!(world.pay(&session, PAYS).await.status, 303, "another card can pay");
    }
    let subscriptions = world.get("/v1/subscriptions?status=all").await.ok();
    assert_eq!(data(&subscriptions).len(), 2, "declined attempts create none");
}

#[tokio::test]
async fn a_card_that_only_attaches_is_declined_without_a_trial() {
    let world = World::new().await;
    for (mode, price) in [("subscription", world.monthly_price().await), ("payment", world.price("500", None).await)] {
        let session = id(&world.session(mode, &price, &[]).await);
        let page = world.pay(&session, ATTACHES_THEN_FAILS).await;
        assert_eq!(page.status, 402);
        assert!(page.body.contains("id=\"number-error\""), "{}", page.body);
    }
}

#[tokio::test]
async fn a_card_that_only_attaches_fails_when_its_trial_ends() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[TRIAL]).await);
    assert_eq!(world.pay(&session, ATTACHES_THEN_FAILS).await.status, 303);
    let subscription = text(&world.retrieve_session(&session).await, "subscription");
    let mark = world.event_types().await.len();

    let path = format!("/v1/subscriptions/{subscription}");
    let ended = world.post(&path, &[("trial_end", "now")]).await.ok();

    assert_eq!(ended["status"], "past_due");
    let events = world.events_since(mark).await;
    assert!(events.contains(&"invoice.payment_failed".to_owned()), "{events:?}");
}

#[tokio::test]
async fn three_d_secure_has_its_own_page() {
    let world = World::new().await;
    for (mode, price, more) in [
        ("subscription", world.monthly_price().await, vec![]),
        ("subscription", world.monthly_price().await, vec![TRIAL]),
        ("payment", world.price("500", None).await, vec![]),
    ] {
        let session = id(&world.session(mode, &price, &more).await);
        let second = format!("/c/pay/{session}/authenticate");

        let page = world.pay(&session, REQUIRES_3DS).await;
        assert_eq!((page.status, page.location.as_str()), (303, second.as_str()));
        let page = world.page("GET", &second, &[]).await;
        assert!(page.body.contains("Complete authentication") && page.body.contains("Fail authentication"));

        let failed = world.page("POST", &second, &[("outcome", "fail")]).await;
        assert_eq!(failed.location, format!("/c/pay/{session}"));
        let page = world.page("GET", &failed.location, &[]).await;
        assert!(page.body.contains("id=\"number-error\""), "{}", page.body);

        world.pay(&session, REQUIRES_3DS).await;
        let passed = world.page("POST", &second, &[("outcome", "complete")]).await;
        assert_eq!(passed.location, format!("http://app.test/success?session_id={session}"), "{}", passed.body);
        assert_eq!(world.retrieve_session(&session).await["status"], "complete");
    }
}

#[tokio::test]
async fn invalid_fields_are_reported_by_name() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[]).await);
    let good = [
        ("number", "4242424242424242"),
        ("expiry", "12/40"),
        ("cvc", "123"),
        ("name", "Ada"),
        ("email", "ada@example.com"),
    ];
    for (field, value, message) in [
        ("number", "4242424242424241", "Your card number is incorrect."),
        ("number", "", "Your card number is incorrect."),
        ("expiry", "01/20", "Your card&#39;s expiration year is invalid."),
        ("expiry", "13/40", "Enter the expiry"),
        ("cvc", "12", "security code is 3 digits"),
        ("name", "", "Enter the name on the card."),
        ("email", "ada", "Enter an e-mail address"),
    ] {
        let form: Vec<_> =
            good.iter().map(|(name, valid)| (*name, if *name == field { value } else { valid })).collect();
        let page = world.submit(&session, &form).await;
        assert_eq!(page.status, 422, "{field}={value}");
        let error = format!(r#"<p class="error" id="{field}-error">"#);
        assert!(page.body.contains(&error) && page.body.contains(message), "{field}={value}: {}", page.body);
    }
    assert_eq!(world.retrieve_session(&session).await["status"], "open");
}

#[tokio::test]
async fn two_simultaneous_submits_create_one_subscription() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[]).await);

    let (first, second) = tokio::join!(world.pay(&session, PAYS), world.pay(&session, PAYS));

    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409]);
    for list in ["/v1/subscriptions?status=all", "/v1/charges", "/v1/invoices", "/v1/customers"] {
        assert_eq!(data(&world.get(list).await.ok()).len(), 1, "{list}");
    }
}

#[tokio::test]
async fn closed_sessions_explain_why_they_cannot_be_paid() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let expired = id(&world.session("subscription", &price, &[]).await);
    let path = format!("/v1/checkout/sessions/{expired}/expire");
    assert_eq!(world.post(&path, &[]).await.ok()["status"], "expired");
    assert_eq!(world.post(&path, &[]).await.status, 400);
    assert_eq!(world.pay(&expired, PAYS).await.status, 410);

    let complete = id(&world.session("subscription", &price, &[]).await);
    assert_eq!(world.pay(&complete, PAYS).await.status, 303);
    let page = world.pay(&complete, PAYS).await;
    assert_eq!(page.status, 409);
    assert!(page.body.contains("Already completed"));
    assert_eq!(world.post(&format!("/v1/checkout/sessions/{complete}/expire"), &[]).await.status, 400);
    assert_eq!(world.page("GET", "/c/pay/cs_test_nothing", &[]).await.status, 404);
}

#[tokio::test]
async fn a_session_expires_after_a_day() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[]).await);
    world.sandbox.advance(std::time::Duration::from_secs(86_401));
    assert_eq!(world.retrieve_session(&session).await["status"], "expired");
    assert_eq!(world.event_types().await.last().map(String::as_str), Some("checkout.session.expired"));
}

/// Completes a Checkout Session with a Link account, and returns the payment method and the charge.
async fn paid_by_link(world: &World, email: &str, more: &[(&str, &str)]) -> (Value, Value) {
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, more).await);
    let form = [("pay_with", "link"), ("link_email", email), ("email", "ada@example.com")];
    let page = world.submit(&session, &form).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let charge = data(&world.get("/v1/charges?limit=1").await.ok())[0].clone();
    let method = world.get(&format!("/v1/payment_methods/{}", text(&charge, "payment_method"))).await.ok();
    (method, charge)
}

#[tokio::test]
async fn link_is_a_type_or_a_wallet_of_cards() {
    let world = World::new().await;
    let types = [("payment_method_types[0]", "card"), ("payment_method_types[1]", "link")];
    let (method, charge) = paid_by_link(&world, "Ada@link.test", &types).await;
    assert_eq!(method["type"], "link");
    assert_eq!(method["link"]["email"], "ada@link.test");
    assert_eq!(method["billing_details"]["email"], "ada@link.test");
    assert_eq!(charge["payment_method_details"], json!({ "link": { "country": null }, "type": "link" }));
    let refund = world.post("/v1/refunds", &[("charge", &id(&charge))]).await.ok();
    assert_eq!(refund["status"], "succeeded");

    let (card, charge) = paid_by_link(&world, "ada@link.test", &types[..1]).await;
    let wallet = json!({ "dynamic_last4": null, "link": {}, "type": "link" });
    assert_eq!(card["type"], "card");
    assert_eq!(card["card"]["wallet"], wallet);
    assert_eq!(charge["payment_method_details"]["card"]["wallet"], wallet);
    assert_eq!(card["billing_details"]["email"], "ada@link.test");
    let (same, _) = paid_by_link(&world, "ada@link.test", &types[..1]).await;
    let (other, _) = paid_by_link(&world, "eve@link.test", &types[..1]).await;
    assert_eq!(card["card"]["fingerprint"], same["card"]["fingerprint"]);
    assert_ne!(card["card"]["fingerprint"], other["card"]["fingerprint"]);
    let form = [("type", "card"), ("card[token]", "tok_visa")];
    let plain = world.post("/v1/payment_methods", &form).await.ok();
    assert_eq!(card["card"]["last4"], plain["card"]["last4"]);
    assert_ne!(card["card"]["fingerprint"], plain["card"]["fingerprint"]);
}

#[tokio::test]
async fn pages_have_no_script_and_one_heading() {
    let world = World::new().await;
    let price = world.monthly_price().await;
    let session = id(&world.session("subscription", &price, &[]).await);
    for path in ["/".to_owned(), "/_sandbox".to_owned(), format!("/c/pay/{session}")] {
        let page = world.page("GET", &path, &[]).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("<script"), "{path}");
        assert_eq!(page.body.matches("<h1").count(), 1, "{path}");
        assert!(page.body.contains("<strong>Sandbox:</strong> no real money"));
    }
    let page = world.page("GET", &format!("/c/pay/{session}"), &[]).await;
    for label in ["Card number", "Expiry", "CVC", "Name on card"] {
        assert!(page.body.contains(&format!(">{label}</label>")), "{label}");
    }
    assert!(page.body.contains(r#"href="http://app.test/billing">Back</a>"#));
}
