//! The redirects of visitors who may not enter a page.

use engine::axum::{login_url, upgrade_url};
use engine::settings::Urls;
use server::config::Config;
use url::Url;

fn urls() -> Urls {
    Config::from_lookup(&|_| None).expect("development needs no variable").urls()
}

#[test]
fn visitors_without_access_are_sent_to_the_login_or_upgrade_page() {
    let urls = urls();
    assert_eq!(login_url(&urls, "/dashboard/analytics"), "/login?next=/dashboard/analytics");
    assert_eq!(login_url(&urls, None), "/login");
    let upgrade = "/billing/upgrade?feature=customDomain&next=/dashboard/custom-domain";
    assert_eq!(upgrade_url(&urls, "customDomain", "/dashboard/custom-domain"), upgrade);
    assert_eq!(upgrade_url(&urls, "customDomain", None), "/billing/upgrade?feature=customDomain");
}

#[test]
fn an_address_in_a_query_stays_one_value() {
    let (urls, odd) = (urls(), "/billing/success?session_id=cs_1&x=a b#c%\r\n");
    for address in [login_url(&urls, odd), upgrade_url(&urls, "a&b", odd)] {
        let url = Url::parse("https://app.example.com").unwrap().join(&address).unwrap();
        let next = url.query_pairs().find(|(name, _)| name == "next").map(|(_, value)| value.into_owned());
        assert_eq!(next.as_deref(), Some(odd));
        assert!(url.fragment().is_none() && !address.contains(['\r', '\n', ' ']), "{address}");
    }
}
