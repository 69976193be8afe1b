//! The configuration: all errors are reported together, production has no unsafe defaults, and no secret
//! is shown.

use std::io::Write;
use std::num::NonZeroU32;

use engine::DatabaseUrl;
use engine::settings::RequestRate;
use secrecy::ExposeSecret;
use server::config::{Config, ConfigErrors, Env, SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET};

type Variables<'a> = &'a [(&'a str, &'a str)];

fn read(variables: Variables<'_>) -> Result<Config, ConfigErrors> {
    Config::from_lookup(&|name| {
        variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn accepted(variables: Variables<'_>) -> Config {
    read(variables).unwrap_or_else(|errors| panic!("{variables:?}: {errors}"))
}

fn errors(variables: Variables<'_>) -> Vec<String> {
    match read(variables) {
        Ok(config) => panic!("accepted: {variables:?} as {config:?}"),
        Err(ConfigErrors(errors)) => errors,
    }
}

/// The only error, which contains its variable.
fn error(name: &str, variables: Variables<'_>) -> String {
    let errors = errors(variables);
    let [error] = errors.as_slice() else { panic!("{variables:?}: {errors:?}") };
    assert!(error.contains(name), "{error}");
    error.clone()
}

const PRODUCTION: [(&str, &str); 4] = [
    ("APP_ENV", "production"),
    ("APP_URL", "https://app.example.com"),
    ("STRIPE_SECRET_KEY", "sk_live_1a2b3c"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_4d5e6f"),
];

fn production<'a>(more: Variables<'a>) -> Vec<(&'a str, &'a str)> {
    PRODUCTION.iter().chain(more).copied().collect()
}

#[test]
fn development_needs_no_variable() {
    let config = accepted(&[]);
    assert_eq!(config.env, Env::Development);
    assert_eq!(config.app_url.as_str(), "http://localhost:3000/");
    assert_eq!(config.bind_addr.to_string(), "127.0.0.1:3000");
    assert!(matches!(&config.database_url, DatabaseUrl::Sqlite(url) if url == "sqlite:data/tollgate.db"));
    assert!(!config.is_https());
    assert_eq!(config.catalog.plans().len(), 3);
    assert_eq!(config.log, None);
}

#[test]
fn without_keys_development_uses_the_sandbox() {
    let config = accepted(&[]);
    assert!(config.is_sandbox());
    let stripe = &config.stripe;
    assert_eq!(stripe.secret_key.expose_secret(), SANDBOX_SECRET_KEY);
    assert_eq!(stripe.webhook_secrets[0].expose_secret(), SANDBOX_WEBHOOK_SECRET);
    assert_eq!(stripe.api_base.as_ref().expect("the sandbox has an address").as_str(), "http://127.0.0.1:12111/");
    assert_eq!(config.sandbox_addr.expect("it listens").to_string(), "127.0.0.1:12111");
}

#[test]
fn the_address_of_the_sandbox_can_be_changed() {
    let stripe = accepted(&[("SANDBOX_ADDR", "127.0.0.1:9999")]).stripe;
    assert_eq!(stripe.api_base.expect("the sandbox has an address").as_str(), "http://127.0.0.1:9999/");
    error("SANDBOX_ADDR", &[("SANDBOX_ADDR", "here")]);
}

#[test]
fn trusted_proxies_are_addresses_and_ranges() {
    let ranges = |text: &str| {
        let config = accepted(&[("TRUSTED_PROXIES", text)]);
        config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(ranges("").is_empty());
    assert_eq!(ranges("10.0.0.0/8, 2001:db8::/32 ,"), ["10.0.0.0/8", "2001:db8::/32"]);
    assert_eq!(ranges("192.0.2.1,::2"), ["192.0.2.1/32", "::2/128"]);
    assert_eq!(ranges("::ffff:10.0.0.0/104"), ["10.0.0.0/8"]);
}

#[test]
fn an_invalid_trusted_proxy_is_reported() {
    for odd in
        ["10.0.0.0/33", "10.0.0", "proxy.example.com", "10.0.0.1-10.0.0.9", "0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"]
    {
        let shown = error("TRUSTED_PROXIES", &[("TRUSTED_PROXIES", &format!("192.0.2.1,{odd}"))]);
        assert!(shown.contains(&format!("`{odd}`")), "{shown}");
    }
}

#[test]
fn with_keys_development_uses_stripe() {
    let config = accepted(&[("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_WEBHOOK_SECRET", "whsec_12345")]);
    assert!(!config.is_sandbox());
    let stripe = &config.stripe;
    assert_eq!(stripe.api_base, None, "the default is Stripe");
    assert_eq!(stripe.hosted_origins(), ["https://checkout.stripe.com", "https://billing.stripe.com"]);
}

/// Half a configuration is a mistake: it does not select the sandbox.
#[test]
fn one_key_without_the_other_is_an_error() {
    error("STRIPE_WEBHOOK_SECRET", &[("STRIPE_SECRET_KEY", "sk_test_1")]);
    error("STRIPE_SECRET_KEY", &[("STRIPE_WEBHOOK_SECRET", "whsec_12345")]);
}

#[test]
fn production_without_keys_is_rejected_and_both_are_reported() {
    let errors = errors(&[("APP_ENV", "production"), ("APP_URL", "https://app.example.com")]);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("STRIPE_SECRET_KEY")), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("STRIPE_WEBHOOK_SECRET")), "{errors:?}");
}

#[test]
fn production_with_keys_is_accepted() {
    let config = accepted(&production(&[]));
    assert_eq!(config.env, Env::Production);
    assert!(config.is_https() && !config.is_sandbox());
    accepted(&production(&[("STRIPE_SECRET_KEY", "rk_live_1")]));
}

/// A misspelled environment must not turn the sandbox on.
#[test]
fn an_unknown_environment_is_an_error_and_gets_no_defaults() {
    let errors = errors(&[("APP_ENV", "prod")]);
    for name in ["APP_ENV", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"] {
        assert!(errors.iter().any(|error| error.contains(name)), "{name}: {errors:?}");
    }
}

#[test]
fn all_errors_are_reported_together() {
    let variables = [
        ("APP_ENV", "production"),
        ("APP_URL", "ftp://app"),
        ("BIND_ADDR", "everywhere"),
        ("DATABASE_URL", "mysql://db"),
        ("STRIPE_SECRET_KEY", "pk_live_1"),
        ("STRIPE_WEBHOOK_SECRET", "secret"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("TOLLGATE_PLANS", "/nowhere/plans.toml"),
    ];
    let error = read(&variables).expect_err("every variable is wrong");
    let text = error.to_string();
    for (name, _) in &variables[1..] {
        assert!(error.0.iter().any(|line| line.contains(name)), "{name} is not named:\n{text}");
        assert!(text.contains(name), "{name} is not printed:\n{text}");
    }
    assert!(text.contains(&format!("{} error(s)", variables.len() - 1)), "{text}");
}

#[test]
fn a_blank_value_counts_as_unset() {
    let config = accepted(&[("APP_URL", " "), ("DATABASE_URL", ""), ("STRIPE_SECRET_KEY", "\t"), ("RUST_LOG", "")]);
    assert!(config.is_sandbox());
    assert_eq!(config.log, None);
}

#[test]
fn space_around_a_value_is_trimmed() {
    let config = accepted(&production(&[("STRIPE_SECRET_KEY", " sk_live_padded\n"), ("RUST_LOG", " info ")]));
    assert_eq!(config.stripe.secret_key.expose_secret(), "sk_live_padded");
    assert_eq!(config.log.as_deref(), Some("info"));
}

#[test]
fn several_webhook_secrets_are_accepted_while_rotating() {
    let config = accepted(&production(&[("STRIPE_WEBHOOK_SECRET", "whsec_new, whsec_old ,")]));
    let secrets: Vec<&str> = config.stripe.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["whsec_new", "whsec_old"]);
}

#[test]
fn every_webhook_secret_must_have_the_prefix() {
    for odd in ["whsec_new,old", "whsec_", "whsec_new;whsec_old, x", ",", "we_1"] {
        error("STRIPE_WEBHOOK_SECRET", &production(&[("STRIPE_WEBHOOK_SECRET", odd)]));
    }
}

/// The secret is public, so anyone could sign an event with it.
#[test]
fn production_rejects_the_sandboxs_signing_secret() {
    for secrets in ["whsec_sandbox", "whsec_4d5e6f, whsec_sandbox", "whsec_sandbox,whsec_4d5e6f"] {
        let shown = error("STRIPE_WEBHOOK_SECRET", &production(&[("STRIPE_WEBHOOK_SECRET", secrets)]));
        assert!(!shown.contains("4d5e6f"), "{shown}");
        for base in ["https://stripe.example.com", "http://10.0.0.1:12111", "http://localhost.example.com"] {
            let elsewhere = [("STRIPE_WEBHOOK_SECRET", secrets), ("STRIPE_API_BASE", base)];
            error("STRIPE_WEBHOOK_SECRET", &production(&elsewhere));
        }
    }
    assert_eq!(SANDBOX_WEBHOOK_SECRET, "whsec_sandbox");
}

#[test]
fn http_2_is_off_unless_it_is_on() {
    let is_on = |value| accepted(&[("HTTP2", value)]).http2;
    assert_eq!((is_on(""), is_on("off"), is_on("on")), (false, false, true));
    error("HTTP2", &[("HTTP2", "true")]);
}

/// With a test key every payment is play money, which would go unnoticed.
#[test]
fn production_rejects_a_test_key_unless_it_is_allowed() {
    for key in ["sk_test_1", "rk_test_1"] {
        let shown = error("STRIPE_SECRET_KEY", &production(&[("STRIPE_SECRET_KEY", key)]));
        assert!(shown.contains("STRIPE_TEST_KEY=allow"), "{shown}");
        accepted(&production(&[("STRIPE_SECRET_KEY", key), ("STRIPE_TEST_KEY", "allow")]));
        error("STRIPE_TEST_KEY", &production(&[("STRIPE_TEST_KEY", "yes")]));
    }
}

/// A production build can be tried against a sandbox on the same machine.
#[test]
fn production_may_use_a_sandbox_on_this_machine() {
    for base in ["http://127.0.0.1:12111", "http://localhost:12111", "http://[::1]:12111"] {
        accepted(&production(&[("STRIPE_WEBHOOK_SECRET", "whsec_sandbox"), ("STRIPE_API_BASE", base)]));
    }
    accepted(&[("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_WEBHOOK_SECRET", "whsec_sandbox")]);
}

#[test]
fn an_app_url_is_an_origin() {
    for url in ["https://app.example.com", "https://app.example.com/", "https://app.example.com:8443", "https://[::1]"]
    {
        accepted(&production(&[("APP_URL", url)]));
    }
    for url in [
        "app.example.com",
        "ftp://app.example.com",
        "https://",
        "https://app.example.com/app",
        "https://app.example.com/?x=1",
        "https://app.example.com/#x",
        "https://ada@app.example.com",
        "https://ada:hunter2@app.example.com",
        "javascript:alert(1)",
    ] {
        let error = error("APP_URL", &production(&[("APP_URL", url)]));
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn production_needs_its_address() {
    error("APP_URL", &production(&[("APP_URL", "")]));
}

/// Otherwise the session cookie would be sent in clear text, except to a proxy on the same machine.
#[test]
fn production_is_https_except_on_this_machine() {
    error("APP_URL", &production(&[("APP_URL", "http://app.example.com")]));
    error("APP_URL", &production(&[("APP_URL", "http://localhost.example.com")]));
    error("APP_URL", &production(&[("APP_URL", "http://10.0.0.1")]));
    for local in ["http://localhost:3000", "http://app.localhost", "http://127.0.0.1", "http://[::1]:3000"] {
        accepted(&production(&[("APP_URL", local)]));
    }
    accepted(&[("APP_URL", "http://app.example.com")]);
}

#[test]
fn the_database_is_chosen_by_its_address() {
    assert!(matches!(accepted(&[("DATABASE_URL", "sqlite::memory:")]).database_url, DatabaseUrl::Sqlite(_)));
    for url in ["postgres://db/tollgate", "postgresql://ada:hunter2@db:5432/tollgate"] {
        assert!(matches!(accepted(&[("DATABASE_URL", url)]).database_url, DatabaseUrl::Postgres { .. }));
    }
    for odd in ["data/tollgate.db", "mysql://db", "file:tollgate.db", "Postgres"] {
        error("DATABASE_URL", &[("DATABASE_URL", odd)]);
    }
}

#[test]
fn production_rejects_a_database_in_memory() {
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:file:x?mode=memory", "sqlite:", "sqlite://"] {
        error("DATABASE_URL", &production(&[("DATABASE_URL", url)]));
    }
    accepted(&production(&[("DATABASE_URL", "sqlite:/var/lib/tollgate/tollgate.db")]));
}

#[test]
fn production_rejects_a_remote_postgresql_whose_connection_may_be_unencrypted() {
    for url in [
        "postgres://db.example.com/tollgate",
        "postgres://10.0.0.7/tollgate",
        "postgres://ada:hunter2@db:5432/tollgate?sslmode=prefer",
        "postgres://db/tollgate?sslmode=allow",
        "postgres://localhost.example.com/tollgate",
    ] {
        let error = error("DATABASE_URL", &production(&[("DATABASE_URL", url)]));
        assert!(error.contains("sslmode=require") && !error.contains("hunter2"), "{error}");
    }
    for url in [
        "postgres://db.example.com/tollgate?sslmode=require",
        "postgres://db.example.com/tollgate?sslmode=verify-full",
        // As it is configured.
        "postgres://db.example.com/tollgate?sslmode=disable",
        // It does not leave the machine.
        "postgres://localhost/tollgate",
        "postgres://127.0.0.1:5432/tollgate",
        "postgres://[::1]/tollgate",
        "postgres:///tollgate?host=/run/postgresql",
    ] {
        accepted(&production(&[("DATABASE_URL", url)]));
    }
    accepted(&[("DATABASE_URL", "postgres://db.example.com/tollgate")]);
}

#[test]
fn the_api_base_is_an_address_without_its_version() {
    let config = accepted(&production(&[("STRIPE_API_BASE", "http://127.0.0.1:12111")]));
    assert_eq!(config.stripe.hosted_origins(), ["http://127.0.0.1:12111"]);
    for odd in ["http://127.0.0.1:12111/v1", "http://127.0.0.1:12111/v1/", "127.0.0.1:12111", "unix:/stripe"] {
        error("STRIPE_API_BASE", &production(&[("STRIPE_API_BASE", odd)]));
    }
}

#[test]
fn keys_of_the_wrong_kind_are_rejected() {
    error("STRIPE_SECRET_KEY", &production(&[("STRIPE_SECRET_KEY", "pk_live_1")]));
    error("STRIPE_SECRET_KEY", &production(&[("STRIPE_SECRET_KEY", "whsec_1")]));
}

#[test]
fn price_ids_come_from_the_environment() {
    let config = accepted(&production(&[("STRIPE_PRO_PRICE_ID", "price_pro_month")]));
    let pro = config.catalog.plan_named("PRO").expect("it is sold");
    let month = pro.price(billing::Interval::Month).expect("it is sold by the month");
    assert_eq!(month.id.as_ref().map(billing::PriceId::as_str), Some("price_pro_month"));
}

#[test]
fn plans_can_be_replaced_and_their_errors_are_all_reported() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{}", include_str!("../../../plans.toml").replace("name = \"Pro\"", "name = \"Plus\"")).unwrap();
    let path = file.path().to_str().unwrap();
    let config = accepted(&[("TOLLGATE_PLANS", path)]);
    assert!(config.catalog.plans().iter().any(|plan| plan.name == "Plus"));

    let mut broken = tempfile::NamedTempFile::new().unwrap();
    write!(broken, "grace_days = 3\ntrial_days = 14\n").unwrap();
    let path = broken.path().to_str().unwrap();
    let errors = errors(&[("TOLLGATE_PLANS", path), ("BIND_ADDR", "x")]);
    assert!(errors.iter().any(|error| error.contains(path)), "the file is named: {errors:?}");
    assert!(errors.iter().any(|error| error.contains("BIND_ADDR")), "{errors:?}");
}

