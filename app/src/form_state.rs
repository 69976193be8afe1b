//! The values and errors of a posted form, for showing it again. A password is never kept.

/// The state of the form on a page. Empty unless the form was posted.
#[derive(Clone, Default)]
pub struct FormState {
    typed: Vec<(String, String)>,
    errors: Vec<(String, String)>,
    /// An error about the form as a whole.
    pub form_error: Option<String>,
    /// An API key that was just created. Only this response contains it.
    pub new_api_key: Option<String>,
}

impl FormState {
    /// Shows a key that was just created.
    pub fn with_new_api_key(key: String) -> Self {
        Self { new_api_key: Some(key), ..Self::default() }
    }

    /// Keeps the values of a URL-encoded form, except passwords.
    pub fn of_post(form: &[u8]) -> Self {
        let fields = form_urlencoded::parse(form).into_owned().filter(|(name, _)| name != "password");
        Self { typed: fields.collect(), ..Self::default() }
    }

    /// Keeps the value of `field`.
    #[must_use]
    pub fn typed(mut self, field: &str, text: impl Into<String>) -> Self {
        self.typed.push((field.to_owned(), text.into()));
        self
    }

    /// Adds an error about `field`.
    #[must_use]
    pub fn error(mut self, field: &str, message: impl Into<String>) -> Self {
        self.errors.push((field.to_owned(), message.into()));
        self
    }

    /// Sets the error about the form as a whole.
    #[must_use]
    pub fn form_error(mut self, message: impl Into<String>) -> Self {
        self.form_error = Some(message.into());
        self
    }

    pub fn text_of(&self, field: &str) -> Option<&str> {
        self.typed.iter().find(|(name, _)| name == field).map(|(_, text)| text.as_str())
    }

    pub fn error_of(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|(name, _)| name == field).map(|(_, message)| message.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_kept_except_the_password() {
        let state = FormState::of_post(b"comment=too+dear&password=sesame");
        assert_eq!((state.text_of("comment"), state.text_of("password")), (Some("too dear"), None));
    }
}
