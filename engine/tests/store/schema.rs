//! Statements that both databases accept, and rules that the tables themselves enforce.

use std::collections::BTreeSet;
use std::path::Path;

use billing::{AccountId, CustomerId};
use engine::store::{all_batch_statements, all_statements, customers};

use crate::databases::{TestDatabase, on_postgres};
use crate::samples::NOW;

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

/// The names of the statements of many rows in a file's source.
fn batches_in(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let declared = code.split("static ").skip(1).filter_map(|rest| rest.split_once(": LazyLock<BatchStatement>"));
    declared.map(|(name, _)| name).collect()
}

/// Settings, which cannot be prepared.
const RUN_ON_EVERY_CONNECTION: &str = "USE_INDEXES";

on_both_databases! {
    async fn the_database_accepts_every_statement(database) {
        let mut refused = Vec::new();
        for (name, sql) in [all_statements(), all_batch_statements(&database.db)].concat() {
            if let Err(error) = database.db.prepare(sql).await {
                refused.push(format!("{name}: {error}"));
            }
        }
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }

    async fn a_statement_about_an_unknown_table_is_refused(database) {
        assert!(database.db.prepare("SELECT nothing FROM nowhere").await.is_err());
    }

    async fn a_reference_to_a_missing_row_is_refused(database) {
        let mut tx = database.db.begin().await.unwrap();
        let linked = customers::link(&mut tx, &CustomerId::new("cus_1"), &AccountId::new("none"), false, NOW).await;
        assert!(linked.is_err(), "{linked:?}");
    }
}

/// A statement that is not listed is never prepared by the test above.
#[tokio::test]
async fn every_statement_that_is_run_is_listed() {
    on_postgres(|database: TestDatabase| async move {
        let listed: BTreeSet<&str> =
            [all_statements(), all_batch_statements(&database.db)].concat().into_iter().map(|(name, _)| name).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
        let (mut run, mut missing) = (0, Vec::new());
        for entry in std::fs::read_dir(folder).expect("the folder exists") {
            let path = entry.expect("the folder can be read").path();
            let source = std::fs::read_to_string(&path).expect("the file can be read");
            for name in run_in(&source).into_iter().chain(batches_in(&source)) {
                run += 1;
                if !listed.contains(name) && name != RUN_ON_EVERY_CONNECTION {
                    missing.push(format!("{}: {name}", path.display()));
                }
            }
        }
        assert!(run > 90, "only {run} statements were recognised");
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    })
    .await;
}

#[test]
fn no_statement_asks_the_database_for_the_time() {
    for (name, sql) in all_statements() {
        let sql = sql.to_lowercase();
        assert!(!sql.contains("now()") && !sql.contains("current_timestamp"), "{name}");
    }
}

#[test]
fn every_statement_numbers_its_parameters_from_one_without_gaps() {
    for (name, sql) in all_statements() {
        let numbers: BTreeSet<usize> = sql
            .split('$')
            .skip(1)
            .map(|rest| &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())])
            .map(|number| number.parse().unwrap_or_else(|_| panic!("{name}: ${number}")))
            .collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len()), "{name}: {numbers:?}");
        assert!(!sql.contains('?'), "{name}: only SQLite accepts `?`");
    }
}
