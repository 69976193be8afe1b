//! What a page may load: nothing but our own, and no script where no island is.
//!
//! There is no `'unsafe-inline'` anywhere, so no view uses a `style` attribute.

use axum::http::HeaderValue;

/// The `Content-Security-Policy` of one page.
///
/// `nonce` is that of the one inline script that wakes the islands; a page without
/// islands has none and runs no script at all. `checkout_origins` are where a form
/// may end up: browsers check `form-action` on the redirect after the post too.
pub fn policy(nonce: Option<&str>, checkout_origins: &[String]) -> HeaderValue {
    let script = nonce.map_or_else(
        || "script-src 'none'".to_owned(),
        |nonce| format!("script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'"),
    );
    let line = format!(
        "default-src 'none'; {script}; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         manifest-src 'self'; form-action 'self' {origins}; base-uri 'none'; frame-ancestors 'none'",
        origins = checkout_origins.join(" "),
    );
    HeaderValue::from_str(&line).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_islands_runs_no_script() {
        let line = policy(None, &[]);
        assert!(line.to_str().unwrap().contains("script-src 'none'"));
    }

    #[test]
    fn a_form_may_end_at_stripe() {
        let line = policy(Some("abc"), &["https://checkout.stripe.com".to_owned()]);
        let line = line.to_str().unwrap();
        assert!(line.contains("form-action 'self' https://checkout.stripe.com;"), "{line}");
        assert!(line.contains("script-src 'self' 'nonce-abc' 'wasm-unsafe-eval'"), "{line}");
    }
}
