//! Devices on which a user has logged in, so that other people's wrong guesses do not lock the user out
//! ([`super::throttle`]).
//!
//! A device is a browser with a random token in a cookie, which grants no access. Unlike a network address, it
//! stays the same when its user moves, and is not shared with an attacker in the same office. The table stores
//! one hash of the token and the e-mail address together, so a stolen database makes no browser a known one. A device
//! is forgotten with its user.

use axum::http::HeaderMap;
use billing::{Timestamp, UserId};
use engine::{StoreError, ids};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::error::AuthUnavailable;
use crate::cookie::{Cookie, SameSite};
use crate::store::known_devices;
use crate::tollgate::Tollgate;

const COOKIE: Cookie = Cookie::new("tollgate-device", SameSite::Strict);
/// The length of a token.
const LENGTH: usize = 64;
/// Days after its last login until a device is forgotten.
const DAYS: u32 = 180;

/// A browser, identified by the token in its cookie.
#[derive(Clone, Debug)]
pub struct Device(SecretString);

impl Device {
    /// Returns the device that sent a request, if it has a token. `is_https`: whether the app is served
    /// over TLS.
    pub fn of_request(headers: &HeaderMap, is_https: bool) -> Option<Self> {
        COOKIE.read(headers, is_https).filter(|token| token.len() == LENGTH).map(|token| Self(token.into()))
    }

    /// Returns the `Set-Cookie` header that stores it. `is_https`: whether the app is served over TLS.
    pub fn cookie(&self, is_https: bool) -> String {
        COOKIE.set(self.0.expose_secret(), DAYS * 86_400, is_https)
    }

    /// Returns whether the user with this address has logged in on it.
    pub(super) async fn is_known(&self, tollgate: &Tollgate, login_key: &str) -> Result<bool, StoreError> {
        known_devices::is_known(tollgate.db(), &self.hash(login_key), wall(tollgate)).await
    }

    pub(super) fn hash(&self, login_key: &str) -> String {
        hex::encode(Sha256::digest(format!("{}\0{login_key}", self.0.expose_secret())))
    }
}

/// Remembers that this user has logged in on this device. `known` is the device if the user has logged in
/// on it before; any other token is replaced, because someone else may have chosen it.
pub(super) async fn remember(
    tollgate: &Tollgate,
    known: Option<Device>,
    login_key: &str,
    user: &UserId,
) -> Result<Device, AuthUnavailable> {
    let device = known.map_or_else(|| ids::new_secret().map(|token| Device(token.into())), Ok)?;
    let mut tx = tollgate.db().begin().await?;
    let expires_at = wall(tollgate).plus_days(DAYS.into());
    known_devices::remember(&mut tx, &device.hash(login_key), user, expires_at).await?;
    tx.commit().await?;
    Ok(device)
}

/// Returns the wall-clock time, as for sessions: advancing the sandbox's clock forgets no device.
fn wall(tollgate: &Tollgate) -> Timestamp {
    tollgate.clock().wall()
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn of(cookie: &str) -> Option<String> {
        let headers = [(header::COOKIE, cookie.parse().unwrap())].into_iter().collect();
        Device::of_request(&headers, false).map(|device| device.0.expose_secret().to_owned())
    }

    #[test]
    fn the_cookie_is_read_back_and_malformed_ones_are_ignored() {
        let token = "0f".repeat(32);
        let line = Device(token.clone().into()).cookie(false);
        let (pair, _) = line.split_once(';').unwrap();
        assert_eq!(of(pair), Some(token));
        assert_eq!(of("tollgate-device=short; theme=dark"), None);
    }
}
