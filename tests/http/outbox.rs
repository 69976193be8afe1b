//! Overage is reported to Stripe once, whatever happens on the way.

use std::time::Duration;

use billing::{AccountId, CustomerId, Item, Period, PriceId, Subscription, SubscriptionId, Timestamp};
use engine::clock::Clock;
use engine::metering::{self, Recorded, Reserved, UsageEvent, outbox};
use engine::reconcile::{Drift, DriftKind, Mode, reconcile};
use engine::store::meter_events::{self, MeterEventState};
use engine::store::{customers, subscriptions};
use reqwest::Method;
use server::Tollgate;
use server::product::API_CALLS;

use crate::support::{Browser, CENTS_PER_CALL, DatabaseKind, FAILS_LATER, Harness, PAYS, Page, on_both_databases};

/// A node with its own clock and no background tasks, and an account whose overage is billed.
struct Billed {
    app: Harness,
    tollgate: Tollgate,
    clock: Clock,
    now: Timestamp,
    account: AccountId,
    customer: CustomerId,
    meter: String,
}

async fn billed(database: DatabaseKind) -> Billed {
    let app = Harness::start_metered(database, "").await;
    app.signed_up("ada@example.com").await;
    let account = app.account("ada@example.com").await;
    let customer = CustomerId::new(app.stripe_makes("/v1/customers", &[("email", "ada@example.com")]).await);
    let meter = app
        .stripe_makes(
            "/v1/billing/meters",
            &[
                ("display_name", "API calls"),
                ("event_name", "api_calls"),
                ("default_aggregation[formula]", "sum"),
                ("customer_mapping[type]", "by_id"),
                ("customer_mapping[event_payload_key]", "stripe_customer_id"),
                ("value_settings[event_payload_key]", "value"),
            ],
        )
        .await;
    // Only this node reports overage, when a test asks for it.
    app.stop().await;
    let now = app.tollgate.now();
    let clock = Clock::manual(now);
    let tollgate = app.idle_node(|_| {}, &clock);
    let billed = Billed { app, tollgate, clock, now, account, customer, meter };
    billed.subscribe(&["tollgate_pro_month", "api_calls_month"]).await;
    billed
}

impl Billed {
    async fn subscribe(&self, lookup_keys: &[&str]) {
        let start = self.now.plus_days(-20);
        let items = lookup_keys.iter().map(|key| Item {
            id: format!("si_{key}"),
            price: PriceId::new(format!("price_{key}")),
            lookup_key: Some((*key).to_owned()),
            quantity: 1,
            period: Period { start, end: start.plus_days(31) },
        });
        let subscription =
            Subscription::active(SubscriptionId::new("sub_billed"), self.customer.clone(), items.collect());
        let (db, cache) = (self.tollgate.db(), self.tollgate.cache());
        let seen = subscriptions::by_id(db, &subscription.id).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        customers::link(&mut tx, &self.customer, &self.account, false, self.now).await.unwrap();
        let written =
            subscriptions::write(&mut tx, &self.account, &subscription, seen.as_ref(), "a test", self.now).await;
        assert!(written.unwrap());
        cache.commit(tx, vec![self.account.clone()]).await.unwrap();
    }

    /// Records usage of `quantity` units, `hours_ago`.
    async fn uses(&self, hours_ago: i64, quantity: u64, key: &str) -> Recorded {
        self.clock.set(self.now.plus_seconds(-hours_ago * 3600));
        let event = UsageEvent::new(API_CALLS, quantity, key);
        let recorded = metering::record(&self.tollgate, &self.account, event).await.unwrap();
        self.clock.set(self.now);
        recorded
    }

    async fn sends(&self) -> u64 {
        outbox::send_due(&self.tollgate).await.unwrap()
    }

    /// The units that Stripe has counted over the last days.
    async fn counted(&self) -> i64 {
        let minute = self.now.0 - self.now.0 % 60;
        let (from, to) = (Timestamp(minute).plus_days(-5), Timestamp(minute + 60));
        self.tollgate.gateway().counted_units(&self.meter, &self.customer, from, to).await.unwrap()
    }

    /// Lets more time pass than Stripe remembers identifiers.
    async fn passes_a_day(&self) {
        self.clock.set(self.now.plus_seconds(25 * 3600));
        self.app.sandbox.advance(Duration::from_secs(25 * 3600));
    }

