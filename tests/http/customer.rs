//! Customers that are changed or deleted at Stripe.

use reqwest::Method;
use server::store::customers;

use crate::support::{Browser, Harness, PAYS, Page, on_both_databases};

on_both_databases! {
    async fn who_was_deleted_at_stripe_gets_another_customer_with_the_next_purchase(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let account = app.account("ada@example.com").await;
        let first = customers::of_account(app.tollgate.db(), &account).await.unwrap().unwrap();
        delete(&app, first.as_str()).await;
        app.settled().await;
        assert!(!browser.opens("/dashboard/analytics").await, "Stripe has ended the subscription");
        assert_eq!(customers::of_account(app.tollgate.db(), &account).await.unwrap(), None);

        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
        let second = customers::of_account(app.tollgate.db(), &account).await.unwrap().unwrap();
        assert_ne!(second, first);
    }

    async fn a_purchase_goes_on_when_the_deletion_was_not_heard_of(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.open_checkout(&browser, "PRO").await;
        app.sandbox.hold_deliveries(true);
        let account = app.account("ada@example.com").await;
        let first = customers::of_account(app.tollgate.db(), &account).await.unwrap().unwrap();
        delete(&app, first.as_str()).await;
        assert_eq!(app.subscribe(&browser, "PRO", PAYS).await.status, 303);
        assert_eq!(app.buy(&browser, "ai-500", PAYS).await.status, 303);
        assert_eq!(browser.post("/api/billing/portal", &[]).await.status, 303);
    }

    async fn another_customer_takes_the_place_of_one_whose_deletion_was_not_heard_of(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.open_checkout(&browser, "PRO").await;
        app.settled().await;
        let account = app.account("ada@example.com").await;
        let first = customers::of_account(app.tollgate.db(), &account).await.unwrap().unwrap();
        app.sandbox.hold_deliveries(true);
        delete(&app, first.as_str()).await;
        app.sandbox.control("POST deliveries/drop", &[]).unwrap();
        app.sandbox.hold_deliveries(false);

        let second = app.stripe_makes("/v1/customers", &[("metadata[account_id]", account.as_str())]).await;
        app.stripe_makes(&format!("/v1/customers/{second}"), &[("name", "Ada Ltd")]).await;
        app.settled().await;
        let linked = customers::of_account(app.tollgate.db(), &account).await.unwrap();
        assert_eq!(linked.unwrap().as_str(), second);
    }

    async fn what_is_changed_at_stripe_is_known_here(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.open_checkout(&browser, "PRO").await;
        let account = app.account("ada@example.com").await;
        let id = customers::of_account(app.tollgate.db(), &account).await.unwrap().unwrap();
        app.stripe_makes(&format!("/v1/customers/{id}"), &[("email", "billing@example.com"), ("name", "Ada Ltd")]).await;
        app.settled().await;
        let stored = customers::by_id(app.tollgate.db(), &id).await.unwrap().unwrap().object;
        assert_eq!((stored.email.as_deref(), stored.name.as_deref()), (Some("billing@example.com"), Some("Ada Ltd")));
    }
}

async fn delete(app: &Harness, customer: &str) {
    let request = Browser::new(&app.sandbox.url()).request(Method::DELETE, &format!("/v1/customers/{customer}"));
    assert_eq!(Page::of(request.bearer_auth("sk_test_sandbox")).await.status, 200);
}
