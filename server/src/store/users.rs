//! Users, and the accounts they act for.

use billing::email::Email;
use billing::{AccountId, Timestamp, UserId};
use engine::store::{Db, StoreError, Tx, columns, statements, values};
use secrecy::SecretString;

statements! {
    INSERT = "INSERT INTO app_user (id, email, login_key, password_hash, created_at) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (login_key) DO NOTHING";
    INSERT_MEMBERSHIP = "INSERT INTO membership (account_id, user_id, role) VALUES ($1, $2, 'owner')";
    BY_LOGIN = "SELECT u.id, u.email, u.password_hash, u.role, u.created_at, m.account_id \
        FROM app_user u JOIN membership m ON m.user_id = u.id WHERE u.login_key = $1 ORDER BY m.account_id LIMIT 1";
    BY_ID = "SELECT u.id, u.email, u.password_hash, u.role, u.created_at, m.account_id \
        FROM app_user u JOIN membership m ON m.user_id = u.id WHERE u.id = $1 ORDER BY m.account_id LIMIT 1";
    SET_ROLE = "UPDATE app_user SET role = $2 WHERE id = $1";
    OPERATORS = "SELECT email FROM app_user WHERE role = 'operator' ORDER BY email";
    MEMBERS = "SELECT user_id FROM membership WHERE account_id = $1";
    DELETE_MEMBERSHIPS = "DELETE FROM membership WHERE account_id = $1";
    DELETE_WITHOUT_ACCOUNT = "DELETE FROM app_user WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM membership WHERE user_id = $1)";
}

/// A user, with the account they act for.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's id, which is not the account's.
    pub id: UserId,
    /// The account they act for.
    pub account_id: AccountId,
    /// The address as they typed it.
    pub email: String,
    /// Argon2, in PHC form.
    pub password_hash: SecretString,
    /// What they may do besides using their account.
    pub role: Role,
    /// When they signed up.
    pub created_at: Timestamp,
}

/// A user's permissions beyond their account's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// None.
    Customer,
    /// Sees and repairs everyone's billing.
    Operator,
}

impl Role {
    /// Returns the value in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
        }
    }
}

struct UserRow {
    id: String,
    email: String,
    password_hash: String,
    role: String,
    created_at: i64,
    account_id: String,
}

columns!(UserRow { id, email, password_hash, role, created_at, account_id });

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: UserId::new(row.id),
            account_id: AccountId::new(row.account_id),
            created_at: Timestamp(row.created_at),
            email: row.email,
            password_hash: row.password_hash.into(),
            // The table allows these two.
            role: if row.role == Role::Operator.as_str() { Role::Operator } else { Role::Customer },
        }
    }
}

/// Creates a user; `false` if the address is taken.
pub async fn insert(
    tx: &mut Tx,
    id: &UserId,
    email: &Email,
    password_hash: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let values = values![id.as_str(), email.as_str(), email.login_key(), password_hash, at.0];
    Ok(tx.execute(INSERT, values).await? > 0)
}

/// Makes a user the owner of an account.
pub async fn add_owner(tx: &mut Tx, account: &AccountId, user: &UserId) -> Result<(), StoreError> {
    tx.execute(INSERT_MEMBERSHIP, values![account.as_str(), user.as_str()]).await.map(drop)
}

/// Finds a user by [`Email::login_key`].
pub async fn by_login(db: &Db, login_key: &str) -> Result<Option<User>, StoreError> {
    Ok(db.fetch_optional::<UserRow>(BY_LOGIN, values![login_key]).await?.map(User::from))
}

/// Finds a user by id.
pub async fn by_id(db: &Db, id: &UserId) -> Result<Option<User>, StoreError> {
    Ok(db.fetch_optional::<UserRow>(BY_ID, values![id.as_str()]).await?.map(User::from))
}

/// Sets a user's role; `false` if the user does not exist.
pub async fn set_role(tx: &mut Tx, id: &UserId, role: Role) -> Result<bool, StoreError> {
    Ok(tx.execute(SET_ROLE, values![id.as_str(), role.as_str()]).await? > 0)
}

/// Returns the addresses of all operators.
pub async fn operators(db: &Db) -> Result<Vec<String>, StoreError> {
    Ok(db.fetch_all::<(String,)>(OPERATORS, values![]).await?.into_iter().map(|(email,)| email).collect())
}

/// Removes everyone from an account, deletes users that belong to no other, and returns their ids.
pub async fn remove_members(tx: &mut Tx, account: &AccountId) -> Result<Vec<UserId>, StoreError> {
    let members = tx.fetch_all::<(String,)>(MEMBERS, values![account.as_str()]).await?;
    let members: Vec<_> = members.into_iter().map(|(id,)| UserId::new(id)).collect();
    tx.execute(DELETE_MEMBERSHIPS, values![account.as_str()]).await?;
    for member in &members {
        tx.execute(DELETE_WITHOUT_ACCOUNT, values![member.as_str()]).await?;
    }
    Ok(members)
}
