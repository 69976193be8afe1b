//! The signature of a webhook.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The webhook signing secret.
pub const SECRET: &str = "whsec_bench_secret";

/// Returns the HMAC-SHA256 of `time.body`, as Stripe signs it.
pub fn sign(time: &str, body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC accepts a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}
