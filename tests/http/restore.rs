//! A restored backup: what happened since is in Stripe only.

use billing::CustomerId;
use engine::customer_link::{self, LinkError};
use engine::store::customers;

use crate::support::{Browser, Harness, PAYS, on_both_databases};

/// The customer of a subscriber whose account is lost.
async fn lose_subscriber(app: &Harness, email: &str) -> CustomerId {
    let browser = app.signed_up(email).await;
    app.subscribe(&browser, "PRO", PAYS).await;
    app.settled().await;
    let account = app.account(email).await;
    let customer = customers::of_account(app.tollgate.db(), &account).await.unwrap().unwrap();
    app.database.empty(app.tollgate.db()).await;
    app.tollgate.cache().invalidation().trust(false);
    customer
}

on_both_databases! {
    async fn a_person_who_signs_up_again_is_not_sold_a_second_subscription(database) {
        let app = Harness::start(database).await;
        let customer = lose_subscriber(&app, "ada@example.com").await;
        let browser = app.signed_up("ada@example.com").await;
        let checkouts = app.stripe_calls("POST", "/v1/checkout/sessions");
        let rejected = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await;
        assert_eq!(rejected.status, 303, "{}", rejected.body);
        assert_eq!(rejected.location(), "/billing?notice=subscribed_before");
        assert_eq!(browser.get(&rejected.location()).await.banner().tone, "info");
        assert_eq!(app.stripe_calls("POST", "/v1/checkout/sessions"), checkouts);
        assert!(!browser.opens("/dashboard/analytics").await, "anyone can sign up with that address");

        let account = app.account("ada@example.com").await;
        let linked = customer_link::link(&app.tollgate, &customer, &account).await.unwrap();
        assert_eq!(linked.len(), 1);
        assert!(browser.opens("/dashboard/analytics").await, "the subscription is theirs again");
        app.settled().await;
        assert_eq!(app.stripe_lists("/v1/subscriptions").await.len(), 1);
        let again = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await;
        assert_eq!(again.location(), "/billing?notice=already_subscribed");
    }

    async fn another_spelling_of_the_address_is_not_sold_a_second_subscription(database) {
        for (lost, typed) in [("Ada@Example.com", "ada@example.com"), ("ada@example.com", "ADA@example.com")] {
            let app = Harness::start(database).await;
            lose_subscriber(&app, lost).await;
            let browser = app.signed_up(typed).await;
            assert_eq!(subscribe(&browser).await, "/billing?notice=subscribed_before", "{lost}, then {typed}");
            assert!(browser.get("/account").await.body.contains(typed), "pages show it as typed");
        }
    }

    async fn a_customer_who_was_created_elsewhere_is_found_by_the_address_as_typed(database) {
        let app = Harness::start(database).await;
        let customer = lose_subscriber(&app, "ada@example.com").await;
        app.stripe_makes(&format!("/v1/customers/{customer}"), &[("email", "Ada@Example.com")]).await;
        let browser = app.signed_up("Ada@Example.com").await;
        assert_eq!(subscribe(&browser).await, "/billing?notice=subscribed_before");
    }

    async fn a_subscriber_is_found_among_many_customers_with_the_same_address(database) {
        let app = Harness::start(database).await;
        lose_subscriber(&app, "ada@example.com").await;
        // Stripe lists the newest first, a hundred on a page.
        for _ in 0..100 {
            app.stripe_makes("/v1/customers", &[("email", "ada@example.com")]).await;
        }
        let browser = app.signed_up("ada@example.com").await;
        assert_eq!(subscribe(&browser).await, "/billing?notice=subscribed_before");
    }

    async fn an_ended_subscription_or_one_of_another_address_is_no_obstacle(database) {
        let app = Harness::start(database).await;
        lose_subscriber(&app, "ada@example.com").await;
        let eve = app.signed_up("eve@example.com").await;
        assert!(app.open_checkout(&eve, "PRO").await.contains("/c/pay/"));
        let subscription = app.stripe_newest("/v1/subscriptions").await;
        app.stripe_deletes(&format!("/v1/subscriptions/{subscription}")).await;
        let ada = app.signed_up("ada@example.com").await;
        assert!(app.open_checkout(&ada, "PRO").await.contains("/c/pay/"));
    }

    async fn a_customer_is_linked_to_one_account_and_an_account_to_one_customer(database) {
        let app = Harness::start(database).await;
        let customer = lose_subscriber(&app, "ada@example.com").await;
        let ada = app.signed_up("ada@example.com").await;
        app.signed_up("eve@example.com").await;
        let (adas, eves) = (app.account("ada@example.com").await, app.account("eve@example.com").await);
        let link = async |customer: &str, account: &str| {
            let (customer, account) = (CustomerId::new(customer), billing::AccountId::new(account));
            customer_link::link(&app.tollgate, &customer, &account).await
        };
        assert!(matches!(link(customer.as_str(), "unknown").await, Err(LinkError::NoAccount(_))));
        assert!(matches!(link("cus_none", adas.as_str()).await, Err(LinkError::NoCustomer(_))));
        app.buy(&ada, "ai-500", PAYS).await;
        app.settled().await;
        let rejected = link(customer.as_str(), adas.as_str()).await;
        assert!(matches!(rejected, Err(LinkError::AccountHasCustomer { .. })), "{rejected:?}");
        link(customer.as_str(), eves.as_str()).await.unwrap();
        app.signed_up("zoe@example.com").await;
        let zoes = app.account("zoe@example.com").await;
        let rejected = link(customer.as_str(), zoes.as_str()).await;
        assert!(matches!(rejected, Err(LinkError::Owned { .. })), "{rejected:?}");
    }

    async fn a_link_that_another_process_prevents_is_reported(database) {
        let app = Harness::start(database).await;
        let customer = lose_subscriber(&app, "ada@example.com").await;
        app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await;
        let held = app.sandbox.hold_calls("POST", &format!("/v1/customers/{customer}"));
        let linking = tokio::spawn({
            let (tollgate, account) = (app.tollgate.clone(), account.clone());
            async move { customer_link::link(&tollgate, &customer, &account).await }
        });
        held.arrived().await;
        let other = CustomerId::new(app.stripe_makes("/v1/customers", &[("email", "ada@example.com")]).await);
        let now = app.tollgate.now();
        let mut tx = app.tollgate.db().begin().await.unwrap();
        assert!(customers::link(&mut tx, &other, &account, false, now).await.unwrap());
        tx.commit().await.unwrap();
        held.open();
        let rejected = linking.await.unwrap();
        assert!(matches!(rejected, Err(LinkError::AccountHasCustomer { .. })), "{rejected:?}");
    }
}

/// Asks for a subscription, and returns where that leads.
async fn subscribe(browser: &Browser) -> String {
    browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await.location()
}
