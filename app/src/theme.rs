//! The color scheme, in a cookie so that the first paint is right.

use axum::http::HeaderMap;
use server::cookie::{Cookie, SameSite};

const COOKIE: Cookie = Cookie::new("theme", SameSite::Lax);
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

    /// Returns the theme in the request's cookie; `Auto` without a valid one. `is_https`: whether the app
    /// is served over TLS.
    pub fn of_request(headers: &HeaderMap, is_https: bool) -> Self {
        COOKIE.read(headers, is_https).and_then(Self::parse).unwrap_or_default()
    }

    /// Returns the `Set-Cookie` header that stores it. `is_https`: whether the app is served over TLS.
    pub fn cookie(self, is_https: bool) -> String {
        match self {
            Self::Auto => COOKIE.set("", 0, is_https),
            chosen => COOKIE.set(chosen.as_str(), A_YEAR, is_https),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn of(cookies: &'static str) -> Theme {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookies.parse().unwrap());
        Theme::of_request(&headers, false)
    }

    #[test]
    fn the_cookie_sets_the_theme_and_nonsense_is_ignored() {
        assert_eq!(of("id=1; theme=dark"), Theme::Dark);
        assert_eq!(of("theme=light"), Theme::Light);
        assert_eq!(of("theme=\"><script>"), Theme::Auto);
    }

    #[test]
    fn choosing_auto_deletes_the_cookie() {
        assert!(Theme::Auto.cookie(false).contains("Max-Age=0"));
    }
}
