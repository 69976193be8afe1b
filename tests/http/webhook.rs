//! Deliveries from Stripe and from those who would like to be Stripe.

use reqwest::Method;
use serde_json::json;
use server::store::inbox::{self, EventState};

use crate::support::{Browser, Harness, PAYS, Page, WEBHOOK_SECRETS, event, on_both_databases, signed};

const PATH: &str = "/api/stripe/webhook";

on_both_databases! {
    async fn a_signed_event_is_written_down_and_answered(database) {
        let app = quiet(database).await;
        let body = event("evt_1", "balance.available", &json!({ "object": "balance" }));
        let page = deliver(&app, &body, Some(&signed(&body, &WEBHOOK_SECRETS[..1], 0))).await;
        assert_eq!((page.status, page.json()), (200, json!({ "received": true })));
        assert_eq!(app.event_state("evt_1").await, Some(EventState::Ignored));
    }

    async fn what_stripe_did_not_sign_is_400_and_leaves_nothing(database) {
        let app = quiet(database).await;
        let body = event("evt_1", "customer.subscription.updated", &json!({ "id": "sub_1", "customer": "cus_1" }));
        let good = signed(&body, &WEBHOOK_SECRETS[..1], 0);
        let refused = [
            None,
            Some(String::new()),
            Some("t=1".to_owned()),
            Some(good.replace("v1=", "v0=")),
            Some(signed(&body, &["whsec_other"], 0)),
            Some(signed(&format!("{body} "), &WEBHOOK_SECRETS[..1], 0)),
            Some(signed(&body, &WEBHOOK_SECRETS[..1], 330)),
            Some(signed(&body, &WEBHOOK_SECRETS[..1], -330)),
        ];
        for header in refused {
            assert_eq!(deliver(&app, &body, header.as_deref()).await.status, 400, "{header:?}");
        }
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), 0);
    }

    async fn any_of_several_signatures_and_secrets_will_do(database) {
        let app = quiet(database).await;
        let headers: [&[&str]; 3] = [&WEBHOOK_SECRETS[1..], &["whsec_other", WEBHOOK_SECRETS[0]], &[WEBHOOK_SECRETS[1], "whsec_other"]];
        for (index, secrets) in headers.into_iter().enumerate() {
            let body = event(&format!("evt_{index}"), "balance.available", &json!({ "object": "balance" }));
            assert_eq!(deliver(&app, &body, Some(&signed(&body, secrets, 0))).await.status, 200, "{secrets:?}");
        }
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), 3);
    }

    async fn the_same_event_five_times_at_once_is_one_event(database) {
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
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), 1);
    }

    async fn many_deliveries_at_once_are_all_written_down(database) {
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
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), 100);
    }

    async fn everything_that_was_delivered_five_times_more_changes_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let before = (inbox::count(app.tollgate.db()).await.unwrap(), browser.get("/billing").await.body);
        let list = Page::of(
            Browser::new(&app.sandbox.url()).request(Method::GET, "/v1/events?limit=100").bearer_auth("sk_test_sandbox"),
        )
        .await
        .json();
        for event in list["data"].as_array().unwrap() {
            assert!(app.sandbox.replay(event["id"].as_str().unwrap(), 5));
        }
        app.settled().await;
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), before.0);
        assert_eq!(browser.get("/billing").await.body, before.1);
    }

    async fn an_endpoint_of_an_older_api_version_works_the_same(database) {
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

    async fn an_event_about_nobody_we_know_is_kept_until_we_do(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let customer = app.stripe_makes("/v1/customers", &[("email", "ada@example.com")]).await;
        let card = [("type", "card"), ("card[token]", "tok_visa")];
        let card = app.stripe_makes("/v1/payment_methods", &card).await;
        app.stripe_makes(&format!("/v1/payment_methods/{card}/attach"), &[("customer", customer.as_str())]).await;
        let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        let fields =
            [("customer", customer.as_str()), ("items[0][price]", price.as_str()), ("default_payment_method", &card)];
        app.stripe_makes("/v1/subscriptions", &fields).await;
        app.settled().await;
        assert!(!browser.opens("/dashboard/analytics").await);

        let db = app.tollgate.db();
        let account = server::store::accounts::user_by_login(db, "ada@example.com").await.unwrap().unwrap().account_id;
        let mut tx = db.begin().await.unwrap();
        let customer = billing::CustomerId::new(customer);
        assert!(server::store::customers::link(&mut tx, &customer, &account, false, app.tollgate.now()).await.unwrap());
        let revived = inbox::revive_unmatched(&mut tx, &customer, app.tollgate.now()).await.unwrap();
        assert!(revived > 0, "the events must have been kept");
        tx.commit().await.unwrap();
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_stripe_that_is_down_makes_events_wait_and_not_vanish(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        app.sandbox.fail_next(12, 500);
        assert_eq!(crate::support::pay(&checkout, PAYS).await.status, 303);
        app.until(async || browser.opens("/dashboard/analytics").await).await;
    }

    async fn a_body_that_is_too_large_is_not_read(database) {
        let app = quiet(database).await;
        let body = "x".repeat(1024 * 1024 + 1);
        let header = signed(&body, &WEBHOOK_SECRETS[..1], 0);
        assert_eq!(deliver(&app, &body, Some(&header)).await.status, 413);
    }

    async fn signed_rubbish_is_refused(database) {
        let app = quiet(database).await;
        for body in ["", "{}", "[]", "null", "{\"id\":\"evt_1\"}", "\u{1}"] {
            let header = signed(body, &WEBHOOK_SECRETS[..1], 0);
            assert_eq!(deliver(&app, body, Some(&header)).await.status, 400, "{body}");
        }
        assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), 0);
    }

    async fn a_database_that_is_away_gives_500_so_that_stripe_delivers_again(database) {
        let app = quiet(database).await;
        app.tollgate.db().close().await;
        let body = event("evt_1", "customer.subscription.updated", &json!({ "id": "sub_1", "customer": "cus_1" }));
        assert_eq!(deliver(&app, &body, Some(&signed(&body, &WEBHOOK_SECRETS[..1], 0))).await.status, 500);
    }
}

/// A Tollgate that hears nothing from its sandbox.
async fn quiet(database: crate::support::DatabaseKind) -> Harness {
    let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
    assert_eq!(inbox::count(app.tollgate.db()).await.unwrap(), 0);
    app
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
