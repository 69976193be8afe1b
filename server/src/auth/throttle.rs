//! The limits on logins and sign-ups.
//!
//! An attempt is counted before the password is checked, and no longer counts if the password was right, so
//! that a hundred parallel guesses count as a hundred attempts. The counts are in the database, shared by all
//! nodes.
//!
//! Wrong guesses must not lock a user out, so a limit per e-mail address alone would be wrong: anyone could
//! keep it exhausted. Guesses are limited per address and client, per client, and per address by all clients
//! together. The first three of every network do not count against the last limit, so that a user can log in
//! from a new network while others guess. A browser in which the user has logged in before
//! ([`super::device`]) has its own limit instead, so the user can always log in there. A stolen device cookie
//! allows no more guesses than that limit.
//!
//! A network is an IPv4 address or, because one customer of a provider may have a whole one, an IPv6 /48. It
//! also has limits of its own, so that its many /64s are not as many clients. Attackers in `n` networks can
//! guess at most 100 + 3`n` passwords of an address in 15 minutes, and a network at most 500 over all
//! addresses.

use std::net::{IpAddr, Ipv6Addr};

use billing::Timestamp;
use engine::store::Tx;
use sha2::{Digest, Sha256};

use super::client::Client;
use super::device::Device;
use super::error::{AuthUnavailable, LoginError, SignUpError};
use crate::store::StoreError;
use crate::store::login_throttle::{self, AttemptDecision};
use crate::tollgate::Tollgate;

/// Seconds over which attempts are counted.
const WINDOW: i64 = 15 * 60;
/// Wrong passwords per e-mail address in a browser where its user has logged in before.
const PER_DEVICE: i64 = 10;
/// Wrong passwords per e-mail address and client.
const PER_EMAIL_AND_CLIENT: i64 = 10;
/// Wrong passwords per client.
const PER_CLIENT: i64 = 100;
/// Wrong passwords per IPv6 network.
const PER_NETWORK: i64 = 5 * PER_CLIENT;
/// Wrong passwords per e-mail address and network that do not count for [`PER_EMAIL`].
const PER_EMAIL_AND_NETWORK: i64 = 3;
/// Other wrong passwords per e-mail address, by all clients.
const PER_EMAIL: i64 = 100;
/// Sign-ups per client, successful or not: each costs a hash, and reveals whether an address is taken.
const SIGN_UPS_PER_CLIENT: i64 = 20;
/// Sign-ups per IPv6 network.
const SIGN_UPS_PER_NETWORK: i64 = 5 * SIGN_UPS_PER_CLIENT;

/// The bits of an IPv6 address within its network: providers assign at most a /48 to a customer.
const NETWORK_BITS: u128 = (1 << 80) - 1;

/// Attempts that were counted.
pub(super) struct Counted {
    keys: Vec<String>,
    /// The browser, if the user has logged in there before.
    pub(super) known_device: Option<Device>,
}

/// The reason an attempt was not counted.
pub(super) enum NotCounted {
    TooMany { retry_after: u64 },
    Failed(StoreError),
}

