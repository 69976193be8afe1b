//! The color scheme, in a cookie so that the first paint is right.

use axum::http::{HeaderMap, header};

const COOKIE: &str = "theme";
const A_YEAR: u32 = 365 * 86_400;

/// The color scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Always light.
    Light,
    /// Always dark.
    Dark,
    /// The browser's preference.
    #[default]
    Auto,
}

impl Theme {
    /// All themes, in the order of the switch.
    pub const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Auto];

    /// Returns the value in the form, in the cookie and of `<html data-theme>`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Auto => "auto",
        }
    }

    /// Returns the theme with this value.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == value)
    }

    /// Returns the theme in the request's cookie; `Auto` without a valid one.
    pub fn of_request(headers: &HeaderMap) -> Self {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| if name == COOKIE { Self::parse(value) } else { None })
            .unwrap_or_default()
    }

    /// Returns the `Set-Cookie` header that stores it. `secure` is whether the app is served over TLS.
    pub fn cookie(self, secure: bool) -> String {
        let (value, age) = match self {
            Self::Auto => ("", 0),
            chosen => (chosen.as_str(), A_YEAR),
        };
        let secure = if secure { "; Secure" } else { "" };
        format!("{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
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
    fn the_cookie_sets_the_theme_and_nonsense_is_ignored() {
        assert_eq!(of("id=1; theme=dark"), Theme::Dark);
        assert_eq!(of("theme=light"), Theme::Light);
        assert_eq!(of("theme=\"><script>"), Theme::Auto);
        assert_eq!(of("mytheme=dark"), Theme::Auto);
    }

    #[test]
    fn choosing_auto_deletes_the_cookie() {
        assert!(Theme::Auto.cookie(false).contains("Max-Age=0"));
        assert!(Theme::Dark.cookie(true).ends_with("; Secure"));
    }
}
