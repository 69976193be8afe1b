//! Signing up, in and out.
//!
//! Passwords are Argon2; sessions lie in the database and get a new id at every
//! login; a wrong password and an unknown address take the same time and give the
//! same answer. Attempts are limited per address, and per peer where the peer is a
//! public address (`tests/http/auth.rs`).

mod backend;
pub mod sessions;
mod throttle;

use std::net::IpAddr;

use billing::email::{Email, EmailError};
use billing::{AccountId, UserId};

pub use backend::{Backend, Identity};

use crate::ids;
use crate::store::StoreError;
use crate::store::accounts::{self, NewUser};
use crate::tollgate::Tollgate;

/// The axum extractor for the session of a request.
pub type Session = axum_login::AuthSession<Backend>;

/// Somebody signed in, with the account they act for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub user_id: UserId,
    /// For which account.
    pub account_id: AccountId,
    /// Their address, as they typed it.
    pub email: String,
    /// Whether they are trusted with everybody's billing.
    pub is_operator: bool,
}

/// Who made a request. The guard puts it into the extensions of every request.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// `None` for somebody anonymous.
    pub signed_in: Option<SignedIn>,
}

/// Neither right nor wrong: it could not be found out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AuthUnavailable(String);

impl From<StoreError> for AuthUnavailable {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<axum_login::Error<Backend>> for AuthUnavailable {
    fn from(error: axum_login::Error<Backend>) -> Self {
        Self(error.to_string())
    }
}

/// Why a password was not taken, in words for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Fewer than [`PASSWORD_LEAST`] characters.
    #[error("Use at least 8 characters.")]
    TooShort,
    /// More than [`PASSWORD_MOST`] characters.
    #[error("Use at most 256 characters.")]
    TooLong,
}

/// The shortest password, in characters (NIST SP 800-63B).
pub const PASSWORD_LEAST: usize = 8;
/// The longest: more would only cost time to hash.
pub const PASSWORD_MOST: usize = 256;

