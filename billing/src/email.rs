//! E-mail addresses: what is accepted at sign-up, and when two are the same person's.
//!
//! A login is looked up by the address in lower case; a trial is counted by the
//! canonical form, so that it is once per person and not once per spelling
//! (`tests/email.rs`).

/// An address that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email {
    given: String,
}

/// Why an address was refused, in words for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Nothing was typed.
    #[error("Enter your e-mail address.")]
    Empty,
    /// Not of the form `name@host.tld`.
    #[error("Enter an e-mail address like name@example.com.")]
    Malformed,
    /// Longer than the 254 characters that mail systems take.
    #[error("That e-mail address is too long.")]
    TooLong,
}

impl Email {
    /// Trims and checks an address. Deliberately lenient about the local part:
    /// only a mail that arrives proves an address.
    ///
    /// # Errors
    /// See [`EmailError`].
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        // Checked as it will be looked up: outside ASCII, lower case can be longer.
        let folded = text.to_lowercase();
        if folded.len() > 254 {
            return Err(EmailError::TooLong);
        }
        let (local, host) = folded.rsplit_once('@').ok_or(EmailError::Malformed)?;
        let host_is_sound = host.contains('.')
            && host.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            });
        let local_is_sound = !local.is_empty()
            && local.len() <= 64
            && !local.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c));
        if host_is_sound && local_is_sound { Ok(Self { given: text.to_owned() }) } else { Err(EmailError::Malformed) }
    }

    /// The address as it was typed, trimmed.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// What a login is looked up by: lower case, nothing else changed.
    pub fn login_key(&self) -> String {
        self.given.to_lowercase()
    }

    /// What a trial is counted by: lower case, no `+alias`, and no dots where the
    /// host ignores them (Google's).
    pub fn canonical(&self) -> String {
        let lower = self.login_key();
        let Some((local, host)) = lower.rsplit_once('@') else { return lower };
        let google = matches!(host, "gmail.com" | "googlemail.com");
        let host = if google { "gmail.com" } else { host };
        let name = local.split_once('+').map_or(local, |(name, _)| name);
        let name = if google { name.replace('.', "") } else { name.to_owned() };
        // Nobody's name is empty: what has nothing else in it stays as it is.
        let name = if name.is_empty() { local } else { &name };
        format!("{name}@{host}")
    }
}
