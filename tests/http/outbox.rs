//! Use that is billed reaches Stripe once, whatever happens on the way.

use std::time::Duration;

use billing::{AccountId, CustomerId, Item, Period, PriceId, Status, Subscription, SubscriptionId, Timestamp};
use server::assets::Assets;
use server::clock::Clock;
use server::config::Config;
use server::product::API_CALLS;
use server::store::meter_events::{self, MeterEventState};
use server::store::{accounts, customers, subscriptions};
use server::usage::{Recorded, outbox};
use server::{Db, Tollgate};

use crate::support::{DatabaseKind, Harness, PAYS, metered_catalog, on_both_databases};

/// A node with a clock of its own, and somebody on it whose overage is billed.
struct Billed {
    app: Harness,
    tollgate: Tollgate,
    clock: Clock,
    now: Timestamp,
    account: AccountId,
    customer: CustomerId,
    meter: String,
    config: Config,
}

async fn billed(database: DatabaseKind) -> Billed {
    let mut kept = None;
    let app = Harness::start_configured(
        database,
        |_| {},
        |config| {
            config.catalog = metered_catalog("");
            kept = Some(config.clone());
        },
    )
    .await;
    let config = kept.unwrap();
    app.signed_up("ada@example.com").await;
    let account = accounts::user_by_login(app.tollgate.db(), "ada@example.com").await.unwrap().unwrap().account_id;
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
    let now = app.tollgate.now();
    let clock = Clock::manual(now);
    let tollgate = node(&config, &clock).await;
    let billed = Billed { app, tollgate, clock, now, account, customer, meter, config };
    billed.subscribe(&["tollgate_pro_month", "api_calls_month"]).await;
    billed
}

async fn node(config: &Config, clock: &Clock) -> Tollgate {
    let db = Db::connect(&config.database_url).await.unwrap();
    Tollgate::new(config.clone(), db, clock.clone(), Assets::default()).unwrap()
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
        let subscription = Subscription {
            id: SubscriptionId::new("sub_billed"),
            customer: self.customer.clone(),
            status: Status::Active,
            items: items.collect(),
            created: start,
            billing_cycle_anchor: start,
            cancel_at_period_end: false,
            cancel_at: None,
            ended_at: None,
            trial_end: None,
            past_due_since: None,
            pause: None,
            last_known_tier: None,
        };
        let seen = subscriptions::by_id(self.tollgate.db(), &subscription.id).await.unwrap();
        let mut tx = self.tollgate.db().begin().await.unwrap();
        customers::link(&mut tx, &self.customer, &self.account, false, self.now).await.unwrap();
        assert!(
            subscriptions::write(&mut tx, &self.account, &subscription, seen.as_ref(), "a test", self.now)
                .await
                .unwrap()
        );
        tx.commit().await.unwrap();
        self.tollgate.access().forget(&self.account).await;
    }

    /// Uses so much, so many hours ago.
    async fn uses(&self, hours_ago: i64, quantity: u64, key: &str) -> Recorded {
        self.clock.set(self.now.plus_seconds(-hours_ago * 3600));
        let recorded = self.tollgate.record_usage(&self.account, API_CALLS, quantity, key).await.unwrap();
        self.clock.set(self.now);
        recorded
    }

    async fn sends(&self) -> u64 {
        outbox::send_due(&self.tollgate).await.unwrap()
    }

    /// What Stripe has counted over the last days.
    async fn counted(&self) -> i64 {
        let minute = self.now.0 - self.now.0 % 60;
        let (from, to) = (Timestamp(minute).plus_days(-5), Timestamp(minute + 60));
        self.tollgate.gateway().counted_use(&self.meter, &self.customer, from, to).await.unwrap()
    }

    fn calls(&self) -> usize {
        self.app.stripe_calls("POST", "/v1/billing/meter_events")
    }

    async fn states(&self) -> Vec<(MeterEventState, i64)> {
        meter_events::states(self.tollgate.db()).await.unwrap()
    }
}

