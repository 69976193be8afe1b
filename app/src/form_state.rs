//! What a post leaves behind for the page that is shown again: what was typed and
//! what was wrong with it. A password is never kept.

/// The state of the form on the page; empty when the page is simply opened.
#[derive(Clone, Default)]
pub struct FormState {
    typed: Vec<(String, String)>,
    faults: Vec<(String, String)>,
    /// A sentence about the form as a whole.
    pub refusal: Option<String>,
    /// An API key that was just made. It is on this one page and nowhere else.
    pub new_api_key: Option<String>,
}

impl FormState {
    /// Shows a key that was just made.
    pub fn with_new_api_key(key: String) -> Self {
        Self { new_api_key: Some(key), ..Self::default() }
    }

    /// Keeps what was posted, URL-encoded, but for passwords.
    pub fn of_post(form: &[u8]) -> Self {
        let fields = form_urlencoded::parse(form).into_owned().filter(|(name, _)| name != "password");
        Self { typed: fields.collect(), ..Self::default() }
    }

    /// Keeps what was typed into `field`.
    #[must_use]
    pub fn typed(mut self, field: &str, text: impl Into<String>) -> Self {
        self.typed.push((field.to_owned(), text.into()));
        self
    }

    /// Says what is wrong with `field`.
    #[must_use]
    pub fn fault(mut self, field: &str, sentence: impl Into<String>) -> Self {
        self.faults.push((field.to_owned(), sentence.into()));
        self
    }

    /// Says what is wrong with the form as a whole.
    #[must_use]
    pub fn refused(mut self, sentence: impl Into<String>) -> Self {
        self.refusal = Some(sentence.into());
        self
    }

    /// What was typed into `field`.
    pub fn text_of(&self, field: &str) -> Option<&str> {
        self.typed.iter().find(|(name, _)| name == field).map(|(_, text)| text.as_str())
    }

    /// What is wrong with `field`.
    pub fn fault_of(&self, field: &str) -> Option<&str> {
        self.faults.iter().find(|(name, _)| name == field).map(|(_, sentence)| sentence.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_posted_is_kept_but_for_the_password() {
        let state = FormState::of_post(b"comment=too+dear&password=sesame");
        assert_eq!((state.text_of("comment"), state.text_of("password")), (Some("too dear"), None));
    }
}
