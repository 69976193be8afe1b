//! Credit notes and edited invoices change the sums on the billing page.

use std::time::Duration;

use engine::store::inbox::EventState;

use crate::support::{Browser, FAILS_LATER, Harness, on_both_databases};

const DAY: u64 = 86_400;

on_both_databases! {
    async fn a_credit_note_reduces_what_is_due_until_it_is_voided(database) {
        let app = Harness::start(database).await;
        let browser = past_due(&app).await;
        let banner = browser.get("/billing").await.banner();
        assert!(banner.tone == "warning" && banner.html.contains("$29"), "{banner:?}");
        let note = credit(&app, &[("amount", "1000")]).await;
        let row = newest_invoice(&browser).await;
        assert!(row.contains(">Due<") && row.contains("$10 credited") && row.contains("$19 due") && row.contains(">$29<"), "{row}");
        let banner = browser.get("/billing").await.banner();
        assert!(banner.tone == "warning" && banner.html.contains(">Pay $19<") && !banner.html.contains("$29"), "{banner:?}");

        app.stripe_makes(&format!("/v1/credit_notes/{note}/void"), &[]).await;
        app.settled().await;
        let row = newest_invoice(&browser).await;
        assert!(row.contains(">Due<") && !row.contains("credited"), "{row}");
        let banner = browser.get("/billing").await.banner();
        assert!(banner.tone == "warning" && banner.html.contains("$29"), "{banner:?}");
    }

    async fn a_credit_note_of_everything_due_settles_the_invoice(database) {
        let app = Harness::start(database).await;
        let browser = past_due(&app).await;
        credit(&app, &[("amount", "2900")]).await;
        let row = newest_invoice(&browser).await;
        assert!(row.contains(">Credited<") && !row.contains(" due"), "{row}");
        assert!(browser.get("/billing").await.banners().is_empty(), "nothing is owed");
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_credit_note_of_a_paid_invoice_is_shown(database) {
        let app = Harness::start(database).await;
        let browser = app.paying("ada@example.com").await;
        credit(&app, &[("amount", "900"), ("credit_amount", "900")]).await;
        let row = newest_invoice(&browser).await;
        assert!(row.contains(">Paid<") && row.contains("$9 credited"), "{row}");
        credit(&app, &[("amount", "500"), ("refund_amount", "500")]).await;
        let row = newest_invoice(&browser).await;
        assert!(row.contains(">Partly refunded<") && row.contains("$5 refunded") && row.contains("$14 credited"), "{row}");
        credit(&app, &[("amount", "1500"), ("out_of_band_amount", "1500")]).await;
        let account = app.account("ada@example.com").await;
        let detail = app.operator().await.get(&format!("/admin/account?id={account}")).await.body;
        assert!(detail.contains("$5 refunded"), "operators see the same sums: {detail}");
    }

    async fn an_event_of_a_credit_note_alone_updates_its_invoice(database) {
        let app = Harness::start(database).await;
        let browser = past_due(&app).await;
        app.sandbox.hold_deliveries(true);
        let invoice = app.stripe_newest("/v1/invoices").await;
        app.stripe_makes("/v1/credit_notes", &[("invoice", &invoice), ("amount", "1000")]).await;
        app.sandbox.control("POST deliveries/drop", &[]).unwrap();
        app.sandbox.hold_deliveries(false);
        let event = app.stripe_newest("/v1/events?type=credit_note.created").await;
        assert!(app.sandbox.replay(&event, 1));
        app.settled().await;
        assert_eq!(app.event_state(&event).await, Some(EventState::Done));
        assert!(newest_invoice(&browser).await.contains("$19 due"));
    }

    async fn the_payment_of_an_invoice_is_shown_when_only_that_is_reported(database) {
        let app = Harness::start(database).await;
        let browser = past_due(&app).await;
        app.sandbox.hold_deliveries(true);
        let invoice = app.stripe_newest("/v1/invoices").await;
        app.stripe_makes(&format!("/v1/invoices/{invoice}/pay"), &[("payment_method", "pm_card_visa")]).await;
        app.sandbox.control("POST deliveries/drop", &[]).unwrap();
        app.sandbox.hold_deliveries(false);
        let event = app.stripe_newest("/v1/events?type=invoice_payment.paid").await;
        assert!(app.sandbox.replay(&event, 1));
        app.settled().await;
        assert_eq!(app.event_state(&event).await, Some(EventState::Done));
        assert!(newest_invoice(&browser).await.contains(">Paid<"));
        assert!(browser.get("/billing").await.banners().is_empty());
    }
}

/// A customer of Pro whose first payment after the trial has failed.
async fn past_due(app: &Harness) -> Browser {
    let browser = app.signed_up("ada@example.com").await;
    app.subscribe(&browser, "PRO", FAILS_LATER).await;
    app.settled().await;
    app.sandbox.advance(Duration::from_secs(14 * DAY));
    app.settled().await;
    browser
}

/// Issues a credit note of the newest invoice, and returns it.
async fn credit(app: &Harness, fields: &[(&str, &str)]) -> String {
    let invoice = app.stripe_newest("/v1/invoices").await;
    let fields: Vec<_> = fields.iter().copied().chain([("invoice", invoice.as_str())]).collect();
    let note = app.stripe_makes("/v1/credit_notes", &fields).await;
    app.settled().await;
    note
}

/// The first row of the list of invoices on the billing page.
async fn newest_invoice(browser: &Browser) -> String {
    let page = browser.get("/billing").await;
    let list = page.body.split("id=\"invoices-title\"").nth(1).and_then(|rest| rest.split("<tbody>").nth(1));
    let row = list.and_then(|rows| rows.split("</tr>").next());
    row.unwrap_or_else(|| panic!("no invoices; status {}:\n{}", page.status, page.body)).to_owned()
}
