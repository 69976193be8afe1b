//! Ids that look like Stripe's.
//!
//! Invariant: the random part is a SHA-256 hash of two UUIDs (148 random bits), so that a Checkout
//! Session's id, which gives access to its page, is as hard to guess as a real one.

use sha2::{Digest, Sha256};
use uuid::Uuid;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns `prefix` followed by 24 random letters and digits, e.g. `cus_…`.
pub(crate) fn new(prefix: &str) -> String {
    format!("{prefix}{}", letters(&random(), 24))
}

/// Returns the id of a Checkout Session, which is longer than others.
pub(crate) fn session() -> String {
    format!("cs_test_a1{}{}", letters(&random(), 28), letters(&random(), 28))
}

pub(crate) fn client_secret(intent: &str) -> String {
    format!("{intent}_secret_{}", letters(&random(), 25))
}

/// Returns the 16-letter fingerprint of a card or account number; equal numbers have equal fingerprints.
pub(crate) fn fingerprint(text: &str) -> String {
    letters(&Sha256::digest(format!("fingerprint:{text}")).into(), 16)
}

/// Returns a random number from 0 up to, but not including, `bound`.
pub(crate) fn below(bound: i64) -> i64 {
    let random = random();
    let number = i64::from_le_bytes(random[..8].try_into().unwrap_or_default());
    number.rem_euclid(bound.max(1))
}

#[expect(clippy::disallowed_methods, reason = "the only place that creates ids")]
fn random() -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(Uuid::now_v7().as_bytes());
    hash.update(Uuid::now_v7().as_bytes());
    hash.finalize().into()
}

fn letters(bytes: &[u8; 32], count: usize) -> String {
    bytes.iter().take(count).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}
