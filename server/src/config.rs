//! The configuration: read once at startup, typed, with all errors reported together.
//!
//! Nothing else in the program reads the environment. Secrets are [`SecretString`]s: their `Debug`
//! output is redacted (`tests/rules/config.rs`).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use billing::Catalog;
use engine::reconcile::RECENT;
use engine::settings::{DatabaseUrl, RequestRate, Retention, StripeSettings, Urls};
use engine::tasks::reconciler::Schedule;
use ipnet::{IpNet, Ipv4Net};
use secrecy::SecretString;
use url::Url;

use crate::hashing::HashingLimits;

/// The plans compiled into the binary; `TOLLGATE_PLANS` specifies a file to use instead.
const EMBEDDED_PLANS: &str = include_str!("../../plans.toml");

/// The key that the sandbox accepts. Not a secret.
pub const SANDBOX_SECRET_KEY: &str = "sk_test_sandbox";
/// The secret that the sandbox signs its events with. Not a secret either.
pub const SANDBOX_WEBHOOK_SECRET: &str = "whsec_sandbox";

/// The pages and actions of an account that send requests to Stripe, per minute: more than a person uses. Each costs
/// a few requests.
const STRIPE_CALLS_PER_MINUTE: u32 = 30;

/// The environment in which the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Env {
    /// A developer's machine: `.env` is read, and the sandbox replaces Stripe unless keys are set.
    Development,
    /// Serving customers: every setting without a safe default must be set.
    Production,
}

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// `APP_ENV`.
    pub env: Env,
    /// `APP_URL`: the address at which customers reach the app, and to which Stripe returns them.
    pub app_url: Url,
    /// `BIND_ADDR`.
    pub bind_addr: SocketAddr,
    /// `HTTP2`: whether HTTP/2 is served besides HTTP/1.
    pub http2: bool,
    /// `TRUSTED_PROXIES`: proxies whose `X-Forwarded-For` is trusted, besides this machine.
    pub trusted_proxies: Vec<IpNet>,
    /// `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// `STRIPE_…`.
    pub stripe: StripeSettings,
    /// `SANDBOX_ADDR`: the sandbox's address, if it replaces Stripe because no keys are set.
    pub sandbox_addr: Option<SocketAddr>,
    /// `plans.toml`, with the price ids of the environment.
    pub catalog: Arc<Catalog>,
    /// `USAGE_HISTORY_DAYS`: how long usage records and their idempotency keys are kept.
    pub retention: Retention,
    /// `RECONCILE_SECONDS`: the schedule of comparisons with Stripe; none if `None`.
    pub reconcile: Option<Schedule>,
    /// The limits on password hashing: the defaults, without a variable.
    pub hashing: HashingLimits,
    /// `AI_…`: the text-generation provider; a local placeholder if `None`.
    pub ai: Option<AiConfig>,
    /// `API_CALLS_PER_SECOND`: each account's limit on API calls; unlimited if `None`.
    pub api_calls_per_second: Option<NonZeroU32>,
    /// How often an account may call Stripe from pages and actions, per minute and node; unlimited if `None`. It has
    /// no variable: a person needs less, and the sandbox has no limit.
    pub stripe_calls_per_minute: Option<u32>,
    /// `RUST_LOG`: the log filter, in tracing's syntax.
    pub log: Option<String>,
    /// `TOLLGATE_SITE`: the folder with the stylesheet and scripts, for a binary that does not embed them.
    pub site_dir: PathBuf,
}

impl Config {
    /// Returns whether cookies are only sent over TLS.
    pub fn is_https(&self) -> bool {
        self.app_url.scheme() == "https"
    }

    /// Returns whether the sandbox replaces Stripe.
    pub const fn is_sandbox(&self) -> bool {
        self.sandbox_addr.is_some()
    }

    /// Returns the app's pages, for the engine.
    pub fn urls(&self) -> Urls {
        let mut urls = Urls::at(&self.app_url);
        for cancel in [&mut urls.cancel_plan, &mut urls.cancel_product] {
            cancel.set_query(Some("notice=canceled"));
        }
        urls.portal_return.set_path("/billing/return");
        urls
    }
}

/// An endpoint with OpenAI's chat completions API.
#[derive(Clone, Debug)]
pub struct AiConfig {
    /// `AI_BASE_URL`, such as `https://api.openai.com/v1`.
    pub base_url: Url,
    /// `AI_API_KEY`; some providers need none.
    pub api_key: Option<SecretString>,
    /// `AI_MODEL`.
    pub model: String,
}

/// All configuration errors, one line each, without secrets.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("The configuration has {} error(s):\n{}", .0.len(), .0.iter().map(|error| format!("  - {error}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

