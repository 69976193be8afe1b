//! One-time purchases: from the click to the credits, and back by a refund.

use std::time::Duration;

use engine::store::inbox::EventState;

use crate::support::{Browser, DECLINES, Harness, PAYS, THREE_D_SECURE, on_both_databases, pay};

const PACK: [(&str, &str); 1] = [("product", "ai-500")];
/// A card whose refunds fail at the bank.
const REFUND_FAILS: &str = "4000000000005126";
/// Bank accounts whose debit settles, and fails.
const SETTLES: &str = "000123456789";
const FAILS: &str = "000111111116";

on_both_databases! {
    async fn paying_adds_credits_before_any_webhook_arrives(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        let back = app.buy(&browser, "ai-500", PAYS).await;
        let success = browser.get(&back.location()).await;
        assert_eq!(success.status, 200);
        assert!(success.heading().contains("500 AI generations"), "{}", success.body);
        assert_eq!(app.credits("ada@example.com").await, 500);
        assert!(!browser.opens("/dashboard/analytics").await, "credits are not a plan");
    }

    async fn paying_adds_credits_for_customers_who_do_not_return(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-2500", PAYS).await;
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 2_500);
        let purchases = purchases(&browser).await;
        assert!(purchases.contains("2,500 AI generations") && purchases.contains("$60"), "{purchases}");
        assert!(purchases.contains(&format!("href=\"{}", app.sandbox.url())), "it links to the receipt: {purchases}");
    }

    async fn events_that_arrive_five_times_grant_once(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-500", THREE_D_SECURE).await;
        app.settled().await;
        for event in app.stripe_lists("/v1/events?limit=100").await {
            assert!(app.sandbox.replay(event["id"].as_str().unwrap(), 5));
        }
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn a_paid_pack_can_be_bought_again(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for _ in 0..2 {
            app.buy(&browser, "ai-500", PAYS).await;
            app.settled().await;
        }
        assert_eq!(app.credits("ada@example.com").await, 1_000);
    }

    async fn a_double_click_creates_one_session_for_each_product(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let second_node = browser.at(&app.second_node().await);
        let clicks: Vec<_> = (0..6)
            .map(|index| {
                let browser = if index % 2 == 0 { browser.clone() } else { second_node.clone() };
                tokio::spawn(async move { browser.post("/api/billing/checkout", &PACK).await.location() })
            })
            .collect();
        let mut addresses = Vec::new();
        for click in clicks {
            addresses.push(click.await.unwrap());
        }
        addresses.dedup();
        assert_eq!(addresses.len(), 1, "{addresses:?}");
        let other = browser.post("/api/billing/checkout", &[("product", "ai-2500")]).await.location();
        assert_ne!(other, addresses[0]);
        assert_eq!(app.stripe_lists("/v1/checkout/sessions?status=open").await.len(), 2, "each product has its own");
        assert_eq!(app.stripe_lists("/v1/customers").await.len(), 1);
    }

    async fn a_click_in_an_outdated_tab_shows_the_purchase_from_the_other(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-500", PAYS).await;
        let page = browser.post("/api/billing/checkout", &PACK).await;
        assert!(page.location().starts_with("/billing/success?session_id=cs_"), "{}", page.location());
        let success = browser.get(&page.location()).await;
        assert!(success.heading().contains("500 AI generations"), "{}", success.body);
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn a_declined_card_grants_nothing_and_another_can_be_tried(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = browser.post("/api/billing/checkout", &PACK).await.location();
        assert_eq!(pay(&checkout, DECLINES).await.status, 402);
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 0);
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn a_refund_takes_its_share_of_the_credits_and_is_shown(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-500", PAYS).await;
        app.settled().await;
        let payment = app.stripe_newest("/v1/payment_intents").await;
        app.stripe_makes("/v1/refunds", &[("payment_intent", &payment), ("amount", "500")]).await;
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 333, "two thirds of 500, rounded down");
        let refunded = purchases(&browser).await;
        assert!(refunded.contains("$5 "), "{refunded}");
        app.stripe_makes("/v1/refunds", &[("payment_intent", &payment)]).await;
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 0);
        let refunded = purchases(&browser).await;
        assert!(refunded.to_lowercase().contains("refunded") && !refunded.contains("$5 "), "{refunded}");
    }

    async fn a_refund_that_arrives_before_its_purchase_counts_too(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        let back = app.buy(&browser, "ai-500", PAYS).await.location();
        let payment = app.stripe_newest("/v1/payment_intents").await;
        app.stripe_makes("/v1/refunds", &[("payment_intent", &payment)]).await;
        let success = browser.get(&back).await;
        assert_eq!(success.status, 200);
        assert_eq!(app.credits("ada@example.com").await, 0);
        app.sandbox.hold_deliveries(false);
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 0);
    }

    async fn a_bank_debit_grants_once_it_has_cleared(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let back = debit(&app, &browser, SETTLES).await;
        let success = browser.get(&back).await;
        let is_pending = success.status == 200 && !success.body.contains("outcome-good");
        assert!(is_pending && success.body.contains("500 AI generations"), "{}", success.body);
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 0);
        let pending = purchases(&browser).await;
        assert!(pending.contains("badge-info"), "{pending}");
        app.sandbox.advance(Duration::from_secs(5 * 86_400));
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 500);
        let success = browser.get(&back).await.body;
        assert!(success.contains("outcome-good") && success.contains("500 AI generations"), "{success}");
    }

    async fn a_bank_debit_that_fails_grants_nothing_and_shows_the_reason(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        debit(&app, &browser, FAILS).await;
        app.sandbox.advance(Duration::from_secs(5 * 86_400));
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 0);
        let failed = purchases(&browser).await;
        assert!(failed.contains("badge-warning") && failed.contains("bank account"), "{failed}");
    }

    async fn a_dispute_takes_the_credits_while_it_is_open_and_returns_them_when_won(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-500", PAYS).await;
        app.settled().await;
        let payment = app.stripe_newest("/v1/payment_intents").await;
        let dispute = app.sandbox.control(&format!("POST payments/{payment}/dispute"), &[]).unwrap();
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 0);
        let disputed = purchases(&browser).await;
        assert!(disputed.contains("badge-warning") && disputed.contains("$15 "), "{disputed}");
        app.sandbox.control(&format!("POST disputes/{}/win", dispute["id"].as_str().unwrap()), &[]).unwrap();
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn a_lost_dispute_takes_the_credits_permanently(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-500", PAYS).await;
        app.settled().await;
        let payment = app.stripe_newest("/v1/payment_intents").await;
        let dispute = app.sandbox.control(&format!("POST payments/{payment}/dispute"), &[]).unwrap();
        app.sandbox.control(&format!("POST disputes/{}/lose", dispute["id"].as_str().unwrap()), &[]).unwrap();
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 0);
    }

    async fn a_refund_that_fails_at_the_bank_returns_the_credits(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.buy(&browser, "ai-500", REFUND_FAILS).await;
        app.settled().await;
        let payment = app.stripe_newest("/v1/payment_intents").await;
        app.stripe_makes("/v1/refunds", &[("payment_intent", &payment)]).await;
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 0);
        app.sandbox.advance(Duration::from_secs(2 * 86_400));
        app.settled().await;
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn the_session_of_another_account_shows_nothing(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up("ada@example.com").await;
        let back = app.buy(&ada, "ai-500", PAYS).await.location();
        let eve = app.signed_up("eve@example.com").await;
        assert_eq!(eve.get(&back).await.status, 404);
        app.settled().await;
        assert_eq!(app.credits("eve@example.com").await, 0);
        assert_eq!(app.credits("ada@example.com").await, 500);
    }

    async fn a_browser_can_only_choose_the_product(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let before = app.sandbox.requests().len();
        let rejected: [&[(&str, &str)]; 6] = [
            &[],
            &[("product", "gold")],
            &[("product", "ai-500"), ("quantity", "0")],
            &[("product", "ai-500"), ("price", "price_1")],
            &[("product", "ai-500"), ("amount", "1")],
            &[("product", "ai-500"), ("product", "ai-2500")],
        ];
        for fields in rejected {
            let page = browser.post("/api/billing/checkout", fields).await;
            assert!((400..500).contains(&page.status), "{fields:?}: {}", page.status);
        }
        assert_eq!(app.sandbox.requests().len(), before, "Stripe must not be called");
        let page = app.browser().post("/api/billing/checkout", &PACK).await;
        assert!(page.status == 303 && page.location().starts_with("/login"), "{}", page.status);
    }

    async fn a_payment_without_a_customer_belongs_to_no_account(database) {
        let app = Harness::start(database).await;
        let card = app.stripe_makes("/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]).await;
        let fields = [("amount", "1000"), ("currency", "usd"), ("payment_method", card.as_str()), ("confirm", "true"), ("return_url", "http://shop.test/")];
        app.stripe_makes("/v1/payment_intents", &fields).await;
        app.settled().await;
        let event = app.stripe_newest("/v1/events?type=payment_intent.succeeded").await;
        assert_eq!(app.event_state(&event).await, Some(EventState::Ignored));
    }
}

/// The list of purchases on the billing page.
async fn purchases(browser: &Browser) -> String {
    let page = browser.get("/billing").await;
    let list = page.body.split("id=\"purchases-title\"").nth(1).and_then(|rest| rest.split("</section>").next());
    list.unwrap_or_else(|| panic!("no purchases; status {}:\n{}", page.status, page.body)).to_owned()
}

/// Pays for a pack by bank debit. Returns the address to which Stripe redirects.
async fn debit(app: &Harness, browser: &Browser, account: &str) -> String {
    let page = browser.post("/api/billing/checkout", &PACK).await;
    let fields = [("email", ""), ("name", "Ada Lovelace"), ("pay_with", "us_bank_account"), ("account", account)];
    let paid = Browser::new(&app.sandbox.url()).post(&page.location(), &fields).await;
    assert_eq!(paid.status, 303, "{}", paid.body);
    paid.location()
}
