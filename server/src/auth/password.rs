//! Password rules and hashes.

use super::error::{AuthUnavailable, PasswordError};
use crate::tollgate::Tollgate;

/// The minimum length of a password, in characters (NIST SP 800-63B).
pub const PASSWORD_MIN: usize = 8;
/// The maximum length of a password, in characters: a longer one would only take longer to hash.
pub const PASSWORD_MAX: usize = 256;

/// The Argon2id hash of a random text that was discarded.
const NO_USER: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$U29tZVNhbHRTb21lU2FsdA$xq6ffnxm3XIZN6Lq0KzOeoBDqkq8mfVqWmXvoL9qPyk";

/// Checks the length of a new password.
pub(super) fn check(password: &str) -> Result<(), PasswordError> {
    match password.chars().count() {
        ..PASSWORD_MIN => Err(PasswordError::TooShort { min: PASSWORD_MIN }),
        PASSWORD_MIN..=PASSWORD_MAX => Ok(()),
        _ => Err(PasswordError::TooLong { max: PASSWORD_MAX }),
    }
}

/// Hashes a new password.
pub(super) async fn hash(tollgate: &Tollgate, password: String) -> Result<String, AuthUnavailable> {
    Ok(tollgate.hashing().run(move || password_auth::generate_hash(password)).await?)
}

/// Compares a password with a user's hash or, for an unknown address, with one that nothing matches, so
/// that the response time does not reveal who has an account.
pub(crate) async fn verify(
    tollgate: &Tollgate,
    password: String,
    hash: Option<String>,
) -> Result<bool, AuthUnavailable> {
    if password.chars().count() > PASSWORD_MAX {
        return Ok(false);
    }
    let is_known = hash.is_some();
    let verify = move || password_auth::verify_password(password, hash.as_deref().unwrap_or(NO_USER)).is_ok();
    Ok(tollgate.hashing().run(verify).await? && is_known)
}
