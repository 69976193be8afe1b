//! The session of a request.

use super::backend::{Backend, Identity};
use super::error::AuthUnavailable;

/// The axum extractor for the session of a request.
pub type Session = axum_login::AuthSession<Backend>;

/// Ends the session, here and in the database.
pub async fn logout(session: &mut Session) -> Result<(), AuthUnavailable> {
    session.logout().await?;
    Ok(())
}

/// Starts a session under a new id, without any data of an earlier one.
pub(super) async fn begin(session: &mut Session, identity: &Identity) -> Result<(), AuthUnavailable> {
    if session.user.is_some() {
        session.logout().await?;
        session.session.cycle_id().await?;
    }
    session.login(identity).await?;
    Ok(())
}
