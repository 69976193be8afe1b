//! Stripe's signature scheme (Stripe docs, "Verify webhook signatures manually").
//!
//! The header is `t=<epoch>,v1=<hex>[,v1=<hex>…]`. The signed payload is
//! `<t>.<raw body>`, with HMAC-SHA256. Every `v1` is checked against every
//! configured secret, in constant time, so that a secret can be rotated
//! (`tests/rules/signature.rs`).

use billing::Timestamp;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// The largest difference between Stripe's clock and ours, in seconds.
pub const TOLERANCE: i64 = 300;

/// The reason a delivery is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no header, or it has no `t` or no `v1`.
    #[error("no usable Stripe-Signature header")]
    Missing,
    /// It was signed too long ago, or in the future.
    #[error("the signature's timestamp is more than {TOLERANCE} s from now")]
    Stale,
    /// No signature matches any secret.
    #[error("no signature matches")]
    Mismatch,
}

/// Checks a raw body against its `Stripe-Signature` header.
pub fn verify(
    header: Option<&str>,
    body: &[u8],
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?;
    let mut time = None;
    let mut signatures = Vec::new();
    for (name, value) in header.split(',').filter_map(|part| part.trim().split_once('=')) {
        match name {
            "t" => time = Some(value),
            "v1" => signatures.extend(hex::decode(value)),
            _ => {}
        }
    }
    let time = time.ok_or(SignatureError::Missing)?;
    let signed_at: i64 = time.parse().map_err(|_| SignatureError::Missing)?;
    if signatures.is_empty() {
        return Err(SignatureError::Missing);
    }

    let mut matches = Choice::from(0);
    for secret in secrets {
        let expected = sign(secret, time, body);
        for signature in &signatures {
            matches |= expected.as_slice().ct_eq(signature);
        }
    }
    if !bool::from(matches) {
        return Err(SignatureError::Mismatch);
    }
    if signed_at.abs_diff(now.0) > TOLERANCE.unsigned_abs() {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

fn sign(secret: &SecretString, time: &str, body: &[u8]) -> Vec<u8> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}
