//! Sets of migrations: applied once, and compatible with other sets, a host's own tables and newer programs.

use engine::store::{MIGRATIONS, MigrationSet, accounts, values};
use engine::{DatabaseUrl, Db, StoreError};

use crate::databases::{TestDatabase, concurrently, on_postgres};

const HOST: MigrationSet = MigrationSet(&[
    (
        1001,
        "notes",
        "CREATE TABLE note (id BIGINT NOT NULL PRIMARY KEY, account_id TEXT NOT NULL REFERENCES account (id))",
    ),
    (1002, "authors", "ALTER TABLE note ADD COLUMN author TEXT"),
]);

/// The versions that were applied, in order.
async fn applied(db: &Db) -> Vec<i64> {
    let sql = "SELECT version FROM _sqlx_migrations ORDER BY version";
    db.fetch_all::<(i64,)>(sql, values![]).await.unwrap().into_iter().map(|(version,)| version).collect()
}

fn versions(set: MigrationSet) -> Vec<i64> {
    set.0.iter().map(|(version, ..)| *version).collect()
}

/// The same server and database, with the tables in a schema.
fn in_schema(database: &TestDatabase, schema: &str) -> DatabaseUrl {
    database.url.clone().in_schema(schema).expect("the name is valid")
}

on_both_databases! {
    async fn migrations_are_applied_once(database) {
        let account = database.account("ada@example.com").await;
        let before = applied(&database.db).await;
        assert_eq!(before, versions(MIGRATIONS));
        database.db.migrate(MIGRATIONS).await.unwrap();
        assert_eq!(applied(&database.db).await, before);
        assert!(accounts::by_id(&database.db, &account).await.unwrap().is_some());
        assert!(database.db.has_migrated(MIGRATIONS).await.unwrap());
    }

    async fn a_database_with_a_missing_migration_is_not_migrated(database) {
        database
            .execute("DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
            .await;
        assert!(!database.db.has_migrated(MIGRATIONS).await.unwrap());
    }

    async fn a_database_that_was_never_migrated_is_not_migrated(database) {
        database.execute("DROP TABLE _sqlx_migrations").await;
        assert!(!database.db.has_migrated(MIGRATIONS).await.unwrap());
    }

    async fn checking_migrations_on_a_closed_database_fails(database) {
        database.db.close().await;
        assert!(database.db.has_migrated(MIGRATIONS).await.is_err());
    }

    async fn two_sets_share_a_database(database) {
        assert!(!database.db.has_migrated(HOST).await.unwrap());
        database.db.migrate(HOST).await.unwrap();
        database.db.migrate(MIGRATIONS).await.unwrap();
        assert!(database.db.has_migrated(HOST).await.unwrap() && database.db.has_migrated(MIGRATIONS).await.unwrap());
        assert_eq!(applied(&database.db).await, [versions(MIGRATIONS), versions(HOST)].concat());
        // The second set's tables refer to the first's.
        database.account("ada@example.com").await;
        database.execute("INSERT INTO note (id, account_id, author) SELECT 1, id, 'Ada' FROM account").await;
    }

    async fn new_migrations_of_a_set_are_applied(database) {
        database.db.migrate(MigrationSet(&HOST.0[..1])).await.unwrap();
        assert!(!database.db.has_migrated(HOST).await.unwrap());
        database.db.migrate(HOST).await.unwrap();
        assert!(database.db.has_migrated(HOST).await.unwrap());
        assert_eq!(applied(&database.db).await, [versions(MIGRATIONS), versions(HOST)].concat());
    }

    /// A rolling deployment: the older program keeps running, and starts, alongside the newer one.
    async fn versions_of_a_newer_program_are_ignored(database) {
        const NEWER: MigrationSet =
            MigrationSet(&[(999, "newer", "CREATE TABLE newer (id BIGINT NOT NULL PRIMARY KEY)")]);
        database.db.migrate(NEWER).await.unwrap();
        database.db.migrate(MIGRATIONS).await.unwrap();
        assert!(database.db.has_migrated(MIGRATIONS).await.unwrap());
        assert_eq!(applied(&database.db).await, [versions(MIGRATIONS), vec![999]].concat());
    }

    async fn a_migration_that_was_changed_after_it_was_applied_is_an_error(database) {
        const EDITED: MigrationSet =
            MigrationSet(&[(1001, "notes", "CREATE TABLE note (id BIGINT NOT NULL PRIMARY KEY)")]);
        database.db.migrate(HOST).await.unwrap();
        let migrated = database.db.migrate(EDITED).await;
        assert!(matches!(migrated, Err(StoreError::Migration(_))), "{migrated:?}");
    }

    async fn a_migration_that_fails_leaves_nothing_and_can_be_repaired(database) {
        const BROKEN: MigrationSet = MigrationSet(&[(
            1001,
            "notes",
            "CREATE TABLE note (id BIGINT NOT NULL PRIMARY KEY); INSERT INTO nowhere VALUES (1)",
        )]);
        assert!(database.db.migrate(BROKEN).await.is_err());
        assert!(!database.db.has_migrated(BROKEN).await.unwrap());
        database.db.migrate(HOST).await.expect("the failed attempt left no table");
    }

    async fn nodes_that_start_together_migrate_once(database) {
        // On SQLite the nodes are tasks of one process, which share the write connection.
        let other = if database.db.is_shared() { database.another_node().await } else { database.db.clone() };
        let migrated = concurrently(8, |n| {
            let db = if n % 2 == 0 { database.db.clone() } else { other.clone() };
            async move { db.migrate(HOST).await }
        })
        .await;
        assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
        assert_eq!(applied(&database.db).await, [versions(MIGRATIONS), versions(HOST)].concat());
        other.close().await;
    }
}

/// Tables that the host has, with the names of the engine's and with its own migrations.
const HOSTS_TABLES: [&str; 4] = [
    "CREATE TABLE account (code TEXT PRIMARY KEY, balance INTEGER)",
    "CREATE TABLE invoice (number TEXT PRIMARY KEY)",
    "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), \
     success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)",
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (1, 'host', TRUE, '', 0)",
];

#[tokio::test]
async fn postgres_keeps_the_engine_in_a_schema_next_to_host_tables_of_the_same_names() {
    on_postgres(|database: TestDatabase| async move {
        database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
        for sql in HOSTS_TABLES {
            database.execute(sql).await;
        }
        database.execute("INSERT INTO account VALUES ('4400', 1200); INSERT INTO invoice VALUES ('2026-1')").await;
        let db = Db::connect(&in_schema(&database, "billing")).await.unwrap();
        assert!(!db.has_migrated(MIGRATIONS).await.unwrap(), "the host's migrations are not the engine's");
        db.migrate(MIGRATIONS).await.unwrap();
        assert_eq!(applied(&db).await, versions(MIGRATIONS));
        let engine = database.through(&db);
        let account = engine.account("ada@example.com").await;
        engine.customer(&account, "cus_ada").await;
        assert!(accounts::by_id(&db, &account).await.unwrap().is_some());

        let only = |text: &str| vec![Some(text.to_owned())];
        assert_eq!(database.texts("SELECT code FROM public.account").await, only("4400"));
        assert_eq!(database.texts("SELECT number FROM public.invoice").await, only("2026-1"));
        assert_eq!(database.texts("SELECT description FROM public._sqlx_migrations").await, only("host"));
        let tables = "SELECT CAST(count(*) AS TEXT) FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(database.texts(tables).await, only("3"), "the engine created nothing among the host's tables");
        assert_eq!(database.texts("SELECT email FROM billing.account").await, only("ada@example.com"));
        db.close().await;
    })
    .await;
}

#[tokio::test]
async fn postgres_keeps_two_engines_in_two_schemas_apart() {
    on_postgres(|database: TestDatabase| async move {
        let mut nodes = Vec::new();
        for schema in ["one", "other"] {
            let db = Db::connect(&in_schema(&database, schema)).await.unwrap();
            db.migrate(MIGRATIONS).await.unwrap();
            nodes.push(db);
        }
        let account = database.through(&nodes[0]).account("ada@example.com").await;
        assert!(accounts::by_id(&nodes[0], &account).await.unwrap().is_some());
        assert!(accounts::by_id(&nodes[1], &account).await.unwrap().is_none());
        for node in nodes {
            node.close().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_creates_a_schema_once_for_nodes_that_start_together() {
    on_postgres(|database: TestDatabase| async move {
        for round in 0..5 {
            let url = in_schema(&database, &format!("billing_{round}"));
            let started = concurrently(4, |_| {
                let url = url.clone();
                async move {
                    let db = Db::connect(&url).await?;
                    db.migrate(MIGRATIONS).await?;
                    db.close().await;
                    Ok::<_, StoreError>(())
                }
            })
            .await;
            assert!(started.iter().all(Result::is_ok), "round {round}: {started:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn postgres_accepts_a_schema_named_like_an_sql_keyword() {
    on_postgres(|database: TestDatabase| async move {
        for schema in ["user", "order", "table", "select"] {
            let db = Db::connect(&in_schema(&database, schema)).await.expect(schema);
            db.migrate(MIGRATIONS).await.expect(schema);
            let tables = format!(
                "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = '{schema}' AND tablename = 'account'"
            );
            assert_eq!(database.texts(&tables).await.len(), 1, "{schema}");
            db.close().await;
        }
    })
    .await;
}
