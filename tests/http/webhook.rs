//! Deliveries from Stripe, and forged ones.

use engine::Billable;
use engine::store::inbox::{self, EventState};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    Browser, DatabaseKind, Harness, PAYS, Page, WEBHOOK_SECRETS, event, on_both_databases, pay, signed,
};

const PATH: &str = "/api/stripe/webhook";

on_both_databases! {
    async fn a_signed_event_is_stored_and_acknowledged(database) {
        let app = quiet(database).await;
        let body = event("evt_1", "balance.available", &json!({ "object": "balance" }));
        let page = deliver(&app, &body, Some(&signed(&body, &WEBHOOK_SECRETS[..1], 0))).await;
        assert_eq!((page.status, page.json()), (200, json!({ "received": true })));
        assert_eq!(app.event_state("evt_1").await, Some(EventState::Ignored));
    }

    async fn an_unsigned_forged_or_stale_event_returns_400_and_is_not_stored(database) {
        let app = quiet(database).await;
        let body = event("evt_1", "customer.subscription.updated", &json!({ "id": "sub_1", "customer": "cus_1" }));
        let good = signed(&body, &WEBHOOK_SECRETS[..1], 0);
        let rejected = [
            None,
            Some(String::new()),
            Some("t=1".to_owned()),
            Some(good.replace("v1=", "v0=")),
            Some(signed(&body, &["whsec_other"], 0)),
            Some(signed(format!("{body} "), &WEBHOOK_SECRETS[..1], 0)),
            Some(signed(&body, &WEBHOOK_SECRETS[..1], 330)),
            Some(signed(&body, &WEBHOOK_SECRETS[..1], -330)),
        ];
        for header in rejected {
            assert_eq!(deliver(&app, &body, header.as_deref()).await.status, 400, "{header:?}");
        }
        assert_eq!(stored(&app).await, 0);
    }

    async fn one_valid_signature_by_any_of_the_secrets_is_enough(database) {
        let app = quiet(database).await;
        let headers: [&[&str]; 3] = [&WEBHOOK_SECRETS[1..], &["whsec_other", WEBHOOK_SECRETS[0]], &[WEBHOOK_SECRETS[1], "whsec_other"]];
        for (index, secrets) in headers.into_iter().enumerate() {
            let body = event(&format!("evt_{index}"), "balance.available", &json!({ "object": "balance" }));
            assert_eq!(deliver(&app, &body, Some(&signed(&body, secrets, 0))).await.status, 200, "{secrets:?}");
        }
        assert_eq!(stored(&app).await, 3);
    }

    async fn the_same_event_delivered_five_times_concurrently_is_stored_once(database) {
        let app = quiet(database).await;
        let body = event("evt_1", "customer.subscription.updated", &json!({ "id": "sub_none", "customer": "cus_1" }));
        let header = signed(&body, &WEBHOOK_SECRETS[..1], 0);
        let deliveries: Vec<_> = (0..5)
            .map(|_| {
                let request = request(&app, &body, Some(&header));
                tokio::spawn(async move { Page::of(request).await.status })
            })
            .collect();
        for delivery in deliveries {
            assert_eq!(delivery.await.unwrap(), 200);
        }
        assert_eq!(stored(&app).await, 1);
    }

    async fn many_concurrent_deliveries_to_two_nodes_are_all_stored(database) {
        let app = quiet(database).await;
        let second_node = app.second_node().await;
        let deliveries: Vec<_> = (0..200)
            .map(|index| {
                let body = event(&format!("evt_{}", index / 2), "balance.available", &json!({ "object": "balance" }));
                let header = signed(&body, &WEBHOOK_SECRETS[..1], 0);
                let at = if index % 2 == 0 { &app.url } else { &second_node };
                let request = Browser::new(at).request(Method::POST, PATH).body(body).header("stripe-signature", header);
                tokio::spawn(async move { Page::of(request).await.status })
            })
            .collect();
        for delivery in deliveries {
            assert_eq!(delivery.await.unwrap(), 200);
        }
        assert_eq!(stored(&app).await, 100);
    }

    async fn delivering_everything_five_more_times_changes_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let before = (stored(&app).await, browser.get("/billing").await.body);
        for event in app.stripe_lists("/v1/events?limit=100").await {
            assert!(app.sandbox.replay(event["id"].as_str().unwrap(), 5));
        }
        app.settled().await;
        assert_eq!(stored(&app).await, before.0);
        assert_eq!(browser.get("/billing").await.body, before.1);
    }

    async fn events_in_an_older_api_version_are_applied_as_well(database) {
        let app = Harness::start(database).await;
        app.sandbox.add_endpoint(sandbox::Endpoint {
            url: format!("{}{PATH}", app.url),
            secret: WEBHOOK_SECRETS[0].to_owned(),
            api_version: Some("2024-06-20".to_owned()),
        });
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn events_of_an_unlinked_customer_are_applied_when_stripe_has_its_account_id(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await;
        let customer = unlinked_subscriber(&app).await;
        app.settled().await;
        let created = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        assert_eq!(app.event_state(&created).await, Some(EventState::Unmatched));
        assert!(!browser.opens("/dashboard/analytics").await);

        let named = [("metadata[account_id]", account.as_str())];
        app.stripe_makes(&format!("/v1/customers/{customer}"), &named).await;
        app.settled().await;
        assert_eq!(app.event_state(&created).await, Some(EventState::Done));
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn events_for_an_account_are_applied_when_it_is_created(database) {
        let app = Harness::start(database).await;
        let customer = unlinked_subscriber(&app).await;
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("metadata[account_id]", "account-of-ada")]).await;
        app.settled().await;
        let created = app.stripe_newest("/v1/events?type=customer.subscription.created").await;
        assert_eq!(app.event_state(&created).await, Some(EventState::Unmatched));

        let ada = Billable::new("account-of-ada", "ada@example.com");
        app.tollgate.ensure_account(&ada).await.unwrap();
        app.settled().await;
        assert_eq!(app.event_state(&created).await, Some(EventState::Done));
        assert_eq!(app.tollgate.entitlement(&ada.account).await.unwrap().tier.as_str(), "PRO");
    }

    async fn events_that_arrive_while_stripe_is_down_are_applied_later(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        app.sandbox.fail_next(12, 500);
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        app.until(async || browser.opens("/dashboard/analytics").await).await;
    }

    async fn a_body_that_is_too_large_gets_413(database) {
        let app = quiet(database).await;
        let body = "x".repeat(1024 * 1024 + 1);
        let header = signed(&body, &WEBHOOK_SECRETS[..1], 0);
        assert_eq!(deliver(&app, &body, Some(&header)).await.status, 413);
    }

    async fn a_signed_body_that_is_not_an_event_returns_400(database) {
        let app = quiet(database).await;
        for body in ["", "{}", "[]", "null", "{\"id\":\"evt_1\"}", "\u{1}"] {
            let header = signed(body, &WEBHOOK_SECRETS[..1], 0);
            assert_eq!(deliver(&app, body, Some(&header)).await.status, 400, "{body}");
        }
        assert_eq!(stored(&app).await, 0);
    }

    async fn a_thin_event_is_acknowledged_and_changes_nothing(database) {
        let app = Harness::start(database).await;
        app.settled().await;
        let before = stored(&app).await;
        let event = app.sandbox.control("POST events/thin", &[]).unwrap();
        app.until(async || app.sandbox.deliveries().iter().any(|delivery| event["id"] == delivery.event.as_str() && delivery.attempts == [Some(200)])).await;
        assert_eq!(stored(&app).await, before);
    }

    async fn an_event_with_a_nul_character_does_not_return_500(database) {
        let app = quiet(database).await;
        let valid = event("evt_1", "customer.subscription.updated", &json!({ "id": "sub_1", "customer": "cus_1" }));
        for (text, status) in [("evt_1", 400), ("customer.subscription.updated", 400), ("2026-09-30.endive", 200), ("sub_1", 200), ("cus_1", 200)] {
            // A different id, so that the event is a new one.
            let body = valid.replace(text, &format!("{text}\\u0000")).replace("evt_1\"", &format!("evt_{text}\""));
            let header = signed(&body, &WEBHOOK_SECRETS[..1], 0);
            assert_eq!(deliver(&app, &body, Some(&header)).await.status, status, "{body}");
        }
        assert_eq!(stored(&app).await, 3);
    }

    async fn an_event_that_cannot_be_stored_returns_500_so_that_stripe_delivers_again(database) {
        let app = quiet(database).await;
        app.tollgate.db().close().await;
        let body = event("evt_1", "customer.subscription.updated", &json!({ "id": "sub_1", "customer": "cus_1" }));
        assert_eq!(deliver(&app, &body, Some(&signed(&body, &WEBHOOK_SECRETS[..1], 0))).await.status, 500);
    }
}

