//! Signing in.

use engine::StoreError;
use engine::store::Tx;

use super::backend::Identity;
use super::client::Client;
use super::device::{self, Device};
use super::error::{AuthUnavailable, LoginError};
use super::session::{Session, begin};
use super::visitor::SignedIn;
use super::{password, throttle};
use crate::store::users;
use crate::tollgate::Tollgate;

/// Signs a user in, and returns the device to store in the browser. The session gets a new id.
#[tracing::instrument(skip_all)]
pub async fn login(
    tollgate: &Tollgate,
    session: &mut Session,
    client: &Client,
    email: &str,
    password: &str,
) -> Result<Device, LoginError> {
    let (identity, known_device) = authenticate(tollgate, client, email, password).await?;
    let user = &identity.signed_in.user_id;
    let device = device::remember(tollgate, known_device, &login_key(email), user).await?;
    begin(session, &identity).await?;
    tracing::info!(%user, "logged in");
    Ok(device)
}

/// Checks the signed-in user's password again, before something that cannot be undone.
pub async fn confirm(tollgate: &Tollgate, who: &SignedIn, client: &Client, password: &str) -> Result<(), LoginError> {
    let (identity, _) = authenticate(tollgate, client, &who.email, password).await?;
    if identity.signed_in.user_id == who.user_id { Ok(()) } else { Err(LoginError::Wrong) }
}

/// Finds the user with this address and password, and the device if the user is known on it. The attempt is
/// counted before the password is checked, and no longer counts if the password was right or was not checked.
async fn authenticate(
    tollgate: &Tollgate,
    client: &Client,
    email: &str,
    password: &str,
) -> Result<(Identity, Option<Device>), LoginError> {
    let login_key = login_key(email);
    let attempt = throttle::log_in(tollgate, &login_key, client).await?;
    let checked = check(tollgate, &login_key, password).await;
    if !matches!(checked, Ok(None)) {
        attempt.release(tollgate).await?;
    }
    let identity = checked?;
    if identity.is_none() {
        tracing::info!("login failed");
    }
    Ok((identity.ok_or(LoginError::Wrong)?, attempt.known_device))
}

async fn check(tollgate: &Tollgate, login_key: &str, password: &str) -> Result<Option<Identity>, AuthUnavailable> {
    let identity = users::by_login(tollgate.db(), login_key).await?.map(Identity::from);
    let hash = identity.as_ref().map(Identity::password_hash);
    let is_right = password::verify(tollgate, password.to_owned(), hash).await?;
    Ok(identity.filter(|_| is_right))
}

/// Deletes the counts of attempts to log in as a deleted user.
pub(crate) async fn forget(tx: &mut Tx, email: &str, client: &Client) -> Result<(), StoreError> {
    throttle::forget(tx, &login_key(email), client).await
}

/// [`billing::email::Email::login_key`] for input that may not be an address.
fn login_key(email: &str) -> String {
    email.trim().to_lowercase()
}
