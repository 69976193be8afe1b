//! The one place that makes identifiers and other random text.

/// A new identifier: unique, and later ones sort after earlier ones.
#[expect(clippy::disallowed_methods, reason = "the one place that makes identifiers")]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// 256 bits from the operating system's generator, in hex: for keys that must not be guessed.
///
/// # Errors
/// The operating system gave no randomness.
pub fn new_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
