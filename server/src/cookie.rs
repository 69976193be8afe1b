//! The app's cookies.
//!
//! Over https the name of a cookie begins with `__Host-`. Browsers accept such a cookie only from the host
//! itself and over TLS, so no other subdomain and no one in the network can plant one (RFC 6265bis, "The
//! `__Host-` Prefix"). Over http, in development, the prefix is not allowed.

use axum::http::{HeaderMap, header};
pub use tower_sessions::cookie::SameSite;

/// A cookie that scripts cannot read.
#[derive(Clone, Copy, Debug)]
pub struct Cookie {
    name: &'static str,
    same_site: SameSite,
}

impl Cookie {
    /// Declares a cookie. `name` is its name over http.
    pub const fn new(name: &'static str, same_site: SameSite) -> Self {
        Self { name, same_site }
    }

    /// Returns its name. `is_https`: whether the app is served over TLS.
    pub fn name(&self, is_https: bool) -> String {
        format!("{}{}", if is_https { "__Host-" } else { "" }, self.name)
    }

    /// Returns the requests from other sites that the browser sends it with.
    pub(crate) const fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// Returns its value in a request.
    pub fn read<'a>(&self, headers: &'a HeaderMap, is_https: bool) -> Option<&'a str> {
        let wanted = self.name(is_https);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        cookies.find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }

    /// Returns the `Set-Cookie` header that stores a value for `max_age` seconds; 0 deletes it.
    pub fn set(&self, value: &str, max_age: u32, is_https: bool) -> String {
        let (name, same_site) = (self.name(is_https), self.same_site);
        let secure = if is_https { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite={same_site}{secure}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEME: Cookie = Cookie::new("theme", SameSite::Lax);

    fn sent(line: &'static str) -> HeaderMap {
        [(header::COOKIE, line.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn over_https_a_cookie_belongs_to_the_host_alone() {
        let attributes = "Path=/; Max-Age=60; HttpOnly; SameSite=Lax";
        assert_eq!(THEME.set("dark", 60, true), format!("__Host-theme=dark; {attributes}; Secure"));
        assert_eq!(THEME.set("dark", 60, false), format!("theme=dark; {attributes}"));
        assert_eq!(THEME.read(&sent("id=1; __Host-theme=dark"), true), Some("dark"));
        assert_eq!(THEME.read(&sent("theme=dark"), true), None, "another subdomain may have set it");
    }

    #[test]
    fn other_cookies_are_not_read() {
        assert_eq!(THEME.read(&sent("id=1; theme=dark"), false), Some("dark"));
        assert_eq!(THEME.read(&sent("mytheme=dark; themes=light; theme"), false), None);
    }
}
