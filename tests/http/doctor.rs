//! Whether everything is in place.

use server::doctor::{Verdict, examine};
use server::webhook::register::register;

use crate::support::{Browser, Harness, Page, on_both_engines};

on_both_engines! {
    async fn a_sound_house_is_said_to_be_sound(engine) {
        let app = Harness::start(engine).await;
        let checks = examine(&app.tollgate).await;
        let bad: Vec<_> = checks.iter().filter(|check| check.verdict == Verdict::Bad).collect();
        assert!(bad.is_empty(), "{bad:?}");
        for what in ["configuration", "database", "inbox", "Stripe", "clock", "webhook endpoint", "price tollgate_pro_month", "price tollgate_ai_500"] {
            assert!(checks.iter().any(|check| check.what == what), "{what} is looked at");
        }
        let clock = checks.iter().find(|check| check.what == "clock").unwrap();
        assert_eq!(clock.verdict, Verdict::Good, "{}", clock.sentence);
    }

    async fn what_is_missing_is_named_with_its_remedy(engine) {
        let app = Harness::start(engine).await;
        let endpoint = app.stripe_lists("/v1/webhook_endpoints").await[0]["id"].as_str().unwrap().to_owned();
        let gone = Browser::new(&app.sandbox.url()).request(reqwest::Method::DELETE, &format!("/v1/webhook_endpoints/{endpoint}"));
        assert_eq!(Page::of(gone.bearer_auth("sk_test_sandbox")).await.status, 200);
        let price = app.tollgate.gateway().find_price("tollgate_pro_year").await.unwrap().unwrap().id;
        app.stripe_makes(&format!("/v1/prices/{price}"), &[("active", "false")]).await;
        let checks = examine(&app.tollgate).await;
        let said = |what: &str| checks.iter().find(|check| check.what == what).unwrap();
        assert_eq!(said("webhook endpoint").verdict, Verdict::Odd, "in development `stripe listen` will do");
        assert_eq!(said("price tollgate_pro_year").verdict, Verdict::Bad);
        assert!(said("price tollgate_pro_year").sentence.contains("tollgate catalog apply"));

        register(&app.tollgate).await.unwrap();
        let checks = examine(&app.tollgate).await;
        let endpoint = checks.iter().find(|check| check.what == "webhook endpoint").unwrap();
        assert_eq!(endpoint.verdict, Verdict::Good, "{}", endpoint.sentence);
        let url = server::webhook::register::address(&app.tollgate);
        let there = app.tollgate.gateway().webhook_endpoint(&url).await.unwrap().unwrap();
        app.tollgate.gateway().update_webhook_endpoint(&there.id, &["invoice.paid"]).await.unwrap();
        let checks = examine(&app.tollgate).await;
        let endpoint = checks.iter().find(|check| check.what == "webhook endpoint").unwrap();
        assert!(endpoint.verdict == Verdict::Bad && endpoint.sentence.contains("customer.subscription.deleted"));
    }

    async fn a_stripe_that_does_not_answer_is_said(engine) {
        let app = Harness::start(engine).await;
        app.sandbox.fail_next(1_000, 503);
        let checks = examine(&app.tollgate).await;
        let stripe = checks.iter().find(|check| check.what == "Stripe").unwrap();
        assert_eq!(stripe.verdict, Verdict::Bad, "{}", stripe.sentence);
    }
}