impl From<StoreError> for NotCounted {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<NotCounted> for LoginError {
    fn from(error: NotCounted) -> Self {
        match error {
            NotCounted::TooMany { retry_after } => Self::TooMany { retry_after },
            NotCounted::Failed(error) => Self::Unavailable(error.into()),
        }
    }
}

impl From<NotCounted> for SignUpError {
    fn from(error: NotCounted) -> Self {
        match error {
            NotCounted::TooMany { retry_after } => Self::TooMany { retry_after },
            NotCounted::Failed(error) => Self::Unavailable(error.into()),
        }
    }
}

/// The number of attempts that a window allows.
struct Limit {
    key: String,
    attempts: i64,
    /// The limit for attempts beyond this one. Without it they are denied.
    beyond: Option<Box<Self>>,
}

impl Limit {
    /// Creates a limit. The key is a hash: it does not reveal an e-mail address, and is short for any input.
    fn new(attempts: i64, of: &[&str]) -> Self {
        Self { key: hex::encode(Sha256::digest(of.join("\0"))), attempts, beyond: None }
    }
}

/// Counts an attempt to log in.
pub(super) async fn log_in(tollgate: &Tollgate, login_key: &str, client: &Client) -> Result<Counted, NotCounted> {
    if let Some(device) = &client.device
        && device.is_known(tollgate, login_key).await?
    {
        let limit = per_device(device, login_key);
        return Ok(Counted { known_device: Some(device.clone()), ..count(tollgate, &[limit]).await? });
    }
    let mut limits = vec![per_email_and_client(client, login_key)];
    limits.extend(client.address.map(|address| Limit::new(PER_CLIENT, &["client", &address.to_string()])));
    limits.extend(ipv6_network(client).map(|network| Limit::new(PER_NETWORK, &["network", &network.to_string()])));
    limits.push(Limit { beyond: Some(Box::new(per_email(login_key))), ..per_email_and_network(client, login_key) });
    count(tollgate, &limits).await
}

fn per_device(device: &Device, login_key: &str) -> Limit {
    Limit::new(PER_DEVICE, &["device", &device.hash(login_key)])
}

fn per_email_and_client(client: &Client, login_key: &str) -> Limit {
    Limit::new(PER_EMAIL_AND_CLIENT, &["client and email", &name(client.address), login_key])
}

fn per_email_and_network(client: &Client, login_key: &str) -> Limit {
    let network = ipv6_network(client).or(client.address);
    Limit::new(PER_EMAIL_AND_NETWORK, &["network and email", &name(network), login_key])
}

fn name(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

/// Returns the network of an IPv6 client. An IPv4 client is its own.
fn ipv6_network(client: &Client) -> Option<IpAddr> {
    let Some(IpAddr::V6(address)) = client.address else { return None };
    Some(Ipv6Addr::from_bits(address.to_bits() & !NETWORK_BITS).into())
}

fn per_email(login_key: &str) -> Limit {
    Limit::new(PER_EMAIL, &["email", login_key])
}

/// Deletes the counts of an address whose user is deleted: those by all clients, by this client and its
/// network, and by this browser. Other clients' expire.
pub(super) async fn forget(tx: &mut Tx, login_key: &str, client: &Client) -> Result<(), StoreError> {
    let of_client = [per_email_and_client(client, login_key), per_email_and_network(client, login_key)];
    let device = client.device.as_ref().map(|device| per_device(device, login_key));
    for limit in of_client.into_iter().chain([per_email(login_key)]).chain(device) {
        login_throttle::delete(tx, &limit.key).await?;
    }
    Ok(())
}

/// Counts an attempt to sign up.
pub(super) async fn sign_up(tollgate: &Tollgate, client: &Client) -> Result<(), NotCounted> {
    let Some(address) = client.address else { return Ok(()) };
    let mut limits = vec![Limit::new(SIGN_UPS_PER_CLIENT, &["sign-up", &address.to_string()])];
    let network = ipv6_network(client);
    limits.extend(network.map(|it| Limit::new(SIGN_UPS_PER_NETWORK, &["sign-up of network", &it.to_string()])));
    count(tollgate, &limits).await.map(drop)
}

/// Counts an attempt against all limits, or against none if one denies it.
async fn count(tollgate: &Tollgate, limits: &[Limit]) -> Result<Counted, NotCounted> {
    let now = tollgate.now();
    match try_count(tollgate, limits, now).await? {
        Ok(keys) => Ok(Counted { keys, known_device: None }),
        Err(window_start) => {
            let retry_after = window_start.0.saturating_add(WINDOW).saturating_sub(now.0).max(1);
            Err(NotCounted::TooMany { retry_after: retry_after.unsigned_abs() })
        }
    }
}

/// Returns the keys of the limits that have counted the attempt, or the start of the window that denied it.
async fn try_count(
    tollgate: &Tollgate,
    limits: &[Limit],
    now: Timestamp,
) -> Result<Result<Vec<String>, Timestamp>, StoreError> {
    let expired = expired_before(now);
    // A client that keeps trying after it was denied does not hold up other writers.
    for mut limit in limits {
        while let AttemptDecision::Denied { window_start } =
            login_throttle::check(tollgate.db(), &limit.key, expired, limit.attempts).await?
        {
            let Some(beyond) = &limit.beyond else { return Ok(Err(window_start)) };
            limit = beyond;
        }
    }
    let mut keys = Vec::new();
    let mut tx = tollgate.db().begin().await?;
    for mut limit in limits {
        while let AttemptDecision::Denied { window_start } =
            login_throttle::take(&mut tx, &limit.key, now, expired, limit.attempts).await?
        {
            let Some(beyond) = &limit.beyond else { return Ok(Err(window_start)) };
            limit = beyond;
        }
        keys.push(limit.key.clone());
    }
    tx.commit().await?;
    Ok(Ok(keys))
}

impl Counted {
    /// Stops counting the attempt, because the password was right or was not checked.
    pub(super) async fn release(&self, tollgate: &Tollgate) -> Result<(), AuthUnavailable> {
        let mut tx = tollgate.db().begin().await?;
        for key in &self.keys {
            login_throttle::release(&mut tx, key).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Returns the latest start of a window that is over by `now`.
pub(super) const fn expired_before(now: Timestamp) -> Timestamp {
    now.plus_seconds(-WINDOW)
}
