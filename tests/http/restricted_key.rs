//! A restricted key: the permissions that the app needs, and how a missing one is reported.

use engine::doctor::{Check, Health};
use server::Tollgate;
use server::admin::OperatorPermit;
use server::admin::doctor::check;

use crate::support::{CENTS_PER_CALL, Harness, PAYS, on_both_databases, pay};

const KEY: &str = "rk_test_restricted";
/// What the server needs, as docs/STRIPE.md lists it.
const SERVER: &[&str] = &[
    "charge_read",
    "checkout_session_write",
    "customer_write",
    "customer_portal_write",
    "dispute_read",
    "event_read",
    "invoice_write",
    "payment_intent_read",
    "payment_method_read",
    "price_read",
    "subscription_write",
];
const BILLED_USAGE: &[&str] = &["billing_meter_read", "billing_meter_event_write"];

on_both_databases! {
    async fn a_key_with_the_listed_permissions_sells_and_passes_the_check(database) {
        let app = Harness::start(database).await;
        app.sandbox.restrict_key(KEY, SERVER);
        let (url, tollgate) = app.another_node(|config| config.stripe.secret_key = KEY.into()).await;
        let found = permissions(&tollgate).await;
        assert!(found.health == Health::Ok && found.message.contains("Prices: Write"), "{found:?}");
        assert!(!found.message.contains("Meters"), "no plan bills usage: {found:?}");
        let browser = app.signed_up("ada@example.com").await.at(&url);
        let page = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await;
        assert_eq!(page.status, 303, "{}", page.body);
        let back = pay(&page.location(), PAYS).await;
        assert_eq!(browser.get(&back.location()).await.status, 200);
        // The other node may have written it, and tells this one within a second.
        app.until(async || browser.opens("/dashboard/analytics").await).await;
        assert_eq!(browser.post("/api/billing/portal", &[]).await.status, 303);
    }

    async fn a_missing_permission_is_reported(database) {
        let app = Harness::start(database).await;
        for (permission, name) in [
            ("charge_read", "Charges: Read"),
            ("checkout_session_write", "Checkout Sessions: Read, Checkout Sessions: Write"),
            ("customer_write", "Customers: Write"),
            ("payment_method_read", "PaymentMethods: Read"),
            ("invoice_write", "Invoices: Read, Invoices: Write"),
        ] {
            let rest: Vec<&str> = SERVER.iter().copied().filter(|each| *each != permission).collect();
            app.sandbox.restrict_key(KEY, &rest);
            let found = permissions(&with_key(&app)).await;
            assert!(found.health == Health::Failed && found.message.contains(name), "{permission}: {found:?}");
        }
    }

    async fn billed_usage_needs_further_permissions(database) {
        let app = Harness::start_metered(database, CENTS_PER_CALL).await;
        app.sandbox.restrict_key(KEY, SERVER);
        let found = permissions(&with_key(&app)).await;
        assert!(found.health == Health::Failed, "{found:?}");
        assert!(found.message.contains("Meters: Read, Meter events: Write"), "{found:?}");
        app.sandbox.restrict_key(KEY, &[SERVER, BILLED_USAGE].concat());
        let found = permissions(&with_key(&app)).await;
        assert!(found.health == Health::Ok && found.message.contains("Meters: Write"), "{found:?}");
    }
}

fn with_key(app: &Harness) -> Tollgate {
    app.idle_node(|config| config.stripe.secret_key = KEY.into(), app.tollgate.clock())
}

async fn permissions(tollgate: &Tollgate) -> Check {
    let checks = check(tollgate, &OperatorPermit::for_cli()).await;
    checks.into_iter().find(|check| check.subject == "key permissions").unwrap()
}
