//! The rate at which waiting events are applied, by the number of events that wait.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::database::Database;
use crate::deliveries::Deliveries;
use crate::load::{Requests, generate};
use crate::report::{Drained, Report};
use crate::setup::Setup;
use crate::sql::Sql;
use crate::subscriber::Subscriber;

/// The subscriptions that the measured events are about.
const SUBJECTS: usize = 2000;
/// The numbers of events about each subscription.
const EVENTS_PER_SUBJECT: [usize; 2] = [17, 1];
/// The number of connections that deliver webhooks meanwhile.
const CONNECTIONS: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// When the measured events were received, in epoch seconds.
const MEASURED_AT: i64 = 1_700_000_000;

/// Measures each number of events per subscription with each backlog.
pub async fn measure(
    binary: &Path,
    postgres: Option<&str>,
    database: Database,
    backlogs: &[u64],
    duration: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let setup = Setup::new(postgres, "drain").await?;
    let subscribers = subscribe(&setup).await?;
    for events_per_subject in EVENTS_PER_SUBJECT {
        let mut undisturbed = None;
        for backlog in backlogs.iter().copied() {
            eprintln!("   {events_per_subject} events about each subscription, {backlog} behind");
            fill(&setup.database, &subscribers, events_per_subject, backlog).await?;
            let tollgate = setup.start(binary).await?;
            let rate = rate(&setup.database, SUBJECTS * events_per_subject).await?;
            // The events behind are about subscriptions that Stripe does not have, and go on being looked up.
            let deliveries: Arc<dyn Requests> = Arc::new(Deliveries::new("/api/stripe/webhook", tollgate.port));
            let acknowledged = generate(tollgate.port, deliveries, CONNECTIONS, duration, 200).await?.rate;
            let undisturbed = *undisturbed.get_or_insert(acknowledged);
            let acknowledged = (acknowledged, undisturbed);
            report.add_drained(Drained { database, events_per_subject, backlog, rate, acknowledged });
        }
    }
    setup.sandbox.shutdown().await;
    Ok(())
}

/// Creates subscriptions in the sandbox, each with an account.
async fn subscribe(setup: &Setup) -> anyhow::Result<Vec<Subscriber>> {
    let stripe = setup.sandbox.url();
    let price = setup.subscriber.price.as_str();
    let mut subscribers = Vec::new();
    let mut sql = Sql::connect(&setup.database).await?;
    for _ in 0..SUBJECTS {
        let subscriber = Subscriber::with_price(&stripe, price).await?;
        let Subscriber { customer, .. } = &subscriber;
        sql.execute(format!(
            "INSERT INTO account (id, email, email_lower, email_canonical, created_at) \
            VALUES ('of_{customer}', '{customer}@example.com', '{customer}@example.com', '{customer}@example.com', 0)"
        ))
        .await?;
        sql.execute(format!(
            "INSERT INTO customer (id, account_id, created_at) VALUES ('{customer}', 'of_{customer}', 0)"
        ))
        .await?;
        subscribers.push(subscriber);
    }
    sql.close().await?;
    Ok(subscribers)
}

/// Replaces all events by the measured ones, which are due first, and those that wait behind them.
async fn fill(database: &str, subscribers: &[Subscriber], events: usize, backlog: u64) -> anyhow::Result<()> {
    let mut sql = Sql::connect(database).await?;
    sql.execute("DELETE FROM webhook_event".to_owned()).await?;
    let columns = "event_id, type, created, subject, customer_id, payload, state, next_attempt_at, received_at";
    let about = |id: &str, subject: &str, customer: &str, at: i64| {
        format!("{id}, 'customer.subscription.updated', {at}, {subject}, {customer}, 'not read', 'pending', {at}, {at}")
    };
    for Subscriber { customer, subscription, .. } in subscribers {
        let numbers = sql.numbers(1, events as u64);
        let id = format!("'evt_{subscription}_' || n");
        let values = about(&id, &format!("'{subscription}'"), &format!("'{customer}'"), MEASURED_AT);
        sql.execute(format!("INSERT INTO webhook_event ({columns}) SELECT {values} FROM {numbers}")).await?;
    }
    if backlog > 0 {
        let (numbers, subject) = (sql.numbers(1, backlog), format!("'sub_behind_' || (n / {events})"));
        let values = about("'evt_behind_' || n", &subject, "'cus_behind'", MEASURED_AT + 1);
        sql.execute(format!("INSERT INTO webhook_event ({columns}) SELECT {values} FROM {numbers}")).await?;
    }
    sql.settle().await?;
    sql.close().await
}

/// Returns the number of measured events applied per second, from the first to the last.
async fn rate(database: &str, events: usize) -> anyhow::Result<f64> {
    let mut sql = Sql::connect(database).await?;
    let left = format!("SELECT COUNT(*) FROM webhook_event WHERE state = 'pending' AND received_at = {MEASURED_AT}");
    let deadline = Instant::now() + TIMEOUT;
    let mut first: Option<(Instant, i64)> = None;
    loop {
        let (now, left) = (Instant::now(), sql.number(&left).await?);
        match first {
            None if left < events as i64 => first = Some((now, left)),
            Some((since, then)) if left == 0 => return Ok(then as f64 / (now - since).as_secs_f64()),
            _ if now > deadline => bail!("{left} of {events} events were not applied"),
            _ => {}
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