#[test]
fn the_burst_limit_is_a_whole_number_or_unlimited() {
    let limit = |value| accepted(&[("API_CALLS_PER_SECOND", value)]).api_calls_per_second.map(NonZeroU32::get);
    assert_eq!((limit(""), limit("5"), limit("unlimited")), (Some(100), Some(5), None));
    for odd in ["0", "-1", "1.5", "many", "4294967296"] {
        error("API_CALLS_PER_SECOND", &[("API_CALLS_PER_SECOND", odd)]);
    }
}

#[test]
fn the_rate_of_requests_to_stripe_is_a_whole_number() {
    const NAME: &str = "STRIPE_REQUESTS_PER_SECOND";
    let rate = |value| accepted(&production(&[(NAME, value)])).stripe.rate;
    assert_eq!((rate(""), rate("40")), (None, Some(RequestRate::per_second(40))));
    for odd in ["0", "-1", "1.5", "unlimited"] {
        error(NAME, &production(&[(NAME, odd)]));
    }
}

#[test]
fn stripe_is_compared_on_a_schedule_or_by_command_alone() {
    let every = |value| accepted(&[("RECONCILE_SECONDS", value)]).reconcile.map(|schedule| schedule.every.as_secs());
    assert_eq!((every(""), every("900"), every("never")), (Some(3600), Some(900), None));
    for odd in ["0", "899", "-1", "1h"] {
        error("RECONCILE_SECONDS", &[("RECONCILE_SECONDS", odd)]);
    }
}

