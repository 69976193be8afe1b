//! A fresh database per test, on either engine, gone afterwards.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use billing::email::Email;
use billing::{
    AccountId, CustomerId, EventId, Item, Period, PriceId, Status, Subscription, SubscriptionId, Timestamp, UserId,
};
use server::assets::Assets;
use server::clock::Clock;
use server::config::{Config, DatabaseUrl};
use server::store::accounts::{self, NewUser};
use server::store::inbox::{EventState, NewEvent};
use server::store::{Stored, customers, subscriptions};
use server::webhook::intake::Incoming;
use server::{Db, Tollgate, ids};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::task::{JoinError, JoinHandle, JoinSet};

/// 1 May 2026, 12:00 UTC: when every test begins.
pub const NOW: Timestamp = Timestamp(1_777_636_800);

/// Writes each test once and runs it on both engines.
macro_rules! on_both_engines {
    ($($(#[$doc:meta])* async fn $name:ident($store:ident) $body:block)*) => {
        $($(#[$doc])* async fn $name($store: $crate::engines::Store) $body)*

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                $crate::engines::on_sqlite(super::$name).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                $crate::engines::on_postgres(super::$name).await;
            })*
        }
    };
}

/// A database with all tables, and what tests put into it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub db: Db,
    pub url: DatabaseUrl,
    raw: Raw,
}

/// A way past `server::store`, to make what no version of the program writes.
#[derive(Clone)]
enum Raw {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

pub async fn on_sqlite<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Store) -> F) {
    let folder = TempDir::new().expect("there is a temporary folder");
    let address = format!("sqlite:{}/tollgate.db", folder.path().display());
    let raw = Raw::Sqlite(SqliteConnectOptions::from_str(&address).expect("the address is sound"));
    pass_on(run(Store::open(DatabaseUrl::Sqlite(address), raw).await, test).await);
}

pub async fn on_postgres<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Store) -> F) {
    let admin = admin();
    let name = format!("tollgate_test_{}", ids::new_id());
    let mut connection = admin.connect().await.expect("TOLLGATE_TEST_POSTGRES answers");
    connection.execute(format!("CREATE DATABASE {name}").as_str()).await.expect("it lets us make databases");

    let options = admin.database(&name);
    let url = DatabaseUrl::Postgres(options.to_url_lossy().to_string().into());
    let outcome = run(Store::open(url, Raw::Postgres(options)).await, test).await;
    connection.execute(format!("DROP DATABASE {name} WITH (FORCE)").as_str()).await.expect("the database goes away");
    pass_on(outcome);
}

#[expect(clippy::disallowed_methods, reason = "where the tests' PostgreSQL is, only the environment knows")]
fn admin() -> PgConnectOptions {
    let address = std::env::var("TOLLGATE_TEST_POSTGRES").expect(
        "TOLLGATE_TEST_POSTGRES is not set: it names a PostgreSQL where tests may make databases, \
         such as postgres://tollgate@127.0.0.1:5432/postgres (`make test` starts one and sets it)",
    );
    PgConnectOptions::from_str(&address)
        .expect("TOLLGATE_TEST_POSTGRES is of the form postgres://user@host:port/database")
}

/// An event that is to be applied, about nothing in particular.
pub const fn new_event(id: &EventId) -> NewEvent<'_> {
    NewEvent {
        id,
        kind: "invoice.paid",
        api_version: None,
        created: NOW,
        subject: None,
        customer: None,
        payload: "{}",
        state: EventState::Pending,
    }
}

/// An event of a subscription on its way into the inbox.
pub fn delivery(id: &str) -> Incoming {
    Incoming {
        id: EventId::new(id),
        kind: "customer.subscription.updated".to_owned(),
        api_version: None,
        created: NOW,
        subject: Some("sub_1".to_owned()),
        customer: Some("cus_ada".to_owned()),
        payload: "{}".to_owned(),
        state: EventState::Pending,
    }
}

/// Runs a test to its end, whatever that is, so that the database can be cleared away.
async fn run<F: Future<Output = ()> + Send + 'static>(
    store: Store,
    test: impl FnOnce(Store) -> F,
) -> Result<(), JoinError> {
    let outcome = tokio::spawn(test(store.clone())).await;
    store.db.close().await;
    outcome
}

fn pass_on(outcome: Result<(), JoinError>) {
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
}

impl Store {
    async fn open(url: DatabaseUrl, raw: Raw) -> Self {
        let db = Db::connect(&url).await.expect("the database answers");
        db.migrate().await.expect("the migrations apply");
        Self { db, url, raw }
    }

    /// What another node has: connections of its own to the same data.
    pub async fn another_node(&self) -> Db {
        Db::connect(&self.url).await.expect("the database answers")
    }

