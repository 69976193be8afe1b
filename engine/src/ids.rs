//! The only module that generates identifiers and other random text.

/// Returns a new identifier: unique, and sortable by creation time.
#[expect(clippy::disallowed_methods, reason = "the one place that makes identifiers")]
pub fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Returns 256 random bits from the operating system, in hex: for keys that must be unguessable.
pub fn new_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Returns a random number below `bound`, for delays. 0 if the operating system has none.
pub fn random_below(bound: u64) -> u64 {
    let mut bytes = [0_u8; 8];
    let is_filled = getrandom::fill(&mut bytes).is_ok();
    if is_filled { u64::from_le_bytes(bytes) % bound.max(1) } else { 0 }
}
