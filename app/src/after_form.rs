//! The redirect after a form.
//!
//! Chromium and WebKit check the `form-action` of the page with the form at every redirect that follows, and
//! silently stop at an address that is not listed; Firefox checks only the form's own address. Checkout on a custom domain, Stripe's invoices, and our links that
//! lead there can be such addresses. Such redirects end at a page of ours that continues automatically
//! (`end2end/tests/origins.spec.ts`).

use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use server::Tollgate;

use crate::addresses;
use crate::document;

/// Sends the browser to `address`, a path of ours or a Stripe URL.
pub async fn go_to(tollgate: &Tollgate, parts: Parts, address: &str) -> Response {
    if may_redirect(address, &tollgate.config().stripe.hosted_origins()) {
        return Redirect::to(address).into_response();
    }
    document::redirect_page(tollgate, parts, address).await
}

/// Returns whether every redirect that follows stays where `form-action` allows it.
fn may_redirect(address: &str, origins: &[String]) -> bool {
    if address.starts_with('/') {
        // Another address may be a link that leads to Stripe, and these two redirect a signed-in visitor to any address.
        let path = address.split(['?', '#']).next().unwrap_or_default();
        return addresses::is_page(path) && !matches!(path, "/login" | "/signup");
    }
    let is_at = |origin: &String| address.strip_prefix(origin).is_some_and(|path| path.starts_with('/'));
    origins.iter().any(is_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_redirects_only_to_where_its_page_lets_it() {
        let origins = ["https://checkout.stripe.com".to_owned()];
        for address in ["/dashboard", "/billing?notice=closed", "https://checkout.stripe.com/c/pay/cs_1#x"] {
            assert!(may_redirect(address, &origins), "{address}");
        }
        for address in [
            "/billing/invoice?id=in_1",
            "/login?next=/billing/invoice%3Fid=in_1",
            "/signup",
            "/billing//invoice",
            "https://pay.example.com/c/pay/cs_1",
            "x",
            "https://checkout.stripe.com.evil.example/",
        ] {
            assert!(!may_redirect(address, &origins), "{address}");
        }
    }
}
