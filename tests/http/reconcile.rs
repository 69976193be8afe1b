//! What is lost is found again: comparing with Stripe, and making Stripe send events.

use reqwest::Method;
use server::reconcile::{Drift, Mode, reconcile};
use server::webhook::register::{Registered, register};

use crate::support::{Browser, Harness, PAYS, Page, WEBHOOK_SECRETS, on_both_engines};

/// How far back events are compared.
const DAYS: i64 = 30;

on_both_engines! {
    async fn what_no_webhook_told_is_found_and_mended_and_a_second_run_finds_nothing(engine) {
        let app = Harness::start(engine).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        assert!(!browser.opens("/dashboard/analytics").await);

        let looked = reconcile(&app.tollgate, Mode::DryRun, DAYS).await.unwrap();
        assert!(looked.iter().any(|finding| matches!(&finding.drift, Drift::WrongSubscription { here: None, .. })));
        assert!(looked.iter().any(|finding| matches!(&finding.drift, Drift::MissedEvent { .. })));
        assert!(looked.iter().all(|finding| !finding.is_mended));
        assert!(!browser.opens("/dashboard/analytics").await, "a dry run changes nothing");

        let mended = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        assert!(mended.iter().all(|finding| finding.is_mended), "{mended:?}");
        app.applied().await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert_eq!(reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap(), []);
    }

    async fn a_customer_of_nobody_is_named_and_left_alone(engine) {
        let app = Harness::start(engine).await;
        let customer = app.stripe_makes("/v1/customers", &[("email", "stranger@example.com")]).await;
        let card = app.stripe_makes("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]).await;
        app.stripe_makes(&format!("/v1/payment_methods/{card}/attach"), &[("customer", &customer)]).await;
        let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        let fields = [("customer", customer.as_str()), ("items[0][price]", price.as_str()), ("default_payment_method", &card)];
        app.stripe_makes("/v1/subscriptions", &fields).await;
        app.settled().await;
        let findings = reconcile(&app.tollgate, Mode::Mend, DAYS).await.unwrap();
        let drifts: Vec<&Drift> = findings.iter().map(|finding| &finding.drift).collect();
        assert!(matches!(drifts[..], [Drift::OrphanCustomer { .. }, Drift::Unmatched { .. }]), "{findings:?}");
        assert!(findings.iter().all(|finding| !finding.is_mended), "{findings:?}");
    }

    async fn registering_makes_an_endpoint_once_and_completes_one_that_lacks_events(engine) {
        let app = Harness::start(engine).await;
        // The harness's own endpoint has the account's version: that cannot be changed, only said.
        let Registered::OtherVersion { id, .. } = register(&app.tollgate).await.unwrap() else { panic!("other version") };
        let gone = Browser::new(&app.sandbox.url()).request(Method::DELETE, &format!("/v1/webhook_endpoints/{id}"));
        assert_eq!(Page::of(gone.bearer_auth("sk_test_sandbox")).await.status, 200);
        let Registered::Created { secret } = register(&app.tollgate).await.unwrap() else { panic!("it was gone") };
        assert!(secret.starts_with("whsec_") && secret != WEBHOOK_SECRETS[0]);
        assert_eq!(register(&app.tollgate).await.unwrap(), Registered::Present);

        let url = format!("{}/api/stripe/webhook", app.url);
        let here = app.tollgate.gateway().webhook_endpoint(&url).await.unwrap().unwrap();
        let less = app.tollgate.gateway().update_webhook_endpoint(&here.id, &["invoice.paid"]).await.unwrap();
        assert_eq!(less.events, ["invoice.paid"]);
        let Registered::Updated { added } = register(&app.tollgate).await.unwrap() else { panic!("it lacked events") };
        assert!(added.contains(&"customer.subscription.updated") && !added.contains(&"invoice.paid"));
        assert_eq!(register(&app.tollgate).await.unwrap(), Registered::Present);
    }
}
