//! Signing in.

use std::net::IpAddr;

use super::backend::Identity;
use super::error::{AuthUnavailable, LoginError};
use super::session::{Session, begin};
use super::visitor::SignedIn;
use super::{password, throttle};
use crate::store::users;
use crate::tollgate::Tollgate;

/// Signs a user in. The session gets a new id.
#[tracing::instrument(skip_all)]
pub async fn login(
    tollgate: &Tollgate,
    session: &mut Session,
    client: Option<IpAddr>,
    email: &str,
    password: &str,
) -> Result<SignedIn, LoginError> {
    let identity = authenticate(tollgate, client, email, password).await?;
    begin(session, &identity).await?;
    tracing::info!(user = %identity.signed_in.user_id, "logged in");
    Ok(identity.signed_in)
}

/// Checks that the signed-in user knows their password, before something that cannot be undone.
pub async fn confirm(
    tollgate: &Tollgate,
    who: &SignedIn,
    client: Option<IpAddr>,
    password: &str,
) -> Result<(), LoginError> {
    let identity = authenticate(tollgate, client, &who.email, password).await?;
    if identity.signed_in.user_id == who.user_id { Ok(()) } else { Err(LoginError::Wrong) }
}

/// Finds the user with this address and password. The attempt is counted before the password is
/// checked, and given back if it was right.
async fn authenticate(
    tollgate: &Tollgate,
    client: Option<IpAddr>,
    email: &str,
    password: &str,
) -> Result<Identity, LoginError> {
    let login_key = email.trim().to_lowercase();
    let attempt = throttle::take(tollgate, &login_key, client).await?;
    let user = users::by_login(tollgate.db(), &login_key).await.map_err(AuthUnavailable::from)?;
    let identity = user.map(Identity::from);
    let is_right = password::verify(password.to_owned(), identity.as_ref().map(Identity::password_hash)).await?;
    let Some(identity) = identity.filter(|_| is_right) else {
        tracing::info!("login refused");
        return Err(LoginError::Wrong);
    };
    attempt.give_back(tollgate).await?;
    Ok(identity)
}
