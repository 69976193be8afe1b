//! Accounts, customers, subscriptions and events, and the engine's core around them.

use std::sync::Arc;

use billing::email::Email;
use billing::{
    AccountId, Catalog, CustomerId, EventId, Item, Meter, Period, PriceId, Status, Subscription, SubscriptionId,
    Timestamp,
};
use engine::clock::Clock;
use engine::settings::Retention;
use engine::store::inbox::{EventState, NewEvent};
use engine::store::{Stored, accounts, customers, subscriptions};
use engine::{Core, Db, StripeSettings, Urls, ids};

use crate::databases::TestDatabase;

/// 1 May 2026, 12:00 UTC: when every test begins.
pub const NOW: Timestamp = Timestamp(1_777_636_800);
/// 1 June 2026, 00:00 UTC: when the next window of the free plan begins.
pub const JUNE: Timestamp = Timestamp(1_780_272_000);

/// A meter: the free plan includes 100 units, Pro 10,000.
pub const API_CALLS: Meter = Meter::new("apiCalls");
/// A meter: the free plan includes 10 units, Pro 500.
pub const EXPORTS: Meter = Meter::new("exports");

impl TestDatabase {
    /// Creates an account with this address.
    pub async fn account(&self, email: &str) -> AccountId {
        self.account_at(email, NOW).await
    }

    /// Creates an account with this address at a time.
    pub async fn account_at(&self, email: &str, at: Timestamp) -> AccountId {
        let account = AccountId::new(ids::new_id());
        let email = Email::parse(email).expect("the address is valid");
        let mut tx = self.db.begin().await.unwrap();
        assert!(accounts::insert(&mut tx, &account, &email, None, at).await.unwrap());
        tx.commit().await.unwrap();
        account
    }

    /// Links a Stripe customer to an account.
    pub async fn customer(&self, account: &AccountId, customer: &str) -> CustomerId {
        let customer = CustomerId::new(customer);
        let mut tx = self.db.begin().await.unwrap();
        assert!(customers::link(&mut tx, &customer, account, false, NOW).await.unwrap());
        tx.commit().await.unwrap();
        customer
    }

    /// Writes a subscription whose `version` was read before, and returns whether that was the latest.
    pub async fn write(&self, account: &AccountId, subscription: &Subscription, version: Option<i64>) -> bool {
        let stored = subscriptions::by_id(&self.db, &subscription.id).await.unwrap();
        let missing = Stored { object: subscription.clone(), account: account.clone(), version: 0 };
        let seen = version.map(|version| Stored { version, ..stored.unwrap_or(missing) });
        let mut tx = self.db.begin().await.unwrap();
        let written = subscriptions::write(&mut tx, account, subscription, seen.as_ref(), "evt_1", NOW).await.unwrap();
        tx.commit().await.unwrap();
        written
    }

    /// Creates an account whose subscription was written a number of times: as active, then alternately as
    /// past due and active. Each write adds a billing change.
    pub async fn changed_account(&self, name: &str, times: usize) -> AccountId {
        let account = self.account(&format!("{name}@example.com")).await;
        let customer = self.customer(&account, &format!("cus_{name}")).await;
        for n in 0..times {
            let status = if n % 2 == 0 { Status::Active } else { Status::PastDue };
            let subscription = Subscription { status, ..pro(&format!("sub_{name}"), &customer) };
            let seen = subscriptions::by_id(&self.db, &subscription.id).await.unwrap();
            assert!(self.write(&account, &subscription, seen.map(|seen| seen.version)).await);
        }
        account
    }

    /// The engine's core on this database.
    pub fn core(&self, clock: &Clock) -> Arc<Core> {
        core(self.db.clone(), clock)
    }
}

/// The engine's core on a database. Stripe cannot be reached.
pub fn core(db: Db, clock: &Clock) -> Arc<Core> {
    core_with(db, clock, Retention::default())
}

/// Builds the core with a retention for usage records.
pub fn core_with(db: Db, clock: &Clock, retention: Retention) -> Arc<Core> {
    let catalog = Catalog::parse(include_str!("plans.toml"), &|_| None).expect("the catalog is valid");
    let urls = Urls::at(&"http://127.0.0.1".parse().expect("the address is valid"));
    let stripe = StripeSettings::new("sk_test_1", "whsec_1");
    let core = Core::new(Arc::new(catalog), stripe, urls, retention, db, clock.clone());
    Arc::new(core.expect("the key is a valid header"))
}

/// An active subscription of the monthly Pro plan whose period has just begun.
pub fn pro(id: &str, customer: &CustomerId) -> Subscription {
    let item = Item {
        id: format!("si_{id}"),
        price: PriceId::new("price_pro"),
        lookup_key: Some("tollgate_pro_month".to_owned()),
        quantity: 1,
        period: Period { start: NOW, end: NOW.plus_days(31) },
    };
    Subscription::active(SubscriptionId::new(id), customer.clone(), vec![item])
}

/// A pending event about `sub_1` of `cus_ada`.
pub fn event(id: &str) -> NewEvent {
    NewEvent {
        id: EventId::new(id),
        kind: "customer.subscription.updated".to_owned(),
        api_version: None,
        created: NOW,
        subject: Some("sub_1".to_owned()),
        customer: Some("cus_ada".to_owned()),
        payload: "{}".to_owned(),
        state: EventState::Pending,
        received_at: NOW,
    }
}
