//! Ids that look like Stripe's.
//!
//! Invariant: the random part comes from two UUIDs (148 random bits) through SHA-256, so that
//! a Checkout Session's id is as unguessable as the real one: it is what opens its page.

use sha2::{Digest, Sha256};
use uuid::Uuid;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `prefix` and 24 random letters and digits, e.g. `cus_…`.
pub(crate) fn new(prefix: &str) -> String {
    format!("{prefix}{}", letters(&random(), 24))
}

/// A Checkout Session's id is longer than the others.
pub(crate) fn session() -> String {
    format!("cs_test_a1{}{}", letters(&random(), 28), letters(&random(), 28))
}

/// What a client needs beside the intent's id to act on it.
pub(crate) fn client_secret(intent: &str) -> String {
    format!("{intent}_secret_{}", letters(&random(), 25))
}

/// The same text always gives the same 16 letters: a card number's fingerprint.
pub(crate) fn fingerprint(text: &str) -> String {
    letters(&Sha256::digest(format!("fingerprint:{text}")).into(), 16)
}

/// A random number from 0 up to `bound`, which it does not reach.
pub(crate) fn below(bound: i64) -> i64 {
    let random = random();
    let number = i64::from_le_bytes(random[..8].try_into().unwrap_or_default());
    number.rem_euclid(bound.max(1))
}

#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
fn random() -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(Uuid::now_v7().as_bytes());
    hash.update(Uuid::now_v7().as_bytes());
    hash.finalize().into()
}

fn letters(bytes: &[u8; 32], count: usize) -> String {
    bytes.iter().take(count).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}
