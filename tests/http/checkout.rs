//! From the click to the plan, over HTTP, with Stripe's page in between.

use engine::store::checkouts::{self, Attempt, AttemptStatus, CheckoutItem};
use engine::store::{customers, subscriptions};
use engine::stripe::checkout_sessions::{NewCheckout, Sale, Trial};
use engine::sync::TRIAL_TERMS;

use crate::support::{Browser, DECLINES, Harness, PAYS, THREE_D_SECURE, datetime, on_both_databases, pay};

const MONTHLY_PRO: [(&str, &str); 2] = [("plan", "PRO"), ("interval", "month")];

on_both_databases! {
    async fn paying_opens_the_gate_before_any_webhook_arrives(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        assert!(!browser.opens("/dashboard/analytics").await);
        let back = app.subscribe(&browser, "PRO", PAYS).await;
        assert_eq!(back.status, 303);
        let success = browser.get(&back.location()).await;
        assert_eq!(success.status, 200);
        assert!(success.heading().contains("Pro") && success.body.contains("outcome-good"), "{}", success.body);
        let trial_ends = app.stripe_lists("/v1/subscriptions").await[0]["trial_end"].as_i64().unwrap();
        assert!(success.body.contains(&datetime(billing::Timestamp(trial_ends))), "{}", success.body);
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn paying_opens_the_gate_for_customers_who_do_not_return(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_card_with_three_d_secure_pays_on_its_second_page(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let back = app.subscribe(&browser, "PRO", THREE_D_SECURE).await;
        assert_eq!(browser.get(&back.location()).await.status, 200);
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_declined_card_gives_no_access_and_another_card_can_be_tried(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        let declined = pay(&checkout, DECLINES).await;
        assert_eq!(declined.status, 402);
        app.settled().await;
        assert!(!browser.opens("/dashboard/analytics").await);
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn an_abandoned_checkout_is_offered_again(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let first = app.open_checkout(&browser, "PRO").await;
        assert_eq!(browser.get("/pricing?notice=canceled").await.status, 200);
        assert_eq!(app.open_checkout(&browser, "PRO").await, first, "an open session is used until it expires");
        assert!(!browser.opens("/dashboard/analytics").await);
    }

    async fn a_double_click_creates_one_customer_and_one_session(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let second_node = browser.at(&app.second_node().await);
        let clicks: Vec<_> = (0..8)
            .map(|index| {
                let browser = if index % 2 == 0 { browser.clone() } else { second_node.clone() };
                tokio::spawn(async move { browser.post("/api/billing/subscribe", &MONTHLY_PRO).await.location() })
            })
            .collect();
        let mut addresses = Vec::new();
        for click in clicks {
            addresses.push(click.await.unwrap());
        }
        addresses.dedup();
        assert_eq!(addresses.len(), 1, "{addresses:?}");
        assert_eq!(stripe_list(&app, "/v1/customers").await, 1);
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions").await, 1);
    }

    async fn choosing_another_plan_expires_the_earlier_session(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let pro = app.open_checkout(&browser, "PRO").await;
        let enterprise = app.open_checkout(&browser, "ENTERPRISE").await;
        assert_ne!(pro, enterprise);
        assert_eq!(pay(&pro, PAYS).await.status, 410, "two open sessions could both be paid");
        assert_eq!(pay(&enterprise, PAYS).await.status, 303);
        app.settled().await;
        assert!(browser.opens("/dashboard/support").await);
    }

    async fn a_session_that_cannot_be_expired_stays_the_only_one(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let pro = app.open_checkout(&browser, "PRO").await;
        // Stripe lists the customer's subscriptions, but expires no session.
        let enterprise = [("plan", "ENTERPRISE"), ("interval", "month")];
        app.sandbox.limit_faults_to("/v1/checkout/sessions");
        app.sandbox.fail_next(100, 503);
        assert_eq!(browser.post("/api/billing/subscribe", &enterprise).await.status, 503);
        app.sandbox.fail_next(0, 503);
        app.sandbox.limit_faults_to("");
        assert!(app.sandbox.requests().iter().any(|call| call.path.ends_with("/expire")));
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions?status=open").await, 1);
        assert_eq!(app.open_checkout(&browser, "PRO").await, pro);
    }

    async fn a_session_whose_response_was_lost_is_expired_before_another_plan(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        leave_unanswered_session(&app).await;
        let enterprise = app.open_checkout(&browser, "ENTERPRISE").await;
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions").await, 2);
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions?status=open").await, 1);
        assert_eq!(pay(&enterprise, PAYS).await.status, 303);
    }

    async fn a_session_whose_response_was_lost_is_found_again_for_the_same_plan(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        leave_unanswered_session(&app).await;
        app.open_checkout(&browser, "PRO").await;
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions").await, 1);
    }

    async fn two_plans_chosen_in_two_tabs_leave_one_open_session(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let clicks: Vec<_> = ["PRO", "ENTERPRISE", "PRO", "ENTERPRISE"]
            .into_iter()
            .map(|plan| {
                let browser = browser.clone();
                tokio::spawn(async move {
                    browser.post("/api/billing/subscribe", &[("plan", plan), ("interval", "month")]).await.status
                })
            })
            .collect();
        for click in clicks {
            let status = click.await.unwrap();
            assert!([303, 409].contains(&status), "{status}");
        }
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions?status=open").await, 1);
    }

    async fn a_second_subscription_is_not_sold(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let sessions = stripe_list(&app, "/v1/checkout/sessions").await;
        let page = browser.post("/api/billing/subscribe", &[("plan", "ENTERPRISE"), ("interval", "month")]).await;
        assert!(page.location().starts_with("/billing"), "{}", page.location());
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions").await, sessions);
    }

    async fn a_subscription_that_only_stripe_knows_counts_too(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        let page = browser.post("/api/billing/subscribe", &[("plan", "ENTERPRISE"), ("interval", "month")]).await;
        assert!(page.location().starts_with("/billing"), "{}", page.location());
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions").await, 1);
    }

    async fn after_a_cancellation_subscribing_again_gives_no_second_trial(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        assert_eq!(statuses(&app).await, ["trialing"]);
        let id = app.stripe_newest("/v1/subscriptions").await;
        app.stripe_deletes(&format!("/v1/subscriptions/{id}")).await;
        app.settled().await;
        assert!(!browser.opens("/dashboard/analytics").await);
        let again = app.subscribe(&browser, "PRO", PAYS).await;
        assert_eq!(again.status, 303);
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
        assert_eq!(statuses(&app).await, ["active", "canceled"]);
    }

    async fn the_entitlement_at_any_time_can_be_read_with_its_cause(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let before = app.tollgate.now();
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let db = app.tollgate.db();
        let account = app.account("ada@example.com").await;
        let known = subscriptions::as_of(db, &account, app.tollgate.now()).await.unwrap();
        let stored = subscriptions::of_account(db, &account).await.unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(known.iter().map(|revision| revision.subscription.clone()).collect::<Vec<_>>(), stored);
        assert!(known[0].cause.starts_with("evt_"), "{}", known[0].cause);
        let earlier = subscriptions::as_of(db, &account, before.plus_seconds(-1)).await.unwrap();
        assert!(earlier.is_empty());
    }

    async fn another_spelling_of_the_same_address_gets_no_second_trial(database) {
        let app = Harness::start(database).await;
        let first = app.signed_up("ada.lovelace@gmail.com").await;
        app.subscribe(&first, "PRO", PAYS).await;
        app.settled().await;
        let second = app.signed_up("AdaLovelace+again@gmail.com").await;
        let back = app.subscribe(&second, "ENTERPRISE", PAYS).await;
        second.get(&back.location()).await;
        assert_eq!(statuses(&app).await, ["active", "trialing"]);
    }

    async fn a_browser_can_only_choose_plan_and_interval(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let before = app.sandbox.requests().len();
        let rejected: [&[(&str, &str)]; 9] = [
            &[("plan", "FREE"), ("interval", "month")],
            &[("plan", "GOLD"), ("interval", "month")],
            &[("plan", "PRO"), ("interval", "week")],
            &[("plan", "PRO")],
            &[],
            &[("plan", "PRO"), ("interval", "month"), ("price", "price_1")],
            &[("plan", "PRO"), ("interval", "month"), ("trial_period_days", "900")],
            &[("plan", "PRO"), ("interval", "month"), ("quantity", "0")],
            &[("plan", "PRO"), ("plan", "ENTERPRISE"), ("interval", "month")],
        ];
        for fields in rejected {
            let page = browser.post("/api/billing/subscribe", fields).await;
            assert!((400..500).contains(&page.status), "{fields:?}: {}", page.status);
        }
        assert_eq!(app.sandbox.requests().len(), before, "Stripe must not be called");
    }

    async fn anonymous_visitors_cannot_subscribe(database) {
        let app = Harness::start(database).await;
        let page = app.browser().post("/api/billing/subscribe", &MONTHLY_PRO).await;
        assert!(page.status == 303 && page.location().starts_with("/login"), "{}", page.status);
    }

    async fn the_session_id_of_another_account_shows_nothing_and_logs_no_one_in(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up("ada@example.com").await;
        let address = app.subscribe(&ada, "PRO", PAYS).await.location();
        let eve = app.signed_up("eve@example.com").await;
        let page = eve.get(&address).await;
        assert_eq!(page.status, 404);
        assert!(!page.body.contains("ada@example.com"));
        assert!(!eve.opens("/dashboard/analytics").await);
        let anonymous = app.browser();
        assert_eq!(anonymous.get(&address).await.status, 303);
        assert!(!anonymous.opens("/dashboard").await);
        for id in ["cs_test_nothing", "", "sub_1", "../../etc", "cs_test_%00"] {
            assert_eq!(eve.get(&format!("/billing/success?session_id={id}")).await.status, 404, "{id}");
        }
        assert_eq!(eve.get("/billing/success").await.status, 404);
    }

    async fn an_unpaid_session_is_not_a_success(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        let id = checkout.rsplit('/').next().unwrap();
        let page = browser.get(&format!("/billing/success?session_id={id}")).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(&checkout), "the page links back to Checkout");
        assert!(!browser.opens("/dashboard/analytics").await);
    }

    async fn a_lost_response_from_stripe_duplicates_nothing(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.sandbox.drop_next_responses(1);
        app.open_checkout(&browser, "PRO").await;
        assert_eq!(stripe_list(&app, "/v1/customers").await, 1);
        assert_eq!(stripe_list(&app, "/v1/checkout/sessions").await, 1);
    }

    async fn a_stripe_outage_gives_an_error_page_and_the_next_click_works(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.sandbox.fail_next(4, 503);
        let page = browser.post("/api/billing/subscribe", &MONTHLY_PRO).await;
        assert_eq!(page.status, 503);
        assert!(!page.heading().is_empty());
        assert_eq!(app.subscribe(&browser, "PRO", PAYS).await.status, 303);
        assert_eq!(stripe_list(&app, "/v1/customers").await, 1);
    }

    async fn the_success_page_waits_when_stripe_is_unreachable(database) {
        let app = Harness::start(database).await;
        app.sandbox.hold_deliveries(true);
        let browser = app.signed_up("ada@example.com").await;
        let back = app.subscribe(&browser, "PRO", PAYS).await.location();
        app.sandbox.fail_next(4, 500);
        let page = browser.get(&back).await;
        assert_eq!(page.status, 200);
        assert!(!browser.opens("/dashboard/analytics").await);
        browser.get(&back).await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_plan_whose_price_is_replaced_during_its_checkout_opens(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let checkout = app.open_checkout(&browser, "PRO").await;
        let sold = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
        let successor = [
            ("currency", "usd"), ("unit_amount", "3900"), ("recurring[interval]", "month"), ("product_data[name]", "Pro"),
            ("lookup_key", "tollgate_pro_month"), ("transfer_lookup_key", "true"),
        ];
        app.stripe_makes("/v1/prices", &successor).await;
        app.stripe_makes(&format!("/v1/prices/{sold}"), &[("active", "false")]).await;
        assert_eq!(pay(&checkout, PAYS).await.status, 303);
        app.settled().await;
        assert!(browser.opens("/dashboard/analytics").await);
    }

    async fn a_reference_that_any_visitor_can_set_links_no_customer(database) {
        let app = Harness::start(database).await;
        app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await;
        let price = app.tollgate.gateway().price_by_lookup_key("tollgate_ai_500").await.unwrap();
        let fields = [
            ("mode", "payment"), ("client_reference_id", account.as_str()), ("customer_creation", "always"),
            ("line_items[0][price]", price.as_str()), ("line_items[0][quantity]", "1"), ("success_url", "http://link.test/"),
        ];
        app.stripe_makes("/v1/checkout/sessions", &fields).await;
        let page = app.stripe_lists("/v1/checkout/sessions").await[0]["url"].as_str().unwrap().to_owned();
        let card = [("email", "eve@example.com"), ("name", "Eve"), ("number", PAYS), ("expiry", "12/40"), ("cvc", "123")];
        assert_eq!(Browser::new("").post(&page, &card).await.status, 303);
        app.settled().await;
        assert_eq!(customers::of_account(app.tollgate.db(), &account).await.unwrap(), None);
        assert_eq!(app.credits("ada@example.com").await, 0);
    }

    async fn a_customer_charged_in_another_currency_is_asked_to_contact_us(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.open_checkout(&browser, "PRO").await;
        let customer = app.stripe_newest("/v1/customers").await;
        app.stripe_makes("/v1/invoiceitems", &[("customer", &customer), ("amount", "500"), ("currency", "eur")]).await;
        let page = browser.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "year")]).await;
        assert_eq!(page.status, 409);
        assert!(page.body.contains("different currency") && page.body.contains("Contact us"), "{}", page.body);
    }
}

/// Leaves the state of a process that was killed while Stripe created a session for Pro.
async fn leave_unanswered_session(app: &Harness) {
    let (db, gateway) = (app.tollgate.db(), app.tollgate.gateway());
    let account = app.account("ada@example.com").await;
    let customer = gateway
        .create_customer(&account, "ada@example.com", None, &format!("customer:{account}"))
        .await
        .unwrap()
        .object
        .id;
    let attempt = Attempt {
        id: "attempt".to_owned(),
        account_id: account.clone(),
        customer_id: customer.clone(),
        item: CheckoutItem::Plan("PRO/month".to_owned()),
        price_id: gateway.price_by_lookup_key("tollgate_pro_month").await.unwrap(),
        metered: Vec::new(),
        trial_days: 14,
        status: AttemptStatus::Creating,
        session: None,
    };
    let mut tx = db.begin().await.unwrap();
    assert!(customers::link(&mut tx, &customer, &account, false, app.tollgate.now()).await.unwrap());
    checkouts::insert(&mut tx, &attempt, app.tollgate.now()).await.unwrap();
    tx.commit().await.unwrap();
    let checkout = NewCheckout {
        attempt: &attempt.id,
        customer: &customer,
        account: &account,
        price: &attempt.price_id,
        metered: &attempt.metered,
        sale: Sale::Plan { trial: Some(Trial { days: 14, terms: TRIAL_TERMS }) },
        success_url: &format!("{}/billing/success?session_id={{CHECKOUT_SESSION_ID}}", app.url),
        cancel_url: &format!("{}/pricing?notice=canceled", app.url),
    };
    gateway.create_checkout(&checkout, "checkout:attempt").await.unwrap();
}

async fn stripe_list(app: &Harness, path: &str) -> usize {
    app.stripe_lists(path).await.len()
}

/// The statuses of all subscriptions in Stripe, newest first.
async fn statuses(app: &Harness) -> Vec<String> {
    let all = app.stripe_lists("/v1/subscriptions?status=all").await;
    all.iter().map(|each| each["status"].as_str().unwrap().to_owned()).collect()
}
