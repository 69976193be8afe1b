//! Both databases accept every statement, and the app's migrations work next to the engine's.

use std::path::Path;

use engine::store::MIGRATIONS;
use server::store::{all_statements, is_migrated, migrate};

use crate::databases::concurrently;
use crate::statements::unlisted;

on_both_databases! {
    async fn the_database_accepts_every_statement(database) {
        let mut rejected = Vec::new();
        for (name, sql) in all_statements() {
            if let Err(error) = database.db.prepare(sql).await {
                rejected.push(format!("{name}: {error}"));
            }
        }
        assert!(rejected.is_empty(), "{}", rejected.join("\n"));
    }

    async fn the_app_is_migrated_when_both_sets_are(database) {
        assert!(is_migrated(&database.db).await.unwrap());
        migrate(&database.db).await.expect("a second time has no effect");
        database.execute("DELETE FROM _sqlx_migrations WHERE version = 1002").await;
        assert!(!is_migrated(&database.db).await.unwrap());
        assert!(database.db.has_migrated(MIGRATIONS).await.unwrap(), "the engine's set is complete");
        database.execute("DELETE FROM _sqlx_migrations WHERE version = 1").await;
        assert!(!database.db.has_migrated(MIGRATIONS).await.unwrap());
    }

    async fn nodes_that_start_together_migrate_without_a_conflict(database) {
        database.execute("DELETE FROM _sqlx_migrations WHERE version = 1002").await;
        for table in ["support_message", "custom_domain", "api_key"] {
            database.execute(&format!("DROP TABLE {table}")).await;
        }
        let migrated = concurrently(4, |_| {
            let db = database.db.clone();
            async move { migrate(&db).await }
        })
        .await;
        assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
        assert!(is_migrated(&database.db).await.unwrap());
    }
}

/// A statement that is not listed is never prepared by the test above.
#[test]
fn every_statement_that_is_run_is_listed() {
    let (run, missing) = unlisted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store"), &all_statements());
    assert!(run > 20, "only {run} statements were recognized");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