/// An app to which its sandbox delivers nothing.
async fn quiet(database: DatabaseKind) -> Harness {
    let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
    assert_eq!(stored(&app).await, 0);
    app
}

/// The number of stored events.
async fn stored(app: &Harness) -> i64 {
    let counts = inbox::count_by_state(app.tollgate.db()).await.unwrap();
    counts.iter().map(|count| count.events).sum()
}

/// Creates a customer with a subscription in Stripe that no account owns.
async fn unlinked_subscriber(app: &Harness) -> String {
    let customer = app.stripe_makes("/v1/customers", &[("email", "ada@example.com")]).await;
    let card = app.stripe_makes("/v1/payment_methods/pm_card_visa/attach", &[("customer", &customer)]).await;
    let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
    let fields =
        [("customer", customer.as_str()), ("items[0][price]", price.as_str()), ("default_payment_method", &card)];
    app.stripe_makes("/v1/subscriptions", &fields).await;
    customer
}

fn request(app: &Harness, body: &str, header: Option<&str>) -> reqwest::RequestBuilder {
    let request = app.browser().request(Method::POST, PATH).body(body.to_owned());
    match header {
        Some(header) => request.header("stripe-signature", header),
        None => request,
    }
}

async fn deliver(app: &Harness, body: &str, header: Option<&str>) -> Page {
    Page::of(request(app, body, header)).await
}
