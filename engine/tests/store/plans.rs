//! No statement reads or sorts the whole of a table that grows with accounts or with their history.

use engine::store::driver::{AssertSqlSafe, ConnectOptions, Executor, Row, raw_sql};
use engine::store::{all_batch_statements, all_statements};

use crate::databases::{TestDatabase, on_postgres, on_sqlite};

/// The statements about events, by name.
fn statements(database: &TestDatabase) -> Vec<(&'static str, &'static str)> {
    let all = [all_statements(), all_batch_statements(&database.db)].concat();
    all.into_iter().filter(|(_, sql)| sql.contains("webhook_event")).collect()
}

/// The indexes that hold a part of the table: reading all of such an index is fine.
struct PartialIndexes(Vec<String>);

impl PartialIndexes {
    /// Finds them among all definitions, which the query returns.
    async fn read(database: &TestDatabase, definitions: &str) -> Self {
        let all: Vec<String> = database.texts(definitions).await.into_iter().flatten().collect();
        let partial = all.iter().filter(|definition| definition.contains(" WHERE "));
        Self(partial.map(|definition| definition.split(' ').nth(2).unwrap().to_owned()).collect())
    }

    /// Whether a step of a plan reads one of them.
    fn are_read_by(&self, step: &str) -> bool {
        step.split_whitespace().any(|word| self.0.iter().any(|index| index == word))
    }
}

/// The tables with rows for each account, or of its history.
const GROWING: [&str; 20] = [
    "account",
    "customer",
    "webhook_event",
    "subscription",
    "subscription_revision",
    "billing_change",
    "checkout_attempt",
    "trial_claim",
    "invoice",
    "payment",
    "purchase",
    "usage_counter",
    "usage_record",
    "usage_day",
    "usage_notice",
    "idempotent_response",
    "credit_grant",
    "credit_balance",
    "meter_event",
    "drift",
];

/// The statements that may sort, because they sort few rows of a growing table, each with the rows that it sorts.
const SORTED: &[(&str, &str)] = &[
    ("DISPUTED", "accounts with a disputed payment"),
    ("REVERSED", "accounts with a payment that was lost or refunded"),
    ("LIST_OF_ACCOUNT", "an account's changes"),
    ("OF_ACCOUNT", "an account's subscriptions"),
    ("OF_ACCOUNTS", "the subscriptions of the accounts on a page"),
    ("LATEST_RUN", "the runs of thirty days"),
    ("LIST_OF_SUBJECT_PENDING", "a subject's pending events"),
    ("DUE", "the meters with usage that was not sent yet"),
    ("UNSENT_OF", "an account's meters"),
    ("SEALED", "an account's events that were not sent yet"),
    ("COUNTERS", "the counters of one batch"),
    ("BALANCES", "the balances of one batch"),
];

/// Whether this name in a plan is a growing table, or its alias in the statement.
fn is_growing(name: &str, sql: &str) -> bool {
    let words: Vec<&str> = sql.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    GROWING.contains(&name) || words.windows(2).any(|pair| GROWING.contains(&pair[0]) && pair[1] == name)
}

#[tokio::test]
async fn sqlite_reads_growing_tables_by_index() {
    on_sqlite(|database: TestDatabase| async move {
        let definitions = "SELECT sql FROM sqlite_master WHERE type = 'index'";
        let partial = PartialIndexes::read(&database, definitions).await;
        let mut scans = Vec::new();
        for (name, sql) in [all_statements(), all_batch_statements(&database.db)].concat() {
            let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {sql}").into_boxed_str());
            let plan: Vec<(i64, i64, i64, String)> = database.db.fetch_all(explain, Vec::new()).await.unwrap();
            for (.., step) in plan {
                let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
                let is_scan = table.is_some_and(|table| is_growing(table, sql)) && !partial.are_read_by(&step);
                let is_sort = step.contains("TEMP B-TREE FOR ORDER BY");
                if is_scan || (is_sort && SORTED.iter().all(|(sorts, _)| *sorts != name)) {
                    scans.push(format!("{name}: {step}: {sql}"));
                }
            }
        }
        assert!(scans.is_empty(), "{}", scans.join("\n"));
    })
    .await;
}

/// So many events that reading all of them is never cheaper.
const MANY_EVENTS: &str = "INSERT INTO webhook_event \
    (event_id, type, created, subject, customer_id, payload, state, next_attempt_at, received_at) \
    SELECT 'evt_' || n, 'invoice.paid', n, 'sub_' || n, 'cus_' || n, '{}', 'done', n, n FROM generate_series(1, 20000) n";

#[tokio::test]
async fn postgres_reads_events_by_index() {
    on_postgres(|database: TestDatabase| async move {
        database.execute(MANY_EVENTS).await;
        database.execute("ANALYZE webhook_event").await;
        let definitions = "SELECT indexdef FROM pg_indexes WHERE tablename = 'webhook_event'";
        let partial = PartialIndexes::read(&database, definitions).await;
        let mut connection = database.postgres_options().connect().await.unwrap();
        // As the store's connections do.
        connection.execute("SET enable_seqscan = off").await.unwrap();
        connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
        let mut scans = Vec::new();
        for (name, sql) in statements(&database) {
            let parameters = (1..).take_while(|number| sql.contains(&format!("${number}"))).count();
            let values = vec!["NULL"; parameters].join(", ");
            let values = if values.is_empty() { values } else { format!("({values})") };
            connection.execute(AssertSqlSafe(format!("PREPARE p AS {sql}"))).await.unwrap();
            let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE p{values}"));
            let plan = raw_sql(explain).fetch_all(&mut connection).await.unwrap();
            connection.execute("DEALLOCATE p").await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            for (at, step) in plan.iter().enumerate().filter(|(_, step)| step.contains(" on webhook_event")) {
                let details = plan[at + 1..].iter().take_while(|line| !line.contains("->"));
                let is_search = details.map(|line| line.trim_start()).any(|line| line.starts_with("Index Cond"));
                let is_scan = step.contains("Seq Scan") || (step.contains("Index") && !is_search);
                if is_scan && !partial.are_read_by(step) {
                    scans.push(format!("{name}: {}", plan.join("\n")));
                }
            }
        }
        assert!(scans.is_empty(), "{}", scans.join("\n"));
    })
    .await;
}
