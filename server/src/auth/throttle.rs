//! The limit on login attempts.
//!
//! An attempt is counted before the password is checked and given back if it was right, so that a
//! hundred parallel guesses are a hundred attempts. It is counted in the database, for all nodes.

use std::net::IpAddr;

use billing::Timestamp;

use super::error::{AuthUnavailable, LoginError};
use crate::store::StoreError;
use crate::store::login_throttle::{self, Attempt};
use crate::tollgate::Tollgate;

/// Seconds over which attempts are counted.
const WINDOW: i64 = 15 * 60;
/// Wrong attempts per e-mail address.
const PER_EMAIL: i64 = 10;
/// Wrong attempts per client address.
const PER_CLIENT: i64 = 100;

/// An attempt that was counted.
pub(super) struct Counted {
    keys: Vec<String>,
}

/// Counts an attempt.
pub(super) async fn take(tollgate: &Tollgate, email: &str, client: Option<IpAddr>) -> Result<Counted, LoginError> {
    let mut limits = vec![(format!("email:{email}"), PER_EMAIL)];
    limits.extend(client.filter(|client| is_public(*client)).map(|client| (format!("client:{client}"), PER_CLIENT)));
    let now = tollgate.now();
    match count(tollgate, &limits, now).await.map_err(AuthUnavailable::from)? {
        Attempt::Allowed => Ok(Counted { keys: limits.into_iter().map(|(key, _)| key).collect() }),
        Attempt::Denied { window_start } => {
            let retry_after = window_start.0.saturating_add(WINDOW).saturating_sub(now.0).max(1);
            Err(LoginError::TooMany { retry_after: retry_after.unsigned_abs() })
        }
    }
}

/// Counts an attempt against all limits, or against none if one denies it.
async fn count(tollgate: &Tollgate, limits: &[(String, i64)], now: Timestamp) -> Result<Attempt, StoreError> {
    let mut tx = tollgate.db().begin().await?;
    for (key, limit) in limits {
        let attempt = login_throttle::take(&mut tx, key, now, now.plus_seconds(-WINDOW), *limit).await?;
        if attempt != Attempt::Allowed {
            return Ok(attempt);
        }
    }
    tx.commit().await?;
    Ok(Attempt::Allowed)
}

impl Counted {
    /// Gives the attempt back, because the password was right.
    pub(super) async fn give_back(self, tollgate: &Tollgate) -> Result<(), AuthUnavailable> {
        let mut tx = tollgate.db().begin().await?;
        for key in &self.keys {
            login_throttle::give_back(&mut tx, key).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// A private or loopback address is a proxy's or a developer's, and does not identify a client.
const fn is_public(client: IpAddr) -> bool {
    match client {
        IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}
