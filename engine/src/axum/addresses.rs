//! The pages that rejected visitors are redirected to.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Position, Url};

use crate::settings::Urls;

/// The characters to encode in a query value; those of a path stay readable.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The sign-in page, which leads on to `next`.
pub fn login_address<'a>(urls: &Urls, next: impl Into<Option<&'a str>>) -> String {
    with_query(urls, &urls.login, &[("next", next.into())])
}

/// The upgrade page, which says what `subject` needs and leads back to `next`.
pub fn upgrade_address<'a>(urls: &Urls, subject: &str, next: impl Into<Option<&'a str>>) -> String {
    with_query(urls, &urls.upgrade, &[("feature", Some(subject)), ("next", next.into())])
}

/// A page of the app itself is addressed without its origin, so that it is reached under whatever name
/// the visitor uses.
fn with_query(urls: &Urls, page: &Url, query: &[(&str, Option<&str>)]) -> String {
    let is_own = page.origin() == urls.success.origin();
    let mut address = if is_own { page[Position::BeforePath..].to_owned() } else { page.to_string() };
    for (name, value) in query {
        let Some(value) = value else { continue };
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        address.extend(utf8_percent_encode(value, QUERY_VALUE));
    }
    address
}
