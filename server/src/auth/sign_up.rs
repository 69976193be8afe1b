//! Creating users.

use billing::email::Email;
use billing::{AccountId, Timestamp, UserId};
use engine::{StoreError, accounts, ids};

use super::backend::Identity;
use super::client::Client;
use super::device::{self, Device};
use super::error::{AuthUnavailable, SignUpError};
use super::session::{Session, begin};
use super::visitor::SignedIn;
use super::{password, throttle};
use crate::demo;
use crate::store::users::{self, Role};
use crate::tollgate::Tollgate;

/// Creates a user with an account of their own, and signs them in. Returns the device to store in the
/// browser. Outside the sandbox a demo account's address counts as taken.
#[tracing::instrument(skip_all)]
pub async fn sign_up(
    tollgate: &Tollgate,
    session: &mut Session,
    client: &Client,
    email: &str,
    password: &str,
) -> Result<Device, SignUpError> {
    let email = Email::parse(email)?;
    password::check(password)?;
    throttle::sign_up(tollgate, client).await?;
    if demo::is_address(&email.login_key()) && !tollgate.config().is_sandbox() {
        return Err(SignUpError::Taken);
    }
    let identity = create_user(tollgate, &email, password.to_owned()).await?.ok_or(SignUpError::Taken)?;
    tracing::info!(user = %identity.signed_in.user_id, account = %identity.signed_in.account_id, "signed up");
    let user = &identity.signed_in.user_id;
    let device = device::remember(tollgate, None, &email.login_key(), user).await?;
    begin(session, &identity).await?;
    Ok(device)
}

/// Creates a user with an account of their own. Returns `None` if the address is taken.
pub async fn create_user(
    tollgate: &Tollgate,
    email: &Email,
    password: String,
) -> Result<Option<Identity>, AuthUnavailable> {
    let password_hash = password::hash(tollgate, password).await?;
    let signed_in = SignedIn {
        user_id: UserId::new(ids::new_id()),
        account_id: AccountId::new(ids::new_id()),
        email: email.as_str().to_owned(),
        is_operator: false,
    };
    let created_at = tollgate.now();
    if !store(tollgate, email, &password_hash, &signed_in, created_at).await? {
        return Ok(None);
    }
    let user = users::User {
        id: signed_in.user_id,
        account_id: signed_in.account_id,
        email: signed_in.email,
        password_hash: password_hash.into(),
        role: Role::Customer,
        created_at,
    };
    Ok(Some(Identity::from(user)))
}

async fn store(
    tollgate: &Tollgate,
    email: &Email,
    password_hash: &str,
    who: &SignedIn,
    created_at: Timestamp,
) -> Result<bool, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    if !users::insert(&mut tx, &who.user_id, email, password_hash, created_at).await? {
        return Ok(false);
    }
    let has_revived = accounts::ensure_in(&mut tx, tollgate, &who.account_id, email, None).await?;
    users::add_owner(&mut tx, &who.account_id, &who.user_id).await?;
    tollgate.cache().commit(tx, vec![who.account_id.clone()]).await?;
    if has_revived {
        tollgate.wake_worker().notify_one();
    }
    Ok(true)
}
