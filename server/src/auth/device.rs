//! Devices on which a user has logged in, so that others' wrong guesses do not lock the user out
//! ([`super::throttle`]).
//!
//! A device is a browser with a random token in a cookie, which grants no access. Unlike a network address,
//! it stays the same when its user moves, and is not shared with an attacker in the same office. The table
//! has a hash of the token and the e-mail address together, so it reveals neither who logs in nor how often.

use axum::http::{HeaderMap, header};
use billing::Timestamp;
use engine::{StoreError, ids};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::error::AuthUnavailable;
use crate::store::known_devices;
use crate::tollgate::Tollgate;

const COOKIE: &str = "tollgate-device";
/// The length of a token.
const LENGTH: usize = 64;
/// Days after its last login until a device is forgotten.
const DAYS: u32 = 180;

/// A browser, identified by the token in its cookie.
#[derive(Clone, Debug)]
pub struct Device(SecretString);

impl Device {
    /// Returns the device that sent a request, if it has a token.
    pub fn of_request(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, token) = cookies.find(|(name, token)| *name == COOKIE && token.len() == LENGTH)?;
        Some(Self(token.into()))
    }

    /// Returns the `Set-Cookie` header that stores it. `secure`: whether the app is served over TLS.
    pub fn cookie(&self, secure: bool) -> String {
        let (token, age, secure) = (self.0.expose_secret(), DAYS * 86_400, if secure { "; Secure" } else { "" });
        format!("{COOKIE}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
    }

    /// Whether the user with this address has logged in on it.
    pub(super) async fn is_known(&self, tollgate: &Tollgate, login_key: &str) -> Result<bool, StoreError> {
        known_devices::is_known(tollgate.db(), &self.hash(login_key), wall(tollgate)).await
    }

    pub(super) fn hash(&self, login_key: &str) -> String {
        hex::encode(Sha256::digest(format!("{}\0{login_key}", self.0.expose_secret())))
    }
}

/// Remembers that this user has logged in on this device. A token with which the user has not logged in
/// before is replaced: someone else may have chosen it.
pub(super) async fn remember(
    tollgate: &Tollgate,
    device: Option<&Device>,
    login_key: &str,
) -> Result<Device, AuthUnavailable> {
    let known = match device {
        Some(device) if device.is_known(tollgate, login_key).await? => Some(device.clone()),
        _ => None,
    };
    let device = known.map_or_else(|| ids::new_secret().map(|token| Device(token.into())), Ok)?;
    let mut tx = tollgate.db().begin().await?;
    known_devices::remember(&mut tx, &device.hash(login_key), wall(tollgate).plus_days(DAYS.into())).await?;
    tx.commit().await?;
    Ok(device)
}

/// The wall clock, as for sessions: advancing the sandbox's clock forgets no device.
fn wall(tollgate: &Tollgate) -> Timestamp {
    tollgate.clock().wall()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookies: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookies.parse().unwrap());
        Device::of_request(&headers).map(|device| device.0.expose_secret().to_owned())
    }

    #[test]
    fn the_cookie_is_read_back_and_malformed_ones_are_ignored() {
        let token = "0f".repeat(32);
        let device = Device(token.clone().into());
        let (pair, attributes) =
            device.cookie(true).split_once(';').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(of(&format!("tollgate=1; {pair}; theme=dark")), Some(token));
        assert!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Strict"), "{attributes}");
        assert!(attributes.ends_with("; Secure") && !device.cookie(false).contains("Secure"));
        assert_eq!(of("tollgate-device=short; theme=dark"), None);
        assert_eq!(of(&format!("x{pair}")), None);
    }
}