/// Why there is no new user.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// The address is not usable.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// The password is not usable.
    #[error(transparent)]
    Password(#[from] PasswordFault),
    /// Somebody has signed up with it.
    #[error("the address is taken")]
    Taken,
    /// It could not be done now.
    #[error(transparent)]
    Unavailable(#[from] AuthUnavailable),
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The address or the password is wrong; which one is not said.
    #[error("wrong e-mail or password")]
    Wrong,
    /// Too many wrong attempts.
    #[error("too many attempts")]
    TooMany {
        /// Seconds until the next is taken.
        retry_after: u64,
    },
    /// It could not be done now.
    #[error(transparent)]
    Unavailable(#[from] AuthUnavailable),
}

/// Adds a user with a personal account and signs them in.
///
/// # Errors
/// See [`SignUpError`].
#[tracing::instrument(skip_all)]
pub async fn sign_up(
    tollgate: &Tollgate,
    session: &mut Session,
    email: &str,
    password: &str,
) -> Result<SignedIn, SignUpError> {
    let email = Email::parse(email)?;
    let password = checked(password)?;
    let identity = create_user(tollgate, &email, password).await?.ok_or(SignUpError::Taken)?;
    tracing::info!(user = %identity.signed_in.user_id, account = %identity.signed_in.account_id, "signed up");
    begin(session, &identity).await?;
    Ok(identity.signed_in)
}

/// Adds a user with a personal account. `None` when the address is taken.
///
/// # Errors
/// The database failed, or the password could not be hashed.
pub async fn create_user(
    tollgate: &Tollgate,
    email: &Email,
    password: String,
) -> Result<Option<Identity>, AuthUnavailable> {
    let hash = hashed(password).await?;
    let (id, account_id) = (UserId::new(ids::new_id()), AccountId::new(ids::new_id()));
    let user = NewUser { id: &id, account_id: &account_id, email, password_hash: &hash, at: tollgate.now() };
    let mut tx = tollgate.db().begin().await?;
    if !accounts::insert_user(&mut tx, &user).await? {
        return Ok(None);
    }
    tx.commit().await.map_err(AuthUnavailable::from)?;
    let user = accounts::user_by_id(tollgate.db(), &id).await?;
    Ok(user.map(Identity::from))
}

/// Signs somebody in. The session gets a new id.
///
/// # Errors
/// See [`LoginError`].
#[tracing::instrument(skip_all)]
pub async fn login(
    tollgate: &Tollgate,
    session: &mut Session,
    peer: Option<IpAddr>,
    email: &str,
    password: &str,
) -> Result<SignedIn, LoginError> {
    let identity = identified(tollgate, peer, email, password).await?;
    begin(session, &identity).await?;
    tracing::info!(user = %identity.signed_in.user_id, "logged in");
    Ok(identity.signed_in)
}

/// Makes sure that whoever is signed in knows their password, before something that cannot be undone.
///
/// # Errors
/// See [`LoginError`].
pub async fn confirm(
    tollgate: &Tollgate,
    who: &SignedIn,
    peer: Option<IpAddr>,
    password: &str,
) -> Result<(), LoginError> {
    let identity = identified(tollgate, peer, &who.email, password).await?;
    if identity.signed_in.user_id == who.user_id { Ok(()) } else { Err(LoginError::Wrong) }
}

/// Who has this address and this password. An attempt is taken before it is looked at, and given
/// back when it was right.
async fn identified(
    tollgate: &Tollgate,
    peer: Option<IpAddr>,
    email: &str,
    password: &str,
) -> Result<Identity, LoginError> {
    let key = email.trim().to_lowercase();
    let attempt = throttle::take(tollgate, &key, peer).await?;
    let user = accounts::user_by_login(tollgate.db(), &key).await.map_err(AuthUnavailable::from)?;
    let identity = user.map(Identity::from);
    let right = password.chars().count() <= PASSWORD_MOST
        && verified(password.to_owned(), identity.as_ref().map(Identity::password_hash)).await?;
    let Some(identity) = identity.filter(|_| right) else {
        tracing::info!("login refused");
        return Err(LoginError::Wrong);
    };
    attempt.give_back(tollgate).await?;
    Ok(identity)
}

/// Ends the session, here and in the database.
///
/// # Errors
/// The database failed.
pub async fn logout(session: &mut Session) -> Result<(), AuthUnavailable> {
    session.logout().await?;
    Ok(())
}

/// Where to go after signing in: a path of ours, or the dashboard. Never another site.
pub fn safe_next(next: Option<&str>) -> &str {
    const DEFAULT: &str = "/dashboard";
    let Some(next) = next else { return DEFAULT };
    let sound = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= 2048
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if sound { next } else { DEFAULT }
}

/// A session with nothing of an earlier one in it, under a new id.
async fn begin(session: &mut Session, identity: &Identity) -> Result<(), AuthUnavailable> {
    if session.user.is_some() {
        session.logout().await?;
        session.session.cycle_id().await.map_err(|error| AuthUnavailable(error.to_string()))?;
    }
    session.login(identity).await?;
    Ok(())
}

fn checked(password: &str) -> Result<String, PasswordFault> {
    match password.chars().count() {
        ..PASSWORD_LEAST => Err(PasswordFault::TooShort),
        PASSWORD_LEAST..=PASSWORD_MOST => Ok(password.to_owned()),
        _ => Err(PasswordFault::TooLong),
    }
}

async fn hashed(password: String) -> Result<String, AuthUnavailable> {
    tokio::task::spawn_blocking(move || password_auth::generate_hash(password))
        .await
        .map_err(|error| AuthUnavailable(error.to_string()))
}

/// Compares with the user's hash or, for an unknown address, with one that nothing matches:
/// how long it takes says nothing about who has an account.
async fn verified(password: String, hash: Option<String>) -> Result<bool, AuthUnavailable> {
    /// Argon2id of a random text that was thrown away.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$U29tZVNhbHRTb21lU2FsdA$xq6ffnxm3XIZN6Lq0KzOeoBDqkq8mfVqWmXvoL9qPyk";
    let known = hash.is_some();
    let right = tokio::task::spawn_blocking(move || {
        password_auth::verify_password(password, hash.as_deref().unwrap_or(NOBODY)).is_ok()
    })
    .await
    .map_err(|error| AuthUnavailable(error.to_string()))?;
    Ok(known && right)
}