#[test]
fn usage_is_kept_for_days_or_forever() {
    let days = |value| accepted(&[("USAGE_HISTORY_DAYS", value)]).retention.usage_days;
    assert_eq!((days(""), days("1"), days("forever")), (Some(90), Some(1), None));
    for odd in ["0", "-1", "1.5", "always"] {
        error("USAGE_HISTORY_DAYS", &[("USAGE_HISTORY_DAYS", odd)]);
    }
}

#[test]
fn the_ai_provider_is_optional_and_needs_an_address_and_a_model() {
    assert!(accepted(&[]).ai.is_none());
    let (base, model) = (("AI_BASE_URL", "https://api.openai.com/v1"), ("AI_MODEL", "small"));
    let ai = accepted(&[base, model]).ai.expect("it is set");
    assert_eq!((ai.base_url.as_str(), ai.model.as_str(), ai.api_key.is_none()), (base.1, model.1, true));
    let with_key = accepted(&[base, model, ("AI_API_KEY", "SECRETKEY")]);
    assert_eq!(with_key.ai.as_ref().and_then(|ai| ai.api_key.as_ref()).unwrap().expose_secret(), "SECRETKEY");
    assert!(!format!("{with_key:?}").contains("SECRET"));
    error("AI_MODEL", &[base]);
    error("AI_BASE_URL", &[model]);
    error("AI_BASE_URL", &[model, ("AI_BASE_URL", "api.openai.com")]);
    let shown = error("AI_API_KEY", &[base, model, ("AI_API_KEY", "SECRET\u{7f}KEY")]);
    assert!(!shown.contains("SECRET"), "{shown}");
    assert_eq!(errors(&[("AI_API_KEY", "key")]).len(), 2, "a key alone is not a provider");
}