    /// Changes rows as no version of the program does.
    async fn changes(&self, sql: &str) {
        self.app.database.run(sql).await;
    }

    fn calls(&self) -> usize {
        self.app.stripe_calls("POST", "/v1/billing/meter_events")
    }

    async fn parked(&self) -> i64 {
        meter_events::count(self.tollgate.db(), MeterEventState::Parked).await.unwrap()
    }

    /// The differences between the units sent and the units that Stripe has counted.
    async fn differences(&self) -> Vec<Drift> {
        let findings = reconcile(&self.tollgate, Mode::DryRun, 1).await.unwrap();
        let drifts = findings.into_iter().map(|finding| finding.drift);
        drifts.filter(|drift| drift.kind() == DriftKind::BilledUsage).collect()
    }
}

on_both_databases! {
    async fn usage_beyond_the_limit_is_reported_once_and_usage_within_it_is_not(database) {
        let billed = billed(database).await;
        assert!(matches!(billed.uses(3, 10_000, "included").await, Recorded::Counted(_)));
        assert_eq!(billed.sends().await, 0, "nothing is beyond the limit");
        let Recorded::Counted(reading) = billed.uses(3, 5, "beyond").await else { panic!("denied") };
        assert_eq!((reading.used, reading.overage), (10_000, 5));
        billed.uses(2, 2, "later").await;
        billed.uses(2, 2, "later").await;
        assert_eq!(billed.sends().await, 2, "one event for each hour");
        assert_eq!(billed.counted().await, 7);
        assert_eq!(billed.sends().await, 0);
        assert_eq!(billed.calls(), 2);
    }

    async fn overage_is_on_the_invoice_of_a_plan_that_was_bought_in_checkout(database) {
        let app = Harness::start_metered(database, CENTS_PER_CALL).await;
        // Usage during a trial is not billed.
        app.paying("ada@example.com").await;

        let account = app.account("ada@example.com").await;
        let event = UsageEvent::new(API_CALLS, 10_005, "all of it");
        let recorded = metering::record(&app.tollgate, &account, event).await.unwrap();
        let Recorded::Counted(reading) = recorded else { panic!("{recorded:?}") };
        assert_eq!((reading.used, reading.overage), (10_000, 5));
        app.sandbox.advance(Duration::from_secs(2 * 3600));
        let sent = async || meter_events::count(app.tollgate.db(), MeterEventState::Sent).await.unwrap();
        app.until(async || {
            // The node's own task may have been faster.
            outbox::send_due(&app.tollgate).await.unwrap();
            sent().await == 1
        })
        .await;

        app.sandbox.advance(Duration::from_secs(32 * 86_400));
        app.settled().await;
        let invoices = app.stripe_lists("/v1/invoices?limit=10").await;
        let renewal = invoices.iter().map(|invoice| invoice["total"].as_i64().unwrap()).max();
        assert_eq!(renewal, Some(2_900 + 5 * 7), "{invoices:#?}");
    }

    async fn overage_in_the_clock_hour_in_which_a_period_begins_is_on_its_invoice(database) {
        let app = Harness::start_metered(database, CENTS_PER_CALL).await;
        let to_twenty_past = 3600 - app.tollgate.now().0.rem_euclid(3600) + 20 * 60;
        app.sandbox.advance(Duration::from_secs(to_twenty_past.unsigned_abs()));
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        app.sandbox.advance(Duration::from_secs(14 * 86_400 + 10 * 60));
        app.settled().await;

        let account = app.account("ada@example.com").await;
        let event = UsageEvent::new(API_CALLS, 10_005, "all of it");
        assert!(matches!(metering::record(&app.tollgate, &account, event).await.unwrap(), Recorded::Counted(_)));
        app.sandbox.advance(Duration::from_secs(2 * 3600));
        app.until(async || {
            outbox::send_due(&app.tollgate).await.unwrap();
            meter_events::count(app.tollgate.db(), MeterEventState::Sent).await.unwrap() == 1
        })
        .await;
        app.sandbox.advance(Duration::from_secs(32 * 86_400));
        app.settled().await;
        let invoices = app.stripe_lists("/v1/invoices?limit=10").await;
        let renewal = invoices.iter().map(|invoice| invoice["total"].as_i64().unwrap()).max();
        assert_eq!(renewal, Some(2_900 + 5 * 7), "{invoices:#?}");
    }

    async fn usage_beyond_the_limit_is_denied_in_a_trial_and_while_a_payment_is_missing(database) {
        let app = Harness::start_metered(database, CENTS_PER_CALL).await;
        let browser = app.signed_up("ada@example.com").await;
        let sold = browser.get("/pricing").await.body;
        assert!(sold.contains("$0.07") && sold.contains("rejected"), "{sold}");
        app.subscribe(&browser, "PRO", FAILS_LATER).await;
        app.settled().await;
        let account = app.account("ada@example.com").await;
        let uses = async |quantity, key| {
            metering::record(&app.tollgate, &account, UsageEvent::new(API_CALLS, quantity, key)).await.unwrap()
        };
        assert!(matches!(uses(10_000, "the trial's").await, Recorded::Counted(_)));
        assert!(matches!(uses(1, "beyond the trial's").await, Recorded::Denied(_)));
        let billing = browser.get("/billing").await.body;
        assert!(billing.contains("rejected") && !billing.contains("billed"), "{billing}");

        app.sandbox.advance(Duration::from_secs(15 * 86_400));
        app.settled().await;
        assert_eq!(app.stripe_lists("/v1/subscriptions").await[0]["status"], "past_due");
        assert!(matches!(uses(10_000, "the plan's").await, Recorded::Counted(_)), "in the grace period");
        assert!(matches!(uses(1, "beyond the plan's").await, Recorded::Denied(_)));
    }

    async fn unbilled_overage_has_a_ceiling(database) {
        let app = Harness::start_metered(database, &format!("{CENTS_PER_CALL}\nmax_overage = 3")).await;
        let browser = app.paying("ada@example.com").await;
        let account = app.account("ada@example.com").await;
        let event = |quantity, key| UsageEvent::new(API_CALLS, quantity, key);
        let Recorded::Counted(_) = metering::record(&app.tollgate, &account, event(10_000, "all")).await.unwrap() else {
            panic!("denied")
        };
        let held = metering::reserve(&app.tollgate, &account, event(2, "held"), 60).await.unwrap();
        let Reserved::Held(held, _) = held else { panic!("{held:?}") };
        let denied = metering::record(&app.tollgate, &account, event(2, "two")).await.unwrap();
        assert!(matches!(denied, Recorded::Denied(_)), "two are held already: {denied:?}");
        assert!(!metering::check(&app.tollgate, &account, API_CALLS, 2).await.unwrap());
        metering::commit(&app.tollgate, &held, None, None).await.unwrap();
        let billing = browser.get("/billing").await;
        assert!(billing.body.contains("2 of at most 3"), "{}", billing.body);
        let banner = billing.banner();
        assert!(banner.html.contains("Up to 1 ") && banner.html.contains("$0.07"), "{banner:?}");

        // The last one, over the API, and then no other.
        let call = async || browser.get("/api/v1/entitlements").await;
        assert_eq!(call().await.status, 200);
        let denied = call().await;
        assert_eq!(denied.status, 402, "{}", denied.body);
        let detail = denied.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("3 of at most 3"), "{detail}");
        let banner = browser.get("/billing").await.banner();
        assert!(banner.html.contains("rejected") && !banner.html.contains("$0.07"), "{banner:?}");

        // The next window begins with the invoice.
        app.sandbox.advance(Duration::from_secs(32 * 86_400));
        app.settled().await;
        assert_eq!(call().await.status, 200);
    }

    async fn an_hour_is_not_reported_before_it_is_over(database) {
        let billed = billed(database).await;
        billed.uses(0, 10_003, "now").await;
        assert_eq!(billed.sends().await, 0);
        billed.clock.set(billed.now.plus_seconds(3600));
        billed.app.sandbox.advance(Duration::from_secs(3600));
        assert_eq!(billed.sends().await, 1);
    }

    async fn without_a_metered_price_usage_beyond_the_limit_is_denied(database) {
        let billed = billed(database).await;
        billed.subscribe(&["tollgate_pro_month"]).await;
        assert!(matches!(billed.uses(3, 10_000, "included").await, Recorded::Counted(_)));
        assert!(matches!(billed.uses(3, 1, "beyond").await, Recorded::Denied(_)), "it would not be billed");
    }

    async fn a_lost_response_does_not_bill_twice(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.app.sandbox.drop_next_responses(4);
        assert_eq!(billed.sends().await, 0, "it is not known whether Stripe has it");
        billed.clock.set(billed.now.plus_seconds(120));
        assert_eq!(billed.sends().await, 1);
        assert_eq!(billed.counted().await, 5);
    }

    async fn overage_waits_while_stripe_is_down_and_survives_a_restart(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.app.sandbox.fail_next(4, 500);
        assert_eq!(billed.sends().await, 0);
        assert_eq!(billed.sends().await, 0, "not before it is due again");
        let restarted = billed.app.idle_node(|_| {}, &Clock::manual(billed.now.plus_seconds(120)));
        assert_eq!(outbox::send_due(&restarted).await.unwrap(), 1);
        assert_eq!(billed.counted().await, 5);
    }

    async fn an_outage_is_noticed_with_one_event(database) {
        let billed = billed(database).await;
        billed.uses(5, 10_005, "first").await;
        billed.uses(3, 7, "second").await;
        let down = [("fail_next", "1000000"), ("status", "503"), ("should_retry", "false")];
        billed.app.sandbox.control("POST faults", &down).unwrap();
        assert_eq!((billed.sends().await, billed.calls()), (0, 1));
        billed.app.sandbox.control("POST faults/clear", &[]).unwrap();
        billed.clock.set(billed.now.plus_seconds(120));
        assert_eq!((billed.sends().await, billed.counted().await), (2, 12));
    }

    async fn three_nodes_report_each_event_once_and_one_at_a_time(database) {
        let billed = billed(database).await;
        billed.uses(9, 10_000, "included").await;
        for hour in 2..9 {
            billed.uses(hour, 3, &format!("hour {hour}")).await;
        }
        let node = || billed.app.idle_node(|_| {}, &billed.clock);
        let nodes = [billed.tollgate.clone(), node(), node()];
        let sending: Vec<_> = nodes.map(|node| tokio::spawn(async move { outbox::send_due(&node).await.unwrap() })).into_iter().collect();
        let mut sent = 0;
        for node in sending {
            sent += node.await.unwrap();
        }
        assert_eq!((sent, billed.calls()), (7, 7), "Stripe rejects two concurrent calls for a customer and meter");
        assert_eq!(billed.counted().await, 21);
    }

    async fn usage_that_is_too_old_for_stripe_is_parked(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.clock.set(billed.now.plus_days(35));
        assert_eq!(billed.sends().await, 0);
        assert_eq!(billed.parked().await, 1);
        assert_eq!(billed.calls(), 0);
    }

    async fn usage_that_can_no_longer_be_billed_is_parked_when_it_is_too_old(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.changes("UPDATE customer SET is_deleted = TRUE").await;
        assert_eq!((billed.sends().await, billed.parked().await), (0, 0), "the account may get another customer");
        billed.clock.set(billed.now.plus_days(35));
        assert_eq!((billed.sends().await, billed.parked().await), (0, 1));
        let reasons = billed.app.database.texts(billed.tollgate.db(), "SELECT last_error FROM meter_event").await;
        assert_eq!(reasons, ["the account has no Stripe customer"]);
    }

    async fn usage_that_cannot_be_compared_is_parked(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        let used_at = billed.now.0 - 3 * 3600;
        let summary = format!("mtrusg_test_{}_{}", billed.meter, used_at - used_at.rem_euclid(3600));
        billed.app.sandbox.strip_object(Some(&summary));
        billed.passes_a_day().await;
        assert_eq!((billed.sends().await, billed.calls(), billed.parked().await), (0, 0, 1));
        let reasons = billed.app.database.texts(billed.tollgate.db(), "SELECT last_error FROM meter_event").await;
        assert!(reasons[0].contains("aggregated_value"), "{reasons:?}");
    }

    /// Stripe has forgotten the identifier by then, so sending it again would bill twice.
    async fn usage_that_was_tried_a_day_ago_is_sent_if_stripe_has_not_counted_it(database) {
        for (is_counted, repeated) in [(true, 0), (false, 1)] {
            let billed = billed(database).await;
            billed.uses(3, 10_005, "beyond").await;
            if is_counted {
                billed.app.sandbox.drop_next_responses(4);
            } else {
                billed.app.sandbox.fail_next(4, 500);
            }
            assert_eq!(billed.sends().await, 0);
            let calls = billed.calls();
            billed.passes_a_day().await;
            assert_eq!(billed.sends().await, 1, "Stripe has it");
            let outcome = (billed.calls() - calls, billed.counted().await, billed.parked().await);
            assert_eq!(outcome, (repeated, 5, 0), "{is_counted}");
        }
    }

    /// What was sent after the backup was taken is sent again under an identifier that Stripe has forgotten.
    async fn a_restored_backup_does_not_bill_usage_again(database) {
        for backup in [
            "UPDATE meter_event SET state = 'open', attempts = 0, sent_at = NULL",
            // Taken in the middle of the hour, before the rest of it was used.
            "UPDATE meter_event SET state = 'open', attempts = 0, sent_at = NULL, quantity = 12",
        ] {
            let billed = billed(database).await;
            billed.uses(3, 10_030, "beyond").await;
            billed.uses(2, 4, "later").await;
            assert_eq!(billed.sends().await, 2);
            billed.changes(&format!("{backup} WHERE quantity = 30")).await;
            billed.passes_a_day().await;
            billed.sends().await;
            assert_eq!((billed.calls(), billed.counted().await, billed.parked().await), (2, 34, 0), "{backup}");
        }
    }

    async fn a_restored_backup_parks_usage_of_which_stripe_has_counted_a_part(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_010, "beyond").await;
        assert_eq!(billed.sends().await, 1);
        billed.changes("UPDATE meter_event SET state = 'sealed', attempts = 0, sent_at = NULL, quantity = 30").await;
        billed.passes_a_day().await;
        assert_eq!(billed.sends().await, 0);
        assert_eq!((billed.calls(), billed.counted().await, billed.parked().await), (1, 10, 1));
        let reasons = billed.app.database.texts(billed.tollgate.db(), "SELECT last_error FROM meter_event").await;
        assert!(reasons[0].contains(" 10 ") && reasons[0].contains(" 0 "), "{reasons:?}");
    }

    async fn an_event_that_cannot_be_read_is_parked_and_the_others_are_sent(database) {
        if matches!(database, DatabaseKind::Postgres) {
            // Its types rule such a row out.
            return;
        }
        let billed = billed(database).await;
        billed.uses(4, 10_005, "first").await;
        billed.uses(3, 7, "second").await;
        billed.changes("UPDATE meter_event SET quantity = 'many' WHERE quantity = 5").await;
        assert_eq!(billed.sends().await, 1);
        assert_eq!((billed.counted().await, billed.parked().await), (7, 1));
    }

    async fn the_lease_ends_with_an_error(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.changes("ALTER TABLE customer RENAME TO customer_away").await;
        assert!(outbox::send_due(&billed.tollgate).await.is_err());
        billed.changes("ALTER TABLE customer_away RENAME TO customer").await;
        assert_eq!(billed.sends().await, 1, "without waiting until it expires");
    }

    async fn a_difference_between_sent_and_counted_units_is_found(database) {
        let billed = billed(database).await;
        billed.uses(5, 10_005, "beyond").await;
        billed.sends().await;
        assert_eq!(billed.differences().await, []);
        let at = (billed.now.0 - 5 * 3600).to_string();
        let by_hand = [
            ("event_name", "api_calls"),
            ("identifier", "by-hand"),
            ("payload[stripe_customer_id]", billed.customer.as_str()),
            ("payload[value]", "4"),
            ("timestamp", at.as_str()),
        ];
        let request = Browser::new(&billed.app.sandbox.url()).request(Method::POST, "/v1/billing/meter_events");
        let response = Page::of(request.bearer_auth("sk_test_sandbox").form(&by_hand)).await;
        assert_eq!(response.status, 200, "{}", response.body);
        let differences = billed.differences().await;
        let [Drift::BilledUsage(difference)] = &differences[..] else { panic!("{differences:?}") };
        assert_eq!((difference.sent, difference.counted), (5, 9));
    }
}
