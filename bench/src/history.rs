//! Years of use in one statement: rows as the program writes them, for one account.

use anyhow::Context;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};

/// Brings the history of usage to `rows` records, of which there are `have`.
pub async fn fill(database: &str, account: &str, have: u64, rows: u64) -> anyhow::Result<()> {
    if rows <= have {
        return Ok(());
    }
    // Spread over the last 80 days, oldest first, each with a key of its own, which sorts by time as
    // those that the program makes.
    let key = if database.starts_with("sqlite:") { "printf('%032x', n)" } else { "lpad(to_hex(n), 32, '0')" };
    let values = format!(
        "'{account}', 'call:' || {key}, 'apiCallsPerMonth', 1, 1700000000 + n / 4, 'counted', 1700000000, 0, 0, '', ''"
    );
    let columns = "account_id, idempotency_key, meter, quantity, recorded_at, state, window_start, from_credits, overage, \
        fingerprint, source";
    if database.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(database).await.context("the database")?;
        connection.execute("PRAGMA synchronous = OFF").await?;
        // In bites, so that the journal stays small.
        let mut from = have;
        while from < rows {
            let to = (from + 500_000).min(rows);
            let sql = format!(
                "WITH RECURSIVE number(n) AS (SELECT {from} + 1 UNION ALL SELECT n + 1 FROM number WHERE n < {to}) \
                 INSERT INTO usage_record ({columns}) SELECT {values} FROM number"
            );
            connection.execute(sql.as_str()).await.context("filling the history")?;
            from = to;
        }
        // On the disk before anything is measured, which would wait for it otherwise.
        connection.execute("PRAGMA synchronous = FULL").await?;
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        connection.close().await?;
    } else {
        let mut connection = PgConnection::connect(database).await.context("the database")?;
        let sql = format!(
            "INSERT INTO usage_record ({columns}) SELECT {values} FROM generate_series({have} + 1, {rows}) AS number(n)"
        );
        connection.execute(sql.as_str()).await.context("filling the history")?;
        connection.execute("VACUUM ANALYZE usage_record").await?;
        connection.execute("CHECKPOINT").await?;
        connection.close().await?;
    }
    Ok(())
}
