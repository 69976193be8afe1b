//! No statement of the inbox reads the whole table, which keeps every event.

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

#[tokio::test]
async fn sqlite_reads_events_by_index() {
    on_sqlite(|database: TestDatabase| async move {
        let definitions = "SELECT sql FROM sqlite_master WHERE tbl_name = 'webhook_event' AND type = 'index'";
        let partial = PartialIndexes::read(&database, definitions).await;
        let mut scans = Vec::new();
        for (name, sql) in statements(&database) {
            let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {sql}").into_boxed_str());
            let plan: Vec<(i64, i64, i64, String)> = database.db.fetch_all(explain, Vec::new()).await.unwrap();
            for (.., step) in plan {
                let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
                let is_scan = table.is_some_and(|table| ["webhook_event", "e", "h"].contains(&table));
                if is_scan && !partial.are_read_by(&step) {
                    scans.push(format!("{name}: {step}"));
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
