//! Restricts pages to resources from this server, with scripts only on pages with islands.
//!
//! There is no `'unsafe-inline'` anywhere, so no view uses a `style` attribute.

use axum::http::HeaderValue;

/// Returns the `Content-Security-Policy` of a page.
///
/// `nonce` belongs to the inline script that hydrates the islands; a page without islands has
/// none and runs no script. `form_origins` are the origins that a form post may redirect to:
/// Chromium and WebKit check `form-action` on redirects as well.
pub fn policy(nonce: Option<&str>, form_origins: &[String]) -> HeaderValue {
    let script = nonce.map_or_else(
        || "script-src 'none'".to_owned(),
        |nonce| format!("script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'"),
    );
    let line = format!(
        "default-src 'none'; {script}; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         manifest-src 'self'; form-action 'self' {origins}; base-uri 'none'; frame-ancestors 'none'",
        origins = form_origins.join(" "),
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
    fn a_form_post_may_redirect_to_stripe() {
        let line = policy(Some("abc"), &["https://checkout.stripe.com".to_owned()]);
        let line = line.to_str().unwrap();
        assert!(line.contains("form-action 'self' https://checkout.stripe.com;"), "{line}");
        assert!(line.contains("script-src 'self' 'nonce-abc' 'wasm-unsafe-eval'"), "{line}");
    }
}
