//! Users, accounts, memberships, and the throttle on logins.

use billing::{AccountId, Timestamp, UserId};
use secrecy::SecretString;

use super::After;
use super::db::{Db, StoreError, Tx, query, statements};

/// Accounts with their owner's address and their customer, one row each.
macro_rules! account_rows {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT a.id, COALESCE(MIN(u.email), a.name) AS email, MIN(c.id) AS customer_id, a.created_at, a.closed_at \
            FROM account a LEFT JOIN membership m ON m.account_id = a.id AND m.role = 'owner' \
            LEFT JOIN app_user u ON u.id = m.user_id LEFT JOIN customer c ON c.account_id = a.id AND NOT c.is_deleted ",
            $which,
            " GROUP BY a.id, a.name, a.created_at, a.closed_at ",
            $order
        )
    };
}

statements! {
    INSERT_USER = "INSERT INTO app_user (id, email, login_key, email_canonical, password_hash, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (login_key) DO NOTHING";
    INSERT_ACCOUNT = "INSERT INTO account (id, name, created_at) VALUES ($1, $2, $3)";
    INSERT_MEMBERSHIP = "INSERT INTO membership (account_id, user_id, role) VALUES ($1, $2, 'owner')";
    USER_BY_LOGIN = "SELECT u.id, u.email, u.email_canonical, u.password_hash, u.role, m.account_id \
        FROM app_user u JOIN membership m ON m.user_id = u.id WHERE u.login_key = $1 ORDER BY m.account_id LIMIT 1";
    USER_BY_ID = "SELECT u.id, u.email, u.email_canonical, u.password_hash, u.role, m.account_id \
        FROM app_user u JOIN membership m ON m.user_id = u.id WHERE u.id = $1 ORDER BY m.account_id LIMIT 1";
    OWNER_CANONICAL_EMAIL = "SELECT u.email_canonical FROM app_user u JOIN membership m ON m.user_id = u.id \
        WHERE m.account_id = $1 AND m.role = 'owner' ORDER BY u.created_at, u.id LIMIT 1";
    // What is searched for is bound as a pattern that has no wildcards of its own: see `like`.
    SEARCH_ACCOUNTS = account_rows!("WHERE ($1 = '' OR u.login_key LIKE $1 ESCAPE '!' OR c.id = $2 OR a.id = $2) \
        AND (a.created_at < $3 OR (a.created_at = $3 AND a.id < $4))", "ORDER BY a.created_at DESC, a.id DESC LIMIT $5");
    ACCOUNT_ROW = account_rows!("WHERE a.id = $1", "");
    ACCOUNT_EXISTS = "SELECT id FROM account WHERE id = $1";
    LOCK_ACCOUNT = "UPDATE account SET name = name WHERE id = $1 AND closed_at IS NULL";
    SET_ROLE = "UPDATE app_user SET role = $2 WHERE login_key = $1";
    OPERATORS = "SELECT email FROM app_user WHERE role = 'operator' ORDER BY email";
    CLOSE_ACCOUNT = "UPDATE account SET closed_at = $2, name = 'closed' WHERE id = $1";
    MEMBERS = "SELECT user_id FROM membership WHERE account_id = $1";
    DELETE_MEMBERSHIPS = "DELETE FROM membership WHERE account_id = $1";
    DELETE_LONELY_USER = "DELETE FROM app_user WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM membership WHERE user_id = $1)";
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
    /// What they may do besides.
    pub role: Role,
}

/// What somebody may do besides what their account's plan opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Customer,
    /// See and mend everybody's billing.
    Operator,
}

impl Role {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
        }
    }
}

#[derive(sqlx::FromRow)]
struct UserRow {
    id: String,
    email: String,
    email_canonical: String,
    password_hash: String,
    role: String,
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
            role: if row.role == Role::Operator.as_str() { Role::Operator } else { Role::Customer },
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

/// Whether there is such an account, closed or not.
///
/// # Errors
/// The database failed.
pub async fn exists(tx: &mut Tx, account: &AccountId) -> Result<bool, StoreError> {
    Ok(query!(Tx: tx, fetch_optional as (String,), ACCOUNT_EXISTS, account.as_str())?.is_some())
}

/// An account as operators see it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct AccountRow {
    /// Its id.
    pub id: String,
    /// Its owner's address.
    pub email: String,
    /// Its customer at Stripe.
    pub customer_id: Option<String>,
    /// Epoch seconds.
    pub created_at: i64,
    /// Epoch seconds.
    pub closed_at: Option<i64>,
}

/// Accounts whose owner's address contains `text`, or whose own or Stripe's id it is; all of them
/// for an empty text. Newest first.
///
/// # Errors
/// The database failed.
pub async fn search(db: &Db, text: &str, after: &After, most: i64) -> Result<Vec<AccountRow>, StoreError> {
    let text = text.trim();
    let pattern = if text.is_empty() { String::new() } else { like(text) };
    query!(Db: db, fetch_all as AccountRow, SEARCH_ACCOUNTS, pattern, text, after.at.0, after.key.as_str(), most)
}

/// The account with this id.
///
/// # Errors
/// The database failed.
pub async fn row(db: &Db, id: &AccountId) -> Result<Option<AccountRow>, StoreError> {
    query!(Db: db, fetch_optional as AccountRow, ACCOUNT_ROW, id.as_str())
}

/// The pattern for what contains `text`, in which nothing of `text` is a wildcard.
fn like(text: &str) -> String {
    let plain: String = text
        .to_lowercase()
        .chars()
        .flat_map(|c| ['!'].into_iter().filter(move |_| "%_!".contains(c)).chain([c]))
        .collect();
    format!("%{plain}%")
}

/// Makes every other transaction that locks the same account wait until this one ends. `false`
/// when the account is closed: then nobody waits.
///
/// # Errors
/// The database failed.
pub async fn lock_account(tx: &mut Tx, account: &AccountId) -> Result<bool, StoreError> {
    query!(Tx: tx, execute, LOCK_ACCOUNT, account.as_str()).map(|locked| locked > 0)
}

/// Gives the user with this [`billing::email::Email::login_key`] a role. `false` when there is none.
///
/// # Errors
/// The database failed.
pub async fn set_role(tx: &mut Tx, login_key: &str, role: Role) -> Result<bool, StoreError> {
    query!(Tx: tx, execute, SET_ROLE, login_key, role.as_str()).map(|changed| changed > 0)
}

/// The addresses of all operators.
///
/// # Errors
/// The database failed.
pub async fn operators(db: &Db) -> Result<Vec<String>, StoreError> {
    Ok(query!(Db: db, fetch_all as (String,), OPERATORS)?.into_iter().map(|(email,)| email).collect())
}

/// Closes an account for good: nobody belongs to it any more, and whoever belonged to no other is
/// deleted. The account itself stays, because what it paid stays.
///
/// # Errors
/// The database failed.
pub async fn close(tx: &mut Tx, account: &AccountId, at: Timestamp) -> Result<(), StoreError> {
    query!(Tx: &mut *tx, execute, CLOSE_ACCOUNT, account.as_str(), at.0)?;
    let members = query!(Tx: &mut *tx, fetch_all as (String,), MEMBERS, account.as_str())?;
    query!(Tx: &mut *tx, execute, DELETE_MEMBERSHIPS, account.as_str())?;
    for (member,) in members {
        query!(Tx: &mut *tx, execute, DELETE_LONELY_USER, member)?;
    }
    Ok(())
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