on_both_databases! {
    async fn what_is_beyond_the_limit_is_billed_once_and_what_is_within_is_not(database) {
        let billed = billed(database).await;
        assert!(matches!(billed.uses(3, 10_000, "included").await, Recorded::Counted(_)));
        assert_eq!(billed.sends().await, 0, "nothing is to be billed");
        let Recorded::Counted(reading) = billed.uses(3, 5, "beyond").await else { panic!("denied") };
        assert_eq!((reading.used, reading.overage), (10_000, 5));
        billed.uses(2, 2, "later").await;
        billed.uses(2, 2, "later").await;
        assert_eq!(billed.sends().await, 2, "one event for each hour");
        assert_eq!(billed.counted().await, 7);
        assert_eq!(billed.sends().await, 0);
        assert_eq!(billed.calls(), 2);
    }

    async fn from_checkout_to_the_invoice_that_bills_what_was_used_beyond(database) {
        let priced = metered_catalog("amount = 7\ncurrency = \"usd\"");
        let app = Harness::start_configured(database, |_| {}, |config| config.catalog = priced).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        // Nothing that is used in a trial is billed.
        app.sandbox.advance(Duration::from_secs(15 * 86_400));
        app.settled().await;

        let account = app.account("ada@example.com").await;
        let used = app.tollgate.record_usage(&account, API_CALLS, 10_005, "all at once").await.unwrap();
        let Recorded::Counted(reading) = used else { panic!("{used:?}") };
        assert_eq!((reading.used, reading.overage), (10_000, 5));
        app.sandbox.advance(Duration::from_secs(2 * 3600));
        assert_eq!(outbox::send_due(&app.tollgate).await.unwrap(), 1);

        app.sandbox.advance(Duration::from_secs(32 * 86_400));
        app.settled().await;
        let invoices = app.stripe_lists("/v1/invoices?limit=10").await;
        let renewal = invoices.iter().map(|invoice| invoice["total"].as_i64().unwrap()).max();
        assert_eq!(renewal, Some(2_900 + 5 * 7), "{invoices:#?}");
    }

    async fn an_hour_that_is_not_over_is_not_sent(database) {
        let billed = billed(database).await;
        billed.uses(0, 10_003, "now").await;
        assert_eq!(billed.sends().await, 0);
        billed.clock.set(billed.now.plus_seconds(3600));
        billed.app.sandbox.advance(Duration::from_secs(3600));
        assert_eq!(billed.sends().await, 1);
    }

    async fn without_a_metered_item_the_limit_denies(database) {
        let billed = billed(database).await;
        billed.subscribe(&["tollgate_pro_month"]).await;
        assert!(matches!(billed.uses(3, 10_000, "included").await, Recorded::Counted(_)));
        assert!(matches!(billed.uses(3, 1, "beyond").await, Recorded::Denied(_)), "nobody would bill it");
    }

    async fn a_lost_answer_is_not_a_second_bill(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.app.sandbox.lose_next_answers(4);
        assert_eq!(billed.sends().await, 0, "nobody knows whether it came through");
        billed.clock.set(billed.now.plus_seconds(120));
        assert_eq!(billed.sends().await, 1);
        assert_eq!(billed.counted().await, 5);
    }

    async fn a_stripe_that_is_down_makes_use_wait_over_a_restart(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.app.sandbox.fail_next(4, 500);
        assert_eq!(billed.sends().await, 0);
        assert_eq!(billed.sends().await, 0, "not before it is due again");
        let restarted = node(&billed.config, &Clock::manual(billed.now.plus_seconds(120))).await;
        assert_eq!(outbox::send_due(&restarted).await.unwrap(), 1);
        assert_eq!(billed.counted().await, 5);
    }

    async fn three_nodes_send_each_event_once_and_one_at_a_time(database) {
        let billed = billed(database).await;
        billed.uses(9, 10_000, "included").await;
        for hour in 2..9 {
            billed.uses(hour, 3, &format!("hour {hour}")).await;
        }
        let nodes = [billed.tollgate.clone(), node(&billed.config, &billed.clock).await, node(&billed.config, &billed.clock).await];
        let sending: Vec<_> = nodes.map(|node| tokio::spawn(async move { outbox::send_due(&node).await.unwrap() })).into_iter().collect();
        let mut sent = 0;
        for node in sending {
            sent += node.await.unwrap();
        }
        assert_eq!((sent, billed.calls()), (7, 7), "Stripe refuses two calls at once for a customer and meter");
        assert_eq!(billed.counted().await, 21);
    }

    async fn what_stripe_takes_no_more_waits_for_a_person(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.clock.set(billed.now.plus_days(35));
        assert_eq!(billed.sends().await, 0);
        assert_eq!(billed.states().await, [(MeterEventState::Parked, 1)]);
        assert_eq!(billed.calls(), 0);
    }

    /// Stripe has forgotten the identifier by then: sending it again might bill twice.
    async fn what_may_have_come_through_a_day_ago_is_not_sent_again(database) {
        let billed = billed(database).await;
        billed.uses(3, 10_005, "beyond").await;
        billed.app.sandbox.lose_next_answers(4);
        billed.sends().await;
        billed.clock.set(billed.now.plus_days(1));
        assert_eq!(billed.sends().await, 0);
        assert_eq!(billed.states().await, [(MeterEventState::Parked, 1)]);
        assert_eq!(billed.counted().await, 5);
    }

    async fn what_stripe_counts_differently_is_named(database) {
        let billed = billed(database).await;
        billed.uses(5, 10_005, "beyond").await;
        billed.sends().await;
        let [of_ada] = &outbox::billed(&billed.tollgate).await.unwrap()[..] else { panic!("hers, and nobody else's") };
        assert_eq!(outbox::difference(&billed.tollgate, of_ada).await.unwrap(), None);
        let at = (billed.now.0 - 5 * 3600).to_string();
        let behind_our_back = [
            ("event_name", "api_calls"),
            ("identifier", "by-hand"),
            ("payload[stripe_customer_id]", billed.customer.as_str()),
            ("payload[value]", "4"),
            ("timestamp", at.as_str()),
        ];
        let request = crate::support::Browser::new(&billed.app.sandbox.url()).request(reqwest::Method::POST, "/v1/billing/meter_events");
        let answer = crate::support::Page::of(request.bearer_auth("sk_test_sandbox").form(&behind_our_back)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let difference = outbox::difference(&billed.tollgate, of_ada).await.unwrap().expect("they differ");
        assert_eq!((difference.sent, difference.counted), (5, 9));
    }
}
