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
/// checked, and given back if it was right or not checked.
async fn authenticate(
    tollgate: &Tollgate,
    client: Option<IpAddr>,
    email: &str,
    password: &str,
) -> Result<Identity, LoginError> {
    let login_key = email.trim().to_lowercase();
    let attempt = throttle::take(tollgate, &login_key, client).await?;
    let checked = check(tollgate, &login_key, password).await;
    if !matches!(checked, Ok(None)) {
        attempt.give_back(tollgate).await?;
    }
    let identity = checked?;
    if identity.is_none() {
        tracing::info!("login refused");
    }
    identity.ok_or(LoginError::Wrong)
}

async fn check(tollgate: &Tollgate, login_key: &str, password: &str) -> Result<Option<Identity>, AuthUnavailable> {
    let identity = users::by_login(tollgate.db(), login_key).await?.map(Identity::from);
    let hash = identity.as_ref().map(Identity::password_hash);
    let is_right = password::verify(tollgate, password.to_owned(), hash).await?;
    Ok(identity.filter(|_| is_right))
}
