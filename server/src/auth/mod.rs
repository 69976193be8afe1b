//! Signing up, in and out.
//!
//! Passwords are hashed with Argon2 ([`crate::hashing`]); sessions are in the database and get a new id at
//! every login; a wrong password and an unknown address take the same time and get the same response.
//! Attempts are limited (`throttle.rs`, `tests/http/auth.rs`).

mod backend;
mod client;
mod device;
mod error;
mod identify;
mod login;
mod next;
mod password;
mod session;
pub mod session_store;
mod sign_up;
mod throttle;
mod visitor;

pub use backend::{Backend, Identity};
pub use client::Client;
pub use device::Device;
pub use error::{AuthUnavailable, LoginError, PasswordError, SignUpError};
pub use identify::SessionIdentity;
pub(crate) use login::forget;
pub use login::{confirm, login};
pub use next::safe_next;
pub(crate) use password::verify as verify_password;
pub use password::{PASSWORD_MAX, PASSWORD_MIN};
pub use session::{Session, logout};
pub use sign_up::{create_user, sign_up};
pub use visitor::{SignedIn, Visitor};
