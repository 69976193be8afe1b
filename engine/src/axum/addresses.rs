//! The pages that rejected visitors are redirected to.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Position, Url};

use crate::settings::Urls;

/// The characters to encode in a query value; those of a path stay readable.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns the sign-in page's URL, with `next` as the page to continue to.
pub fn login_url<'a>(urls: &Urls, next: impl Into<Option<&'a str>>) -> String {
    with_query(urls, &urls.login, &[("next", next.into())])
}

/// Returns the upgrade page's URL for `subject`, with `next` as the page to return to.
pub fn upgrade_url<'a>(urls: &Urls, subject: &str, next: impl Into<Option<&'a str>>) -> String {
    with_query(urls, &urls.upgrade, &[("feature", Some(subject)), ("next", next.into())])
}

/// Returns the URL of a page with a query. The app's own pages are linked without an origin, so that the
/// visitor stays on the host name they used.
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
