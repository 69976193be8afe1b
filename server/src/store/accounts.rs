//! Users, accounts, memberships, Stripe customers, and the throttle on logins.

use billing::{AccountId, CustomerId, Timestamp, UserId};
use secrecy::SecretString;

use super::db::{Db, StoreError, Tx, query, statements};

statements! {
    INSERT_USER = "INSERT INTO app_user (id, email, login_key, email_canonical, password_hash, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (login_key) DO NOTHING";
    INSERT_ACCOUNT = "INSERT INTO account (id, name, created_at) VALUES ($1, $2, $3)";
    INSERT_MEMBERSHIP = "INSERT INTO membership (account_id, user_id, role) VALUES ($1, $2, 'owner')";
    USER_BY_LOGIN = "SELECT u.id, u.email, u.email_canonical, u.password_hash, m.account_id \
        FROM app_user u JOIN membership m ON m.user_id = u.id WHERE u.login_key = $1 ORDER BY m.account_id LIMIT 1";
    USER_BY_ID = "SELECT u.id, u.email, u.email_canonical, u.password_hash, m.account_id \
        FROM app_user u JOIN membership m ON m.user_id = u.id WHERE u.id = $1 ORDER BY m.account_id LIMIT 1";
    OWNER_CANONICAL_EMAIL = "SELECT u.email_canonical FROM app_user u JOIN membership m ON m.user_id = u.id \
        WHERE m.account_id = $1 AND m.role = 'owner' ORDER BY u.created_at, u.id LIMIT 1";
    ACCOUNT_EXISTS = "SELECT id FROM account WHERE id = $1";
    LOCK_ACCOUNT = "UPDATE account SET name = name WHERE id = $1";
    CUSTOMER_OF = "SELECT id FROM customer WHERE account_id = $1";
    ACCOUNT_OF = "SELECT account_id FROM customer WHERE id = $1";
    INSERT_CUSTOMER = "INSERT INTO customer (id, account_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    TAKE_LOGIN_ATTEMPT = "INSERT INTO login_throttle (throttle_key, window_start, attempts) VALUES ($1, $2, 1) \
        ON CONFLICT (throttle_key) DO UPDATE SET \
        attempts = CASE WHEN login_throttle.window_start <= $3 THEN 1 ELSE login_throttle.attempts + 1 END, \
        window_start = CASE WHEN login_throttle.window_start <= $3 THEN excluded.window_start ELSE login_throttle.window_start END \
        WHERE login_throttle.window_start <= $3 OR login_throttle.attempts < $4 RETURNING attempts";
    LOGIN_WINDOW = "SELECT window_start FROM login_throttle WHERE throttle_key = $1";
    GIVE_BACK_LOGIN_ATTEMPT = "UPDATE login_throttle SET attempts = attempts - 1 WHERE throttle_key = $1 AND attempts > 0";
}

/// Somebody who can sign in, with the account they act for.
#[derive(Clone, Debug)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// The account they act for.
    pub account_id: AccountId,
    /// The address as they typed it.
    pub email: String,
    /// The address as trials are counted by it.
    pub email_canonical: String,
    /// Argon2, in PHC form.
    pub password_hash: SecretString,
}

#[derive(sqlx::FromRow)]
struct UserRow {
    id: String,
    email: String,
    email_canonical: String,
    password_hash: String,
    account_id: String,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: UserId::new(row.id),
            account_id: AccountId::new(row.account_id),
            email: row.email,
            email_canonical: row.email_canonical,
            password_hash: row.password_hash.into(),
        }
    }
}

/// A user to be.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Their id.
    pub id: &'a UserId,
    /// The id of their personal account.
    pub account_id: &'a AccountId,
    /// Their address.
    pub email: &'a billing::email::Email,
    /// Argon2, in PHC form.
    pub password_hash: &'a str,
    /// Now.
    pub at: Timestamp,
}

/// Adds a user with a personal account that they own. `false` when the address is taken.
///
/// # Errors
/// The database failed; nothing was written.
pub async fn insert_user(tx: &mut Tx, user: &NewUser<'_>) -> Result<bool, StoreError> {
    let added = query!(Tx: &mut *tx, execute, INSERT_USER, user.id.as_str(), user.email.as_str(), user.email.login_key(),
        user.email.canonical(), user.password_hash, user.at.0)?;
    if added == 0 {
        return Ok(false);
    }
    query!(Tx: &mut *tx, execute, INSERT_ACCOUNT, user.account_id.as_str(), user.email.as_str(), user.at.0)?;
    query!(Tx: &mut *tx, execute, INSERT_MEMBERSHIP, user.account_id.as_str(), user.id.as_str())?;
    Ok(true)
}

