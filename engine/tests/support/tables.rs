//! The tables of a test's database.

use engine::store::{Db, MIGRATIONS, StoreError};

/// Creates the engine's tables.
pub async fn migrate(db: &Db) -> Result<(), StoreError> {
    db.migrate(MIGRATIONS).await
}
