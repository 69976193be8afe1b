//! The account's own domain.

use engine::{Permit, StoreError};

use super::error::WorkspaceError;
use crate::store::custom_domains as rows;
use crate::tollgate::Tollgate;

/// Returns the account's domain.
pub async fn custom_domain(tollgate: &Tollgate, permit: &Permit) -> Result<Option<String>, StoreError> {
    rows::of_account(tollgate.db(), permit.account_id()).await
}

/// Sets the account's domain.
pub async fn set_custom_domain(tollgate: &Tollgate, permit: &Permit, domain: &str) -> Result<(), WorkspaceError> {
    let domain = domain.trim().trim_end_matches('.').to_ascii_lowercase();
    if !is_domain(&domain) {
        let message = "Enter a domain such as app.example.com, without http:// or a path.";
        return Err(WorkspaceError::invalid("domain", message));
    }
    let mut tx = tollgate.db().begin().await?;
    if rows::owner(&mut tx, &domain).await?.is_some_and(|owner| owner != *permit.account_id()) {
        return Err(WorkspaceError::invalid("domain", "Another account uses this domain."));
    }
    rows::set(&mut tx, permit.account_id(), &domain, tollgate.now()).await?;
    tx.commit().await?;
    Ok(())
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(is_label)
        && text.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()))
}