#[test]
fn stripe_returns_customers_to_the_pages_of_the_app() {
    let urls = accepted(&production(&[])).urls();
    for (url, address) in [
        (urls.success, "https://app.example.com/billing/success"),
        (urls.cancel_plan, "https://app.example.com/pricing?notice=canceled"),
        (urls.cancel_product, "https://app.example.com/billing?notice=canceled"),
        (urls.portal_return, "https://app.example.com/billing/return"),
        (urls.webhook, "https://app.example.com/api/stripe/webhook"),
    ] {
        assert_eq!(url.as_str(), address);
    }
}

#[test]
fn no_secret_is_shown() {
    let variables = production(&[
        ("STRIPE_SECRET_KEY", "sk_live_SECRETKEY"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_SECRETONE,whsec_SECRETTWO"),
        ("DATABASE_URL", "postgres://ada:SECRETWORD@db/tollgate?sslmode=require"),
    ]);
    let config = accepted(&variables);
    let printed = format!("{config:?} {config:#?} {:?} {:?}", config.stripe, config.database_url);
    assert!(!printed.contains("SECRET"), "{printed}");

    let variables = production(&[
        ("STRIPE_SECRET_KEY", "SECRETKEY"),
        ("STRIPE_WEBHOOK_SECRET", "SECRETONE"),
        ("DATABASE_URL", "pstgres://ada:SECRETWORD@db/tollgate"),
        ("STRIPE_API_BASE", "//SECRETUSER@stripe"),
        ("APP_URL", "https//SECRETUSER@app"),
    ]);
    let error = read(&variables).expect_err("every variable is wrong");
    let printed = format!("{error} {error:?}").replace("STRIPE_SECRET_KEY", "").replace("STRIPE_WEBHOOK_SECRET", "");
    assert!(!printed.contains("SECRET"), "{printed}");
}
