//! Errors of sign-ups and logins.

use billing::email::EmailError;
use engine::StoreError;

use super::backend::Backend;
use crate::hashing::HashingError;

/// Seconds to wait before the next attempt when too many passwords are being hashed.
const BUSY_FOR: u64 = 5;

/// The password could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum AuthUnavailable {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session could not be read or written.
    #[error("the session store failed")]
    Session(#[from] tower_sessions::session::Error),
    /// The user of the session could not be read.
    #[error("the session's user could not be read")]
    User(#[source] Box<axum_login::Error<Backend>>),
    /// The operating system's random number generator failed.
    #[error("random numbers are unavailable")]
    Random(#[from] getrandom::Error),
    /// Too many other passwords are being hashed.
    #[error("too many passwords are being hashed")]
    Busy {
        /// Seconds until the next attempt may succeed.
        retry_after: u64,
    },
    /// Hashing was interrupted.
    #[error(transparent)]
    Hashing(HashingError),
}

impl From<HashingError> for AuthUnavailable {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Self::Busy { retry_after: BUSY_FOR },
            interrupted @ HashingError::Interrupted(_) => Self::Hashing(interrupted),
        }
    }
}

impl From<axum_login::Error<Backend>> for AuthUnavailable {
    fn from(error: axum_login::Error<Backend>) -> Self {
        Self::User(Box::new(error))
    }
}

/// The reason a password was rejected, as a message for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short.
    #[error("Use at least {min} characters.")]
    TooShort {
        /// [`super::PASSWORD_MIN`].
        min: usize,
    },
    /// It is too long.
    #[error("Use at most {max} characters.")]
    TooLong {
        /// [`super::PASSWORD_MAX`].
        max: usize,
    },
}

/// The reason a sign-up failed.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// The address is not usable.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// The password is not usable.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The address is already registered.
    #[error("the address is taken")]
    Taken,
    /// The client has made too many attempts.
    #[error("too many attempts")]
    TooMany {
        /// Seconds until the next attempt is allowed.
        retry_after: u64,
    },
    /// It failed for a reason that may be temporary.
    #[error(transparent)]
    Unavailable(#[from] AuthUnavailable),
}

/// The reason a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The address or the password is wrong; the error does not say which.
    #[error("wrong e-mail or password")]
    Wrong,
    /// There were too many wrong attempts.
    #[error("too many attempts")]
    TooMany {
        /// Seconds until the next attempt is allowed.
        retry_after: u64,
    },
    /// It failed for a reason that may be temporary.
    #[error(transparent)]
    Unavailable(#[from] AuthUnavailable),
}
