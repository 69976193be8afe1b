//! One trial per person, however they come back.

use engine::store::inbox::EventState;

use crate::support::{Browser, Harness, PAYS, on_both_databases, pay};

/// Another card that pays.
const OTHER_CARD: &str = "5555555555554444";

on_both_databases! {
    async fn a_card_that_had_a_trial_gets_no_second_one(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up("ada@example.com").await;
        app.subscribe(&ada, "PRO", PAYS).await;
        app.settled().await;
        let eve = app.signed_up("eve@example.org").await;
        let checkout = app.open_checkout(&eve, "ENTERPRISE").await;
        let offered = Browser::new("").get(&checkout).await.body;
        let back = pay(&checkout, PAYS).await.location();
        let success = eve.get(&back).await;
        assert!(success.status == 200 && success.heading().contains("Enterprise"), "{}", success.body);
        assert!(eve.opens("/dashboard/support").await);
        assert_eq!(statuses(&app).await, ["active", "trialing"]);
        assert!(offered.contains(engine::sync::TRIAL_TERMS), "Checkout says so before she pays: {offered}");
    }

    async fn a_card_that_had_a_trial_gets_no_second_one_by_webhook_either(database) {
        let app = Harness::start(database).await;
        for email in ["ada@example.com", "eve@example.org"] {
            let browser = app.signed_up(email).await;
            app.subscribe(&browser, "PRO", PAYS).await;
            app.settled().await;
        }
        assert_eq!(statuses(&app).await, ["active", "trialing"]);
    }

    /// Link is a wallet of cards, or a type of its own. Neither shows the number of the card behind it.
    async fn a_link_account_that_had_a_trial_gets_no_second_one(database) {
        let app = Harness::start(database).await;
        for (link, own_type, emails) in [
            ("ada.link@example.net", "false", ["ada@example.com", "eve@example.org"]),
            ("Ada.Links@gmail.com", "true", ["bob@example.com", "dan@example.org"]),
        ] {
            app.sandbox.control("POST settings", &[("link", own_type)]).unwrap();
            for email in emails {
                pay_by_link(&app, email, link).await;
            }
        }
        pay_by_link(&app, "fay@example.com", "fay.link@example.net").await;
        assert_eq!(statuses(&app).await, ["trialing", "active", "trialing", "active", "trialing"]);
        let methods = app.stripe_lists("/v1/payment_methods").await;
        let types: Vec<_> = methods.iter().map(|method| method["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["link", "link", "link", "card", "card"]);
    }

    async fn another_person_with_another_card_has_a_trial(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up("ada@example.com").await;
        app.subscribe(&ada, "PRO", PAYS).await;
        let eve = app.signed_up("eve@example.org").await;
        app.subscribe(&eve, "PRO", OTHER_CARD).await;
        app.settled().await;
        assert_eq!(statuses(&app).await, ["trialing", "trialing"]);
    }

    async fn two_checkouts_of_one_person_end_in_one_trial(database) {
        let app = Harness::start(database).await;
        let first = app.signed_up("ada.lovelace@gmail.com").await;
        let second = app.signed_up("adalovelace+2@gmail.com").await;
        let checkouts = [app.open_checkout(&first, "PRO").await, app.open_checkout(&second, "PRO").await];
        for (checkout, card) in checkouts.iter().zip([PAYS, OTHER_CARD]) {
            assert_eq!(pay(checkout, card).await.status, 303);
        }
        app.settled().await;
        let mut statuses = statuses(&app).await;
        statuses.sort();
        assert_eq!(statuses, ["active", "trialing"]);
    }

    async fn a_trial_that_an_operator_gives_is_kept(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up("ada@example.com").await;
        app.subscribe(&ada, "PRO", PAYS).await;
        app.settled().await;
        let id = app.stripe_newest("/v1/subscriptions").await;
        let customer = app.stripe_newest("/v1/customers").await;
        app.stripe_deletes(&format!("/v1/subscriptions/{id}")).await;
        give_trial(&app, &customer).await;
        app.settled().await;
        assert_eq!(statuses(&app).await, ["trialing", "canceled"]);
        assert!(ada.opens("/dashboard/analytics").await);
    }

    /// Which of the two events arrives first must not decide about money.
    async fn a_trial_that_an_operator_gives_does_not_end_one_that_was_started_before(database) {
        let app = Harness::start_with(database, |sandbox| sandbox.hold_deliveries(true)).await;
        let ada = app.signed_up("ada@example.com").await;
        app.subscribe(&ada, "PRO", PAYS).await;
        let customer = app.stripe_newest("/v1/customers").await;
        let given = give_trial(&app, &customer).await;
        let events = app.stripe_lists("/v1/events?type=customer.subscription.created").await;
        let of_given = events.iter().find(|event| event["data"]["object"]["id"] == given.as_str()).unwrap()["id"].clone();
        let first = app.sandbox.pending_deliveries().into_iter().find(|delivery| of_given == delivery.event.as_str()).unwrap();
        assert!(app.sandbox.deliver(&first.id));
        app.until(async || app.event_state(&first.event).await == Some(EventState::Done)).await;
        app.sandbox.hold_deliveries(false);
        app.settled().await;
        assert_eq!(statuses(&app).await, ["trialing", "trialing"]);
    }

    async fn a_customer_who_was_given_a_trial_gets_no_other(database) {
        let app = Harness::start(database).await;
        let ada = app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await.to_string();
        let named = [("email", "ada@example.com"), ("metadata[account_id]", account.as_str())];
        let customer = app.stripe_makes("/v1/customers", &named).await;
        let given = give_trial(&app, &customer).await;
        app.settled().await;
        app.stripe_deletes(&format!("/v1/subscriptions/{given}")).await;
        app.settled().await;
        app.subscribe(&ada, "PRO", PAYS).await;
        app.settled().await;
        assert_eq!(statuses(&app).await, ["active", "canceled"]);
    }
}

/// Gives a customer a trial in Stripe, as an operator does in the Dashboard. Returns the subscription.
async fn give_trial(app: &Harness, customer: &str) -> String {
    let price = app.tollgate.gateway().price_by_lookup_key("tollgate_pro_month").await.unwrap();
    let fields = [("customer", customer), ("items[0][price]", price.as_str()), ("trial_period_days", "30")];
    app.stripe_makes("/v1/subscriptions", &fields).await
}

/// Signs up and subscribes with a Link account.
async fn pay_by_link(app: &Harness, email: &str, link: &str) {
    let browser = app.signed_up(email).await;
    let checkout = app.open_checkout(&browser, "PRO").await;
    let page = Browser::new("").post(&checkout, &[("email", ""), ("pay_with", "link"), ("link_email", link)]).await;
    assert_eq!(page.status, 303, "{}", page.body);
    app.settled().await;
}

async fn statuses(app: &Harness) -> Vec<String> {
    let all = app.stripe_lists("/v1/subscriptions?status=all").await;
    all.iter().map(|each| each["status"].as_str().unwrap().to_owned()).collect()
}
