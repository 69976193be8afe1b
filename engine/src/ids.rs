//! The one place that makes identifiers and other random text.

/// A new identifier: unique, and sorted by the time of its creation.
#[expect(clippy::disallowed_methods, reason = "the one place that makes identifiers")]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// 256 random bits from the operating system, in hex: for keys that must not be guessed.
pub fn new_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
