//! Light, dark or as the machine says: a cookie, so that the first paint is right.

use axum::http::{HeaderMap, header};

const COOKIE: &str = "theme";
const A_YEAR: u32 = 365 * 86_400;

/// Which of the two colour schemes is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Always light.
    Light,
    /// Always dark.
    Dark,
    /// As the browser prefers.
    #[default]
    Auto,
}

impl Theme {
    /// Every one there is, as the switch shows them.
    pub const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Auto];

    /// The word in the form, in the cookie and on `<html data-theme>`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Auto => "auto",
        }
    }

    /// The one with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == word)
    }

    /// The one that the request's cookie names; a cookie that names none counts as absent.
    pub fn of_request(headers: &HeaderMap) -> Self {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, word)| if name == COOKIE { Self::parse(word) } else { None })
            .unwrap_or_default()
    }

    /// The `Set-Cookie` line that remembers it; `secure` when the app is served over TLS.
    pub fn cookie(self, secure: bool) -> String {
        let (word, age) = match self {
            Self::Auto => ("", 0),
            chosen => (chosen.as_str(), A_YEAR),
        };
        let secure = if secure { "; Secure" } else { "" };
        format!("{COOKIE}={word}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookies: &'static str) -> Theme {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookies.parse().unwrap());
        Theme::of_request(&headers)
    }

    #[test]
    fn the_cookie_chooses_and_nonsense_does_not() {
        assert_eq!(of("id=1; theme=dark"), Theme::Dark);
        assert_eq!(of("theme=light"), Theme::Light);
        assert_eq!(of("theme=\"><script>"), Theme::Auto);
        assert_eq!(of("mytheme=dark"), Theme::Auto);
    }

    #[test]
    fn going_back_to_the_machine_s_choice_drops_the_cookie() {
        assert!(Theme::Auto.cookie(false).contains("Max-Age=0"));
        assert!(Theme::Dark.cookie(true).ends_with("; Secure"));
    }
}
