//! The backend of axum-login: finds a session's user, and ends the session if their password changed.

use axum_login::{AuthUser, AuthnBackend};
use billing::UserId;
use engine::StoreError;
use secrecy::{ExposeSecret, SecretString};

use super::visitor::SignedIn;
use crate::store::users::{Role, User};
use crate::tollgate::Tollgate;

/// Finds the user of a session.
#[derive(Clone, Debug)]
pub struct Backend(Tollgate);

impl Backend {
    /// Creates the backend.
    pub const fn new(tollgate: Tollgate) -> Self {
        Self(tollgate)
    }
}

/// A user and their password hash, which `Debug` redacts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub signed_in: SignedIn,
    password_hash: SecretString,
}

impl Identity {
    pub(super) fn password_hash(&self) -> String {
        self.password_hash.expose_secret().to_owned()
    }
}

impl From<User> for Identity {
    fn from(user: User) -> Self {
        Self {
            signed_in: SignedIn {
                user_id: user.id,
                account_id: user.account_id,
                email: user.email,
                is_operator: user.role == Role::Operator,
            },
            password_hash: user.password_hash,
        }
    }
}

impl AuthUser for Identity {
    type Id = String;

    fn id(&self) -> String {
        self.signed_in.user_id.to_string()
    }

    /// Changing the password ends the sessions that were started with the old one.
    fn session_auth_hash(&self) -> &[u8] {
        self.password_hash.expose_secret().as_bytes()
    }
}

impl AuthnBackend for Backend {
    type User = Identity;
    type Credentials = std::convert::Infallible;
    type Error = StoreError;

    /// Never called: [`super::login`] checks passwords, after the throttle.
    async fn authenticate(&self, credentials: Self::Credentials) -> Result<Option<Identity>, StoreError> {
        match credentials {}
    }

    async fn get_user(&self, id: &String) -> Result<Option<Identity>, StoreError> {
        let user = self.0.user_cache().user(self.0.db(), &UserId::new(id)).await?;
        Ok(user.map(|user| Identity::from(User::clone(&user))))
    }
}
