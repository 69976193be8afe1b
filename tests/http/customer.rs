//! Customers that are changed or deleted in Stripe.

use std::collections::BTreeSet;

use billing::CustomerId;
use engine::inbox::object::Object;
use engine::store::customers;
use engine::sync::{self, SyncContext, SyncOutcome};

use crate::support::{Harness, PAYS, on_both_databases};

on_both_databases! {
    async fn an_account_whose_customer_was_deleted_gets_another_with_the_next_purchase(database) {
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

    async fn a_purchase_continues_when_the_deletion_was_missed(database) {
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

    async fn another_customer_replaces_one_whose_deletion_was_missed(database) {
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

    async fn two_customers_with_one_account_id_do_not_keep_each_other_from_being_handled(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.open_checkout(&browser, "PRO").await;
        let account = app.account("ada@example.com").await;
        let linked = customers::of_account(app.tollgate.db(), &account).await.unwrap();
        app.sandbox.hold_deliveries(true);
        let mut others = BTreeSet::new();
        for _ in 0..2 {
            let id = app.stripe_makes("/v1/customers", &[("metadata[account_id]", account.as_str())]).await;
            others.insert(Object::Customer(CustomerId::new(id)));
        }
        let outcome = sync::objects(&app.tollgate, &others, SyncContext::with_reason("a test")).await.unwrap();
        assert!(matches!(outcome, SyncOutcome::Unmatched(_)), "{outcome:?}");
        assert_eq!(customers::of_account(app.tollgate.db(), &account).await.unwrap(), linked);
    }

    async fn a_customer_that_is_changed_in_stripe_is_updated_here(database) {
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
    app.stripe_deletes(&format!("/v1/customers/{customer}")).await;
}
