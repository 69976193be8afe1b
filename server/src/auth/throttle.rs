//! How many logins may be tried.
//!
//! An attempt is taken before the password is looked at and given back when it was
//! right, so that a hundred guesses at once are a hundred attempts. It is counted in
//! the database: a restart or another node does not start anew.

use std::net::IpAddr;

use super::{AuthUnavailable, LoginError};
use crate::store::accounts;
use crate::tollgate::Tollgate;

/// Seconds over which attempts are counted.
const WINDOW: i64 = 15 * 60;
/// Wrong attempts per e-mail address.
const PER_EMAIL: i64 = 10;
/// Wrong attempts per network address.
const PER_PEER: i64 = 100;

/// An attempt that was taken.
pub(super) struct Attempt {
    keys: Vec<String>,
}

/// Takes an attempt.
pub(super) async fn take(tollgate: &Tollgate, email: &str, peer: Option<IpAddr>) -> Result<Attempt, LoginError> {
    let now = tollgate.now();
    let limits = [(format!("email:{email}"), PER_EMAIL)]
        .into_iter()
        .chain(peer.filter(|peer| is_public(*peer)).map(|peer| (format!("peer:{peer}"), PER_PEER)));
    let mut tx = tollgate.db().begin().await.map_err(AuthUnavailable::from)?;
    let mut keys = Vec::new();
    for (key, most) in limits {
        let taken = accounts::take_login_attempt(&mut tx, &key, now, now.plus_seconds(-WINDOW), most)
            .await
            .map_err(AuthUnavailable::from)?;
        if let Err(start) = taken {
            let retry_after = start.0.saturating_add(WINDOW).saturating_sub(now.0).max(1);
            return Err(LoginError::TooMany { retry_after: retry_after.unsigned_abs() });
        }
        keys.push(key);
    }
    tx.commit().await.map_err(AuthUnavailable::from)?;
    Ok(Attempt { keys })
}

impl Attempt {
    /// It was the right person.
    pub(super) async fn give_back(self, tollgate: &Tollgate) -> Result<(), AuthUnavailable> {
        let mut tx = tollgate.db().begin().await?;
        for key in &self.keys {
            accounts::give_back_login_attempt(&mut tx, key).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// A private or loopback peer is a proxy or a developer: it stands for many people or for none.
const fn is_public(peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}
