//! Years of usage records for one account, inserted with a few statements.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

/// Adds usage records until there are `rows`, starting from `existing`.
pub async fn fill(database: &str, account: &str, existing: u64, rows: u64) -> anyhow::Result<()> {
    if rows <= existing {
        return Ok(());
    }
    // Spread over 80 days, oldest first. Like the server's own keys, these sort by time.
    let key = if database.starts_with("sqlite:") { "printf('%032x', n)" } else { "lpad(to_hex(n), 32, '0')" };
    let values = format!(
        "'{account}', 'call:' || {key}, 'apiCallsPerMonth', 1, 1700000000 + n / 4, 'counted', 1700000000, 0, 0, '', ''"
    );
    let columns = "account_id, idempotency_key, meter, quantity, recorded_at, state, window_start, from_credits, overage, \
        fingerprint, source";
    if database.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(database).await.context("cannot connect to the database")?;
        connection.execute("PRAGMA synchronous = OFF").await?;
        // In batches, to keep the WAL small.
        let mut from = existing;
        while from < rows {
            let to = (from + 500_000).min(rows);
            let sql = format!(
                "WITH RECURSIVE number(n) AS (SELECT {from} + 1 UNION ALL SELECT n + 1 FROM number WHERE n < {to}) \
                 INSERT INTO usage_record ({columns}) SELECT {values} FROM number"
            );
            connection.execute(AssertSqlSafe(sql)).await.context("cannot insert usage records")?;
            from = to;
        }
        // Checkpoint now, so that the measurement does not have to.
        connection.execute("PRAGMA synchronous = FULL").await?;
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        connection.close().await?;
    } else {
        let mut connection = PgConnection::connect(database).await.context("cannot connect to the database")?;
        let sql = format!(
            "INSERT INTO usage_record ({columns}) SELECT {values} FROM generate_series({existing} + 1, {rows}) AS number(n)"
        );
        connection.execute(AssertSqlSafe(sql)).await.context("cannot insert usage records")?;
        connection.execute("VACUUM ANALYZE usage_record").await?;
        connection.execute("CHECKPOINT").await?;
        connection.close().await?;
    }
    Ok(())
}
