//! After signing in, people stay on this site.

use proptest::prelude::*;
use server::auth::safe_next;
use url::Url;

const DEFAULT: &str = "/dashboard";

#[test]
fn a_path_on_this_site_is_kept() {
    for path in [
        "/",
        "/billing",
        "/billing/success?session_id=cs_test_1",
        "/dashboard/analytics?from=2026-05-01&to=2026-05-31#top",
        "/dashboard/a%20b",
        "/billing/upgrade?feature=customDomain&next=/dashboard/custom-domain",
    ] {
        assert_eq!(safe_next(Some(path)), path);
    }
}

#[test]
fn a_missing_path_is_replaced_by_the_dashboard() {
    assert_eq!(safe_next(None), DEFAULT);
    assert_eq!(safe_next(Some("")), DEFAULT);
}

#[test]
fn another_site_in_any_spelling_is_replaced_by_the_dashboard() {
    for spelling in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "https://evil.example",
        "https:evil.example",
        "http:/evil.example",
        "HTTPS://evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "mailto:eve@evil.example",
        "evil.example",
        "@evil.example",
        " //evil.example",
        "\t//evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r/evil.example",
        "\n/evil.example",
        "/\u{0}/evil.example",
        "/dashboard\r\nLocation: https://evil.example",
        "/dashboard /x",
        "/\u{ff0f}evil.example",
        "/caf\u{e9}",
    ] {
        assert_eq!(safe_next(Some(spelling)), DEFAULT, "{spelling:?}");
    }
}

#[test]
fn an_overlong_path_is_replaced_by_the_dashboard() {
    let long = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert_eq!(safe_next(Some(&long(2048))), long(2048));
    assert_eq!(safe_next(Some(&long(2049))), DEFAULT);
}

/// Encoded, they are part of a path on this site and stay encoded.
#[test]
fn encoded_newlines_and_slashes_stay_encoded() {
    for path in ["/%0d%0aSet-Cookie:x=1", "/%2f%2fevil.example", "/%5cevil.example", "/%09/evil.example"] {
        let next = safe_next(Some(path));
        assert_eq!(origin_of(next), "https://app.example.com", "{path}");
        assert!(!next.contains(['\r', '\n', '\t']));
    }
}

/// The origin that a browser on the login page reaches when it is redirected to `next`.
fn origin_of(next: &str) -> String {
    let login = Url::parse("https://app.example.com/login").unwrap();
    login.join(next).expect("a browser can resolve it").origin().ascii_serialization()
}

proptest! {
    #[test]
    fn a_browser_stays_on_this_site(
        next in prop_oneof![
            ".{0,40}",
            r"[/\\:@.%?#a-z0-9 \t\r\n]{0,20}",
            r"[/\\\t\r\n ]{1,4}(https?:)?[/\\]{0,3}evil\.example",
        ]
    ) {
        let kept = safe_next(Some(&next));
        prop_assert_eq!(origin_of(kept), "https://app.example.com", "{:?}", next);
        prop_assert!(kept.starts_with('/') && kept.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", next);
        prop_assert!(kept == next || kept == DEFAULT);
    }
}
