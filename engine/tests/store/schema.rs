//! Statements that both databases accept, and rules that the tables themselves enforce.

use std::collections::BTreeSet;
use std::path::Path;

use billing::{AccountId, CustomerId};
use engine::store::{all_batch_statements, all_statements, customers};

use crate::databases::{TestDatabase, on_postgres};
use crate::samples::NOW;
use crate::statements::unlisted;

on_both_databases! {
    async fn the_database_accepts_every_statement(database) {
        let mut rejected = Vec::new();
        for (name, sql) in [all_statements(), all_batch_statements(&database.db)].concat() {
            if let Err(error) = database.db.prepare(sql).await {
                rejected.push(format!("{name}: {error}"));
            }
        }
        assert!(rejected.is_empty(), "{}", rejected.join("\n"));
    }

    async fn a_statement_about_an_unknown_table_is_rejected(database) {
        assert!(database.db.prepare("SELECT nothing FROM nowhere").await.is_err());
    }

    async fn a_reference_to_a_missing_row_is_rejected(database) {
        let mut tx = database.db.begin().await.unwrap();
        let linked = customers::link(&mut tx, &CustomerId::new("cus_1"), &AccountId::new("none"), false, NOW).await;
        assert!(linked.is_err(), "{linked:?}");
    }
}

/// A statement that is not listed is never prepared by the test above.
#[tokio::test]
async fn every_statement_in_use_is_listed() {
    on_postgres(|database: TestDatabase| async move {
        let listed = [all_statements(), all_batch_statements(&database.db)].concat();
        let (run, missing) = unlisted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store"), &listed);
        assert!(run > 100, "only {run} statements were recognized");
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    })
    .await;
}

#[test]
fn no_statement_uses_the_database_clock() {
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
