//! Statements that both databases accept, and migrations beside the engine's.

use std::collections::BTreeSet;
use std::path::Path;

use engine::store::MIGRATIONS;
use server::store::{all_statements, is_migrated, migrate};

use crate::databases::concurrently;

/// The names of the statements in a file's source: constants in capitals that are given to a function that
/// runs them, such as `tx.execute(INSERT, …)`.
fn run_in(source: &str) -> BTreeSet<&str> {
    const RUN: [&str; 4] = ["execute(", "fetch_all", "fetch_one", "fetch_optional"];
    let calls =
        RUN.into_iter().flat_map(|call| source.match_indices(call).map(move |(at, _)| &source[at + call.len()..]));
    calls
        .filter_map(|rest| {
            let rest =
                if rest.starts_with("::<") { &rest[rest.find(">(")? + 2..] } else { rest.trim_start_matches('(') };
            let rest = rest.trim_start();
            let name = &rest[..rest.find(|c: char| !(c.is_ascii_uppercase() || c == '_'))?];
            (name.len() > 1).then_some(name)
        })
        .collect()
}

on_both_databases! {
    async fn the_database_accepts_every_statement(database) {
        let mut refused = Vec::new();
        for (name, sql) in all_statements() {
            if let Err(error) = database.db.prepare(sql).await {
                refused.push(format!("{name}: {error}"));
            }
        }
        assert!(refused.is_empty(), "{}", refused.join("\n"));
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
    let listed: BTreeSet<&str> = all_statements().into_iter().map(|(name, _)| name).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let (mut run, mut missing) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("the folder can be read").path();
        let source = std::fs::read_to_string(&path).expect("the file can be read");
        for name in run_in(&source) {
            run += 1;
            if !listed.contains(name) {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(run > 20, "only {run} statements were recognised");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
