//! Invoices on the billing page, and their links to Stripe's pages.

use engine::store::{Cursor, invoices};

use crate::support::{Harness, PAYS, deliver, event, on_both_databases};

on_both_databases! {
    async fn an_invoice_is_listed_and_links_to_its_page_and_pdf(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let account = app.account("ada@example.com").await;
        let listed = invoices::of_account(app.tollgate.db(), &account, &Cursor::start(), 9).await.unwrap();
        assert_eq!(listed.len(), 1);
        let id = listed[0].id.as_str();
        let billing = browser.get("/billing").await.body;
        assert!(billing.contains(listed[0].number.as_deref().unwrap()), "{billing}");

        let page = browser.get(&format!("/billing/invoice?id={id}")).await;
        assert!(page.status == 303 && page.location().starts_with(&app.sandbox.url()), "{}", page.status);
        let pdf = browser.get(&format!("/billing/invoice?id={id}&as=pdf")).await.location();
        let response = reqwest::get(&pdf).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/pdf");

        let eve = app.signed_up("eve@example.org").await;
        assert_eq!(eve.get(&format!("/billing/invoice?id={id}")).await.status, 404, "another account's invoice does not exist");
        assert_eq!(browser.get("/billing/invoice?id=in_none").await.status, 404);
        assert_eq!(browser.get("/billing/invoice").await.status, 404);
        assert!(app.browser().get(&format!("/billing/invoice?id={id}")).await.location().starts_with("/login"));
    }

    async fn further_events_about_an_invoice_add_no_invoice(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let account = app.account("ada@example.com").await;
        let before = invoices::of_account(app.tollgate.db(), &account, &Cursor::start(), 9).await.unwrap();
        let invoice = app.stripe_lists("/v1/invoices").await[0].clone();
        for id in ["evt_again_1", "evt_again_2"] {
            assert_eq!(deliver(app.url.clone(), event(id, "invoice.paid", &invoice)).await, 200);
        }
        app.applied().await;
        assert_eq!(invoices::of_account(app.tollgate.db(), &account, &Cursor::start(), 9).await.unwrap(), before);
    }
}
