//! E-mail addresses: validation, and a canonical form that identifies a person.
//!
//! An account is looked up by the login key, the address in lower case. A trial is counted by
//! the canonical form, so that it is granted once per person rather than once per spelling
//! (`tests/email.rs`).

/// The longest address mail systems accept (RFC 5321).
const MAX_BYTES: usize = 254;
/// The longest local part mail systems accept (RFC 5321).
const MAX_LOCAL_BYTES: usize = 64;

/// A well-formed e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email {
    given: String,
}

/// The reason an address was rejected, as a message for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Nothing was entered.
    #[error("Enter your e-mail address.")]
    Empty,
    /// Not of the form `name@host.tld`.
    #[error("Enter an e-mail address like name@example.com.")]
    Malformed,
    /// Longer than mail systems accept.
    #[error("This e-mail address is too long.")]
    TooLong,
}

impl Email {
    /// Trims and checks an address.
    ///
    /// The local part is checked leniently on purpose: only a delivered mail proves an address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        // Checks the login key: outside ASCII, the lower-case form can be longer than the input.
        let folded = text.to_lowercase();
        if folded.len() > MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        let (local, host) = folded.rsplit_once('@').ok_or(EmailError::Malformed)?;
        if is_local_part(local) && is_host(host) {
            Ok(Self { given: text.to_owned() })
        } else {
            Err(EmailError::Malformed)
        }
    }

    /// Returns the address as typed, trimmed.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Returns the key an account is looked up by: the address in lower case.
    pub fn login_key(&self) -> String {
        self.given.to_lowercase()
    }

    /// Returns the form trials are counted by: lower case, without a `+alias`, and without dots
    /// where the host ignores them (Google's).
    pub fn canonical(&self) -> String {
        let lower = self.login_key();
        let Some((local, host)) = lower.rsplit_once('@') else { return lower };
        let is_google = matches!(host, "gmail.com" | "googlemail.com");
        let host = if is_google { "gmail.com" } else { host };
        let name = local.split_once('+').map_or(local, |(name, _)| name);
        let name = if is_google { name.replace('.', "") } else { name.to_owned() };
        // A local part of nothing but dots or an alias stays as it is.
        let name = if name.is_empty() { local } else { &name };
        format!("{name}@{host}")
    }
}

fn is_local_part(local: &str) -> bool {
    !local.is_empty()
        && local.len() <= MAX_LOCAL_BYTES
        && !local.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c))
}

fn is_host(host: &str) -> bool {
    host.contains('.') && host.split('.').all(is_host_label)
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}
