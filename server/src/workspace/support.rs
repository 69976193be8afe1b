//! Messages to support.

use billing::Timestamp;
use engine::{Permit, StoreError, ids};

use super::error::{Text, WorkspaceError};
use crate::store::support_messages as rows;
use crate::tollgate::Tollgate;

const SUBJECT: Text = Text { field: "subject", required: "Enter a subject.", max: SUBJECT_MAX };
const BODY: Text = Text { field: "body", required: "Enter a message.", max: BODY_MAX };
/// The maximum length of a subject, in characters.
pub const SUBJECT_MAX: usize = 200;
/// The maximum length of a message, in characters.
pub const BODY_MAX: usize = 10_000;

/// A message to support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportMessage {
    /// The id, which also orders messages of the same time.
    pub id: String,
    /// The subject that its author entered.
    pub subject: String,
    /// The text.
    pub body: String,
    /// When it was sent.
    pub created_at: Timestamp,
}

/// Returns the account's latest fifty messages, newest first.
pub async fn support_messages(tollgate: &Tollgate, permit: &Permit) -> Result<Vec<SupportMessage>, StoreError> {
    let rows = rows::of_account(tollgate.db(), permit.account_id()).await?;
    let message = |row: rows::SupportMessageRow| SupportMessage {
        id: row.id,
        subject: row.subject,
        body: row.body,
        created_at: Timestamp(row.created_at),
    };
    Ok(rows.into_iter().map(message).collect())
}

/// Stores a message.
pub async fn send_support_message(
    tollgate: &Tollgate,
    permit: &Permit,
    subject: &str,
    body: &str,
) -> Result<(), WorkspaceError> {
    let (subject, body) = (SUBJECT.check(subject)?, BODY.check(body)?);
    let mut tx = tollgate.db().begin().await?;
    rows::insert(&mut tx, permit.account_id(), &ids::new_id(), subject, body, tollgate.now()).await?;
    tx.commit().await?;
    Ok(())
}