    /// Runs one statement past `server::store`.
    pub async fn raw(&self, sql: &str) {
        match &self.raw {
            Raw::Sqlite(options) => {
                let mut connection: SqliteConnection = options.connect().await.expect("the database answers");
                connection.execute(sql).await.expect("the statement is sound");
                connection.close().await.expect("the connection ends");
            }
            Raw::Postgres(options) => {
                let mut connection: PgConnection = options.connect().await.expect("the database answers");
                connection.execute(sql).await.expect("the statement is sound");
                connection.close().await.expect("the connection ends");
            }
        }
    }

    /// The first column of the first row that a query finds, past `server::store`; `None` for NULL and for no row.
    pub async fn text(&self, sql: &str) -> Option<String> {
        match &self.raw {
            Raw::Sqlite(options) => {
                let mut connection: SqliteConnection = options.connect().await.expect("the database answers");
                let row: Option<(Option<String>,)> = sqlx::query_as(sql).fetch_optional(&mut connection).await.unwrap();
                connection.close().await.expect("the connection ends");
                row?.0
            }
            Raw::Postgres(options) => {
                let mut connection: PgConnection = options.connect().await.expect("the database answers");
                let row: Option<(Option<String>,)> = sqlx::query_as(sql).fetch_optional(&mut connection).await.unwrap();
                connection.close().await.expect("the connection ends");
                row?.0
            }
        }
    }

    /// Adds somebody; their personal account.
    pub async fn account(&self, email: &str) -> AccountId {
        let (user, account) = (UserId::new(ids::new_id()), AccountId::new(ids::new_id()));
        let email = Email::parse(email).expect("the address is sound");
        let new = NewUser { id: &user, account_id: &account, email: &email, password_hash: "$argon2id$…", at: NOW };
        let mut tx = self.db.begin().await.unwrap();
        assert!(accounts::insert_user(&mut tx, &new).await.unwrap(), "{} is taken", email.as_str());
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

    /// Writes a subscription as one who has seen `version`; whether it was taken.
    pub async fn write(&self, account: &AccountId, subscription: &Subscription, version: Option<i64>) -> bool {
        let there = subscriptions::by_id(&self.db, &subscription.id).await.unwrap();
        let nothing = Stored { object: subscription.clone(), account: account.clone(), version: 0 };
        let seen = version.map(|version| Stored { version, ..there.unwrap_or(nothing) });
        let mut tx = self.db.begin().await.unwrap();
        let written = subscriptions::write(&mut tx, account, subscription, seen.as_ref(), "evt_1", NOW).await.unwrap();
        tx.commit().await.unwrap();
        written
    }

    /// Returns when `other` waits for a lock that somebody else holds, or has not had to. On SQLite
    /// at once: there, whoever writes waits for its turn to begin.
    pub async fn until_waiting<T>(&self, other: &JoinHandle<T>) {
        const WAITING: &str =
            "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let Some(pool) = self.db.postgres_pool() else { return };
        until("the other waits or is done", || async {
            let (waiting,): (i64,) = sqlx::query_as(WAITING).fetch_one(pool).await.expect("it answers");
            waiting > 0 || other.is_finished()
        })
        .await;
    }

    /// The application on this database, without a line to Stripe.
    pub fn tollgate(&self, clock: &Clock) -> Tollgate {
        tollgate(self.db.clone(), clock)
    }
}

/// The application on `db`, without a line to Stripe.
pub fn tollgate(db: Db, clock: &Clock) -> Tollgate {
    tollgate_with(db, clock, &|_| None)
}

/// The same, with what `lookup` says in the environment.
pub fn tollgate_with(db: Db, clock: &Clock, lookup: &dyn Fn(&str) -> Option<String>) -> Tollgate {
    let config = Config::from_lookup(lookup).expect("the environment is sound");
    Tollgate::new(config, db, clock.clone(), Assets::default()).expect("the sandbox's key is a sound header")
}

/// An active subscription of the monthly Pro plan whose period has just begun.
pub fn pro(id: &str, customer: &CustomerId) -> Subscription {
    Subscription {
        id: SubscriptionId::new(id),
        customer: customer.clone(),
        status: Status::Active,
        items: vec![Item {
            id: format!("si_{id}"),
            price: PriceId::new("price_pro"),
            lookup_key: Some("tollgate_pro_month".to_owned()),
            quantity: 1,
            period: Period { start: NOW, end: NOW.plus_days(31) },
        }],
        created: NOW,
        billing_cycle_anchor: NOW,
        cancel_at_period_end: false,
        cancel_at: None,
        ended_at: None,
        trial_end: None,
        past_due_since: None,
        pause: None,
        last_known_tier: None,
    }
}

/// Does `what` `times` times at once; the answers, in no order.
pub async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    times: usize,
    what: impl Fn(usize) -> F,
) -> Vec<T> {
    let running: JoinSet<T> = (0..times).map(what).collect();
    running.join_all().await
}

/// Asks until the answer is yes; fails when it is not within ten seconds.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !holds().await {
            ticks.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "not within ten seconds: {what}");
}
