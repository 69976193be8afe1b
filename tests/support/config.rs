//! The configuration that tests start the app with.

use std::net::SocketAddr;
use std::sync::Arc;

use billing::Catalog;
use server::assets::Assets;
use server::config::Config;

/// The endpoint's secrets, as during a rotation. The sandbox signs with the first one.
pub const WEBHOOK_SECRETS: [&str; 2] = ["whsec_new_secret", "whsec_old_secret"];

/// The configuration of a test.
pub fn config(app_url: &str, database_url: &str, stripe: &str) -> Config {
    let value = |name: &str| {
        Some(match name {
            "APP_URL" => app_url.to_owned(),
            "DATABASE_URL" => database_url.to_owned(),
            "STRIPE_API_BASE" => stripe.to_owned(),
            "STRIPE_SECRET_KEY" => "sk_test_sandbox".to_owned(),
            "STRIPE_WEBHOOK_SECRET" => WEBHOOK_SECRETS.join(","),
            _ => return None,
        })
    };
    Config::from_lookup(&value).unwrap()
}

/// A price for API calls beyond the limit, as `plans.toml` has it.
pub const CENTS_PER_CALL: &str = "amount = 7\ncurrency = \"usd\"";

/// The shipped catalog, with API calls billed beyond the limit. `price` may add the price of a unit.
pub fn metered_catalog(price: &str) -> Arc<Catalog> {
    let meter = "key = \"apiCallsPerMonth\"\n";
    let billed = "overage = \"bill\"\nevent_name = \"api_calls\"\nlookup_key = \"api_calls\"\n";
    let plans = include_str!("../../plans.toml").replace(meter, &format!("{meter}{billed}{price}\n"));
    Arc::new(Catalog::parse(&plans, &|_| None).unwrap())
}

/// Empty assets: pages refer to them, and no test runs them.
pub fn assets() -> Assets {
    let manifest = r#"{"script": "tollgate-0", "style": "style-0.css"}"#;
    let files = [
        ("manifest.json", manifest),
        ("pkg/style-0.css", "body{}"),
        ("pkg/style-0.css.br", "br"),
        ("robots.txt", "User-agent: *"),
    ];
    Assets::from_files(files.map(|(path, text)| (path.to_owned(), text.into()))).unwrap()
}

/// An address that was free a moment ago, for a process that listens on a given address.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
