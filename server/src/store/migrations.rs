//! The engine's tables and the app's, in one database.

use engine::store::{Db, MIGRATIONS, MigrationSet, StoreError};

/// The app's own tables: versions from 1001.
const APP: MigrationSet = MigrationSet(&[
    (1001, "users", include_str!("../../../migrations/app/1001_users.sql")),
    (1002, "workspace", include_str!("../../../migrations/app/1002_workspace.sql")),
]);

/// Applies the missing migrations. Safe to run on several nodes at the same time.
pub async fn migrate(db: &Db) -> Result<(), StoreError> {
    db.migrate(MIGRATIONS).await?;
    db.migrate(APP).await
}

/// Returns whether the database is reachable and has every migration.
pub async fn is_migrated(db: &Db) -> Result<bool, StoreError> {
    Ok(db.has_migrated(MIGRATIONS).await? && db.has_migrated(APP).await?)
}
