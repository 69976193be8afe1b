//! Migrations, and statements that mean something on both engines.

use std::collections::BTreeSet;
use std::path::Path;

use billing::{AccountId, CustomerId};
use server::store::{accounts, customers, statements, statements_of_many_rows};

use crate::engines::{NOW, at_once};

on_both_engines! {
    async fn every_statement_is_accepted(store) {
        let mut refused = Vec::new();
        for (name, sql) in [statements(), statements_of_many_rows(&store.db)].concat() {
            if let Err(error) = store.db.prepare(sql).await {
                refused.push(format!("{name}: {error}"));
            }
        }
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }

    async fn a_statement_that_is_none_is_refused(store) {
        assert!(store.db.prepare("SELECT nothing FROM nowhere").await.is_err());
    }

    async fn migrations_apply_a_second_time_without_effect(store) {
        let account = store.account("ada@example.com").await;
        store.db.migrate().await.unwrap();
        let mut tx = store.db.begin().await.unwrap();
        assert!(accounts::exists(&mut tx, &account).await.unwrap());
        drop(tx);
        assert!(store.db.is_ready().await.unwrap());
    }

    async fn nodes_that_start_together_migrate_without_quarrel(store) {
        let db = store.another_node().await;
        let migrated = at_once(4, |_| {
            let db = db.clone();
            async move { db.migrate().await }
        })
        .await;
        assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
        db.close().await;
    }

    async fn a_database_that_lacks_a_migration_is_not_ready(store) {
        assert!(store.db.is_ready().await.unwrap());
        store.raw("DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)").await;
        assert!(!store.db.is_ready().await.unwrap());
    }

    async fn a_database_that_was_never_migrated_is_not_ready(store) {
        store.raw("DROP TABLE _sqlx_migrations").await;
        assert!(!store.db.is_ready().await.unwrap());
    }

    async fn a_closed_database_is_an_error_and_not_merely_not_ready(store) {
        store.db.close().await;
        assert!(store.db.is_ready().await.is_err());
    }

    async fn what_refers_to_nothing_is_refused(store) {
        let nobody = AccountId::new("nobody");
        let mut tx = store.db.begin().await.unwrap();
        let linked = customers::link(&mut tx, &CustomerId::new("cus_stray"), &nobody, false, NOW).await;
        assert!(linked.is_err(), "foreign keys are not watched: {linked:?}");
    }
}

#[test]
fn both_engines_have_the_same_migrations() {
    let names = |engine: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(engine);
        std::fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect()
    };
    assert!(!names("sqlite").is_empty());
    assert_eq!(names("sqlite"), names("postgres"));
}

#[test]
fn no_statement_has_two_names_in_one_file_or_reaches_for_the_clock() {
    for (name, sql) in statements() {
        let sql = sql.to_lowercase();
        assert!(!sql.contains("now()") && !sql.contains("current_timestamp"), "{name} asks the database for the time");
        assert!(!sql.contains("'%") && !sql.contains('?'), "{name} has a bind of one engine only");
    }
}
