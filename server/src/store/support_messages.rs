//! Messages to support.

use billing::{AccountId, Timestamp};
use engine::store::{Db, StoreError, Tx, columns, statements, values};

statements! {
    OF_ACCOUNT = "SELECT id, subject, body, created_at FROM support_message \
        WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT 50";
    INSERT = "INSERT INTO support_message (id, account_id, subject, body, created_at) VALUES ($1, $2, $3, $4, $5)";
    DELETE_ALL = "DELETE FROM support_message WHERE account_id = $1";
}

/// A message that an account has sent.
#[derive(Clone, Debug)]
pub struct SupportMessageRow {
    /// The id, which orders messages of the same time.
    pub id: String,
    /// The subject that its author entered.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Epoch seconds.
    pub created_at: i64,
}

columns!(SupportMessageRow { id, subject, body, created_at });

/// Returns the account's latest fifty messages, newest first.
pub async fn of_account(db: &Db, account: &AccountId) -> Result<Vec<SupportMessageRow>, StoreError> {
    db.fetch_all(OF_ACCOUNT, values![account.as_str()]).await
}

/// Stores a message.
pub async fn insert(
    tx: &mut Tx,
    account: &AccountId,
    id: &str,
    subject: &str,
    body: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(INSERT, values![id, account.as_str(), subject, body, at.0]).await.map(drop)
}

/// Deletes the messages of an account.
pub async fn delete_all(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    tx.execute(DELETE_ALL, values![account.as_str()]).await.map(drop)
}