/// The user with this [`billing::email::Email::login_key`].
///
/// # Errors
/// The database failed.
pub async fn user_by_login(db: &Db, login_key: &str) -> Result<Option<User>, StoreError> {
    Ok(query!(Db: db, fetch_optional as UserRow, USER_BY_LOGIN, login_key)?.map(User::from))
}

/// The user with this id.
///
/// # Errors
/// The database failed.
pub async fn user_by_id(db: &Db, id: &UserId) -> Result<Option<User>, StoreError> {
    Ok(query!(Db: db, fetch_optional as UserRow, USER_BY_ID, id.as_str())?.map(User::from))
}

/// The canonical address of the account's first owner, by which trials are counted.
///
/// # Errors
/// The database failed.
pub async fn owner_canonical_email(tx: &mut Tx, account: &AccountId) -> Result<Option<String>, StoreError> {
    Ok(query!(Tx: tx, fetch_optional as (String,), OWNER_CANONICAL_EMAIL, account.as_str())?.map(|(email,)| email))
}

/// The same outside a transaction.
///
/// # Errors
/// The database failed.
pub async fn canonical_email_of(db: &Db, account: &AccountId) -> Result<Option<String>, StoreError> {
    Ok(query!(Db: db, fetch_optional as (String,), OWNER_CANONICAL_EMAIL, account.as_str())?.map(|(email,)| email))
}

/// Whether there is such an account.
///
/// # Errors
/// The database failed.
pub async fn account_exists(db: &Db, account: &AccountId) -> Result<bool, StoreError> {
    Ok(query!(Db: db, fetch_optional as (String,), ACCOUNT_EXISTS, account.as_str())?.is_some())
}

/// Makes every other transaction that locks the same account wait until this one ends.
///
/// # Errors
/// The database failed.
pub async fn lock_account(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    query!(Tx: tx, execute, LOCK_ACCOUNT, account.as_str()).map(drop)
}

/// The Stripe customer of an account.
///
/// # Errors
/// The database failed.
pub async fn customer_of(db: &Db, account: &AccountId) -> Result<Option<CustomerId>, StoreError> {
    Ok(query!(Db: db, fetch_optional as (String,), CUSTOMER_OF, account.as_str())?.map(|(id,)| CustomerId::new(id)))
}

/// The account of a Stripe customer.
///
/// # Errors
/// The database failed.
pub async fn account_of(db: &Db, customer: &CustomerId) -> Result<Option<AccountId>, StoreError> {
    Ok(query!(Db: db, fetch_optional as (String,), ACCOUNT_OF, customer.as_str())?.map(|(id,)| AccountId::new(id)))
}

/// Links a Stripe customer to an account. `true` when the two are partners now, whoever linked
/// them; `false` when either already has another partner.
///
/// # Errors
/// The database failed.
pub async fn link_customer(
    tx: &mut Tx,
    customer: &CustomerId,
    account: &AccountId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    if query!(Tx: &mut *tx, execute, INSERT_CUSTOMER, customer.as_str(), account.as_str(), at.0)? > 0 {
        return Ok(true);
    }
    let partner = query!(Tx: tx, fetch_optional as (String,), ACCOUNT_OF, customer.as_str())?;
    Ok(partner.is_some_and(|(partner,)| partner == account.as_str()))
}

/// Takes one login attempt out of a window that began after `stale`; `Err(window start)` inside
/// the `Ok` when all `most` are used up.
///
/// # Errors
/// The database failed.
pub async fn take_login_attempt(
    tx: &mut Tx,
    key: &str,
    now: Timestamp,
    stale: Timestamp,
    most: i64,
) -> Result<Result<(), Timestamp>, StoreError> {
    let taken = query!(Tx: &mut *tx, fetch_optional as (i64,), TAKE_LOGIN_ATTEMPT, key, now.0, stale.0, most)?;
    if taken.is_some() {
        return Ok(Ok(()));
    }
    let (start,) = query!(Tx: tx, fetch_one as (i64,), LOGIN_WINDOW, key)?;
    Ok(Err(Timestamp(start)))
}

/// Gives an attempt back that turned out to be the right person's.
///
/// # Errors
/// The database failed.
pub async fn give_back_login_attempt(tx: &mut Tx, key: &str) -> Result<(), StoreError> {
    query!(Tx: tx, execute, GIVE_BACK_LOGIN_ATTEMPT, key).map(drop)
}