impl Config {
    /// Reads the variables through `lookup`. An empty value counts as unset.
    ///
    /// # Errors
    /// Lists every missing or malformed variable.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Reader { lookup, errors: Vec::new() }.read()
    }

    /// Reads the process's environment and, except in production, the file `.env` for variables that
    /// the environment does not set.
    ///
    /// # Errors
    /// As for [`Config::from_lookup`], or if `.env` cannot be read.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_env() -> Result<Self, ConfigErrors> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let file = if variable("APP_ENV").as_deref() == Some("production") { HashMap::new() } else { dot_env()? };
        Self::from_lookup(&|name| variable(name).or_else(|| file.get(name).cloned()))
    }
}

/// Returns the variables in `.env`; none if there is no such file.
fn dot_env() -> Result<HashMap<String, String>, ConfigErrors> {
    let lines = match dotenvy::from_filename_iter(".env") {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return Ok(HashMap::new()),
        Err(error) => return Err(ConfigErrors(vec![format!(".env: {error}")])),
    };
    // The error would show the line, which may contain a secret.
    lines
        .collect::<Result<_, _>>()
        .map_err(|_| ConfigErrors(vec![".env: a line is not of the form NAME=value".to_owned()]))
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Config, ConfigErrors> {
        let env = self.env();
        let app_url = self.app_url(env);
        let bind_addr = self.bind_addr();
        let http2 = self.http2();
        let trusted_proxies = self.trusted_proxies();
        let database_url = self.database_url(env);
        let stripe = self.stripe(env);
        let catalog = self.catalog();
        let retention = Retention { usage_days: self.usage_history_days() };
        let reconcile = self.reconcile();
        let ai = self.ai();
        let api_calls_per_second = self.api_calls_per_second();
        let log = self.value("RUST_LOG");
        let site_dir = self.value("TOLLGATE_SITE").unwrap_or_else(|| "target/site".to_owned()).into();
        match (app_url, bind_addr, database_url, stripe, catalog) {
            (Some(app_url), Some(bind_addr), Some(database_url), Some((stripe, sandbox_addr)), Some(catalog))
                if self.errors.is_empty() =>
            {
                Ok(Config {
                    env,
                    app_url,
                    bind_addr,
                    http2,
                    trusted_proxies,
                    database_url,
                    stripe,
                    sandbox_addr,
                    catalog: Arc::new(catalog),
                    retention,
                    reconcile,
                    hashing: HashingLimits::default(),
                    ai,
                    api_calls_per_second,
                    stripe_calls_per_minute: sandbox_addr.is_none().then_some(STRIPE_CALLS_PER_MINUTE),
                    log,
                    site_dir,
                })
            }
            _ => Err(ConfigErrors(self.errors)),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn error(&mut self, error: impl Into<String>) {
        self.errors.push(error.into());
    }

    fn env(&mut self) -> Env {
        match self.value("APP_ENV").as_deref() {
            None | Some("development") => Env::Development,
            Some("production") => Env::Production,
            Some(other) => {
                self.error(format!("APP_ENV is `{other}`: use `development` or `production`"));
                // The stricter environment, so that no other error goes unreported.
                Env::Production
            }
        }
    }

    fn app_url(&mut self, env: Env) -> Option<Url> {
        let Some(text) = self.value("APP_URL") else {
            if env == Env::Production {
                self.error("APP_URL is not set: use the app's public address, such as https://app.example.com");
                return None;
            }
            return Url::parse("http://localhost:3000").ok();
        };
        let valid = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .filter(|url| url.username().is_empty() && url.password().is_none())
            .filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none());
        let Some(url) = valid else {
            self.error("APP_URL must have the form http(s)://host[:port], without a path");
            return None;
        };
        if env == Env::Production && url.scheme() == "http" && !is_this_machine(&url) {
            self.error("APP_URL must be https in production, so that the session cookie is never sent in clear text");
            return None;
        }
        Some(url)
    }

    fn bind_addr(&mut self) -> Option<SocketAddr> {
        self.socket_addr("BIND_ADDR", "127.0.0.1:3000")
    }

    fn socket_addr(&mut self, name: &str, default: &str) -> Option<SocketAddr> {
        let text = self.value(name).unwrap_or_else(|| default.to_owned());
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.error(format!("{name} is `{text}`: use address:port, such as {default}"));
        }
        parsed
    }

    fn database_url(&mut self, env: Env) -> Option<DatabaseUrl> {
        let url = self.value("DATABASE_URL").unwrap_or_else(|| "sqlite:data/tollgate.db".to_owned());
        match DatabaseUrl::parse(&url) {
            Ok(url) if env == Env::Production && url.is_in_memory() => {
                self.error("DATABASE_URL is an in-memory database: use a file or a server in production");
                None
            }
            Ok(url) if env == Env::Production && url.may_be_unencrypted() => {
                self.error("DATABASE_URL is on another machine, and the connection is unencrypted if the server offers no TLS: add `?sslmode=require` or `?sslmode=verify-full`, or `?sslmode=disable` if the network between them is trusted");
                None
            }
            Ok(url) => Some(url),
            Err(error) => {
                self.error(format!("DATABASE_URL {error}"));
                None
            }
        }
    }

    fn stripe(&mut self, env: Env) -> Option<(StripeSettings, Option<SocketAddr>)> {
        let key = self.value("STRIPE_SECRET_KEY");
        let webhook = self.value("STRIPE_WEBHOOK_SECRET");
        let errors_before = self.errors.len();

        let api_base = self.value("STRIPE_API_BASE").and_then(|text| {
            let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if url.is_none() {
                self.error("STRIPE_API_BASE is not an http(s) address");
            }
            if text.trim_end_matches('/').ends_with("/v1") {
                self.error("STRIPE_API_BASE must not end in /v1, which is added automatically");
            }
            url
        });

        if key.is_none() && webhook.is_none() && env == Env::Development {
            let sandbox = self.socket_addr("SANDBOX_ADDR", "127.0.0.1:12111")?;
            if self.errors.len() > errors_before {
                return None;
            }
            let mut stripe = StripeSettings::new(SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET);
            stripe.api_base = api_base.or_else(|| Url::parse(&format!("http://{sandbox}")).ok());
            return Some((stripe, Some(sandbox)));
        }

        match key.as_deref() {
            None => self.error(
                "STRIPE_SECRET_KEY is not set: customers cannot pay without it (Stripe Dashboard → Developers → API keys)",
            ),
            Some(key) if !(key.starts_with("sk_") || key.starts_with("rk_")) => {
                self.error("STRIPE_SECRET_KEY must begin with `sk_` or `rk_`");
            }
            Some(_) => {}
        }
        let is_local = api_base.as_ref().is_some_and(is_this_machine);
        let is_test_key = key.as_deref().is_some_and(|key| key.starts_with("sk_test_") || key.starts_with("rk_test_"));
        let allows_test_key = self.allows_test_key();
        if env == Env::Production && is_test_key && !is_local && !allows_test_key {
            self.error(
                "STRIPE_SECRET_KEY is a test key, with which no payment is real: use a live key, or set STRIPE_TEST_KEY=allow for a staging environment",
            );
        }
        let webhook_secrets: Vec<&str> = webhook
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .collect();
        if webhook_secrets.is_empty() {
            self.error("STRIPE_WEBHOOK_SECRET is not set: no event can be verified without it (`stripe listen` or the endpoint's page in the Stripe Dashboard shows it)");
        }
        if webhook_secrets.iter().any(|secret| !secret.starts_with("whsec_") || secret.len() < 8) {
            self.error("STRIPE_WEBHOOK_SECRET: each secret must begin with `whsec_`");
        }
        if env == Env::Production && !is_local && webhook_secrets.contains(&SANDBOX_WEBHOOK_SECRET) {
            self.error("STRIPE_WEBHOOK_SECRET is the sandbox's, which is public: use your endpoint's secret");
        }
        let rate = self.stripe_rate();
        if self.errors.len() > errors_before {
            return None;
        }
        let stripe = StripeSettings {
            secret_key: key?.into(),
            webhook_secrets: webhook_secrets.into_iter().map(SecretString::from).collect(),
            api_base,
            timeout: StripeSettings::TIMEOUT,
            rate,
        };
        Some((stripe, None))
    }

    fn stripe_rate(&mut self) -> Option<RequestRate> {
        let text = self.value("STRIPE_REQUESTS_PER_SECOND")?;
        let per_second: Option<NonZeroU32> = text.parse().ok();
        if per_second.is_none() {
            self.error("STRIPE_REQUESTS_PER_SECOND must be a whole number, at least 1");
        }
        per_second.map(|requests| RequestRate::per_second(requests.get()))
    }

    /// Returns whether `STRIPE_TEST_KEY` allows a test key in production.
    fn allows_test_key(&mut self) -> bool {
        match self.value("STRIPE_TEST_KEY").as_deref() {
            None => false,
            Some("allow") => true,
            Some(other) => {
                self.error(format!("STRIPE_TEST_KEY is `{other}`: use `allow`, or remove it"));
                false
            }
        }
    }

    /// Reads the AI settings. Address and model must be set together; a key alone is an error.
    fn ai(&mut self) -> Option<AiConfig> {
        let (base_url, key, model) = (self.value("AI_BASE_URL"), self.value("AI_API_KEY"), self.value("AI_MODEL"));
        if base_url.is_none() && key.is_none() && model.is_none() {
            return None;
        }
        let parsed = base_url
            .as_deref()
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if parsed.is_none() {
            self.error("AI_BASE_URL is not an http(s) address such as https://api.openai.com/v1");
        }
        if model.is_none() {
            self.error("AI_MODEL is not set: the name of the model that AI_BASE_URL serves");
        }
        if key.as_deref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            self.error("AI_API_KEY cannot be sent as a header");
        }
        Some(AiConfig { base_url: parsed?, api_key: key.map(SecretString::from), model: model? })
    }

    fn http2(&mut self) -> bool {
        let value = self.value("HTTP2");
        if !matches!(value.as_deref(), None | Some("on" | "off")) {
            self.error("HTTP2 must be `on` or `off`");
        }
        value.as_deref() == Some("on")
    }

    fn trusted_proxies(&mut self) -> Vec<IpNet> {
        let value = self.value("TRUSTED_PROXIES").unwrap_or_default();
        let mut ranges = Vec::new();
        for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match range(text) {
                Some(range) if range.prefix_len() == 0 => self.error(format!(
                    "TRUSTED_PROXIES: `{text}` includes every address, so any client could impersonate another"
                )),
                Some(range) => ranges.push(range),
                None => self.error(format!(
                    "TRUSTED_PROXIES: `{text}` is not an address or a range such as 10.0.0.0/8 or fd00::/8"
                )),
            }
        }
        ranges
    }

    fn api_calls_per_second(&mut self) -> Option<NonZeroU32> {
        match self.value("API_CALLS_PER_SECOND").as_deref() {
            None => NonZeroU32::new(100),
            Some("unlimited") => None,
            Some(text) => {
                let rate = text.parse().ok();
                if rate.is_none() {
                    self.error("API_CALLS_PER_SECOND must be a whole number, at least 1, or `unlimited`");
                }
                rate
            }
        }
    }

    /// 90 days by default. Idempotency keys are kept for the same time, so it is at least a day.
    fn usage_history_days(&mut self) -> Option<u32> {
        match self.value("USAGE_HISTORY_DAYS").as_deref() {
            None => Some(90),
            Some("forever") => None,
            Some(text) => {
                let days = text.parse().ok().filter(|days| *days > 0);
                if days.is_none() {
                    self.error("USAGE_HISTORY_DAYS must be a whole number of days, at least 1, or `forever`");
                }
                days
            }
        }
    }

    fn reconcile(&mut self) -> Option<Schedule> {
        let schedule = Schedule::default();
        match self.value("RECONCILE_SECONDS").as_deref() {
            None => Some(schedule),
            Some("never") => None,
            Some(text) => {
                let seconds = text.parse().ok().filter(|seconds: &u32| *seconds >= RECENT);
                if seconds.is_none() {
                    self.error(format!("RECONCILE_SECONDS must be a whole number, at least {RECENT}, or `never`"));
                }
                Some(Schedule { every: Duration::from_secs(seconds?.into()), ..schedule })
            }
        }
    }

    fn catalog(&mut self) -> Option<Catalog> {
        let (source, text) = match self.value("TOLLGATE_PLANS") {
            None => ("plans.toml".to_owned(), EMBEDDED_PLANS.to_owned()),
            Some(path) => match std::fs::read_to_string(PathBuf::from(&path)) {
                Ok(text) => (path, text),
                Err(error) => {
                    self.error(format!("TOLLGATE_PLANS: cannot read `{path}`: {error}"));
                    return None;
                }
            },
        };
        match Catalog::parse(&text, &|name| self.value(name)) {
            Ok(catalog) => Some(catalog),
            Err(errors) => {
                for error in errors.0 {
                    self.error(format!("{source}: {error}"));
                }
                None
            }
        }
    }
}

/// Parses a range of addresses. An IPv4 range that is written as IPv6 (`::ffff:10.0.0.0/104`) becomes an IPv4
/// range, as addresses do before they are compared.
fn range(text: &str) -> Option<IpNet> {
    let range = text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)))?;
    let mapped = match range {
        IpNet::V6(range) => range.addr().to_ipv4_mapped().zip(range.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    match mapped {
        Some((address, prefix)) => Ipv4Net::new(address, prefix).ok().map(IpNet::V4),
        None => Some(range),
    }
}

/// Returns whether an address is this machine's own.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
