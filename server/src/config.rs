//! The configuration: read once at start, typed, every fault named at once.
//!
//! Nothing else in the program reads the environment. Secrets are
//! [`SecretString`]s: their `Debug` shows nothing (`tests/rules/config.rs`).

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use billing::Catalog;
use secrecy::SecretString;
use url::Url;

/// The plans compiled into the binary; `TOLLGATE_PLANS` names a file to use instead.
const EMBEDDED_PLANS: &str = include_str!("../../plans.toml");

/// The key that the offline Stripe takes. Not a secret: it opens nothing.
pub const SANDBOX_SECRET_KEY: &str = "sk_test_sandbox";
/// What the offline Stripe signs its events with. Not a secret either.
pub const SANDBOX_WEBHOOK_SECRET: &str = "whsec_sandbox";

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Env {
    /// On a developer's machine: `.env` is read, the sandbox stands in for Stripe.
    Development,
    /// In front of customers: nothing is assumed.
    Production,
}

/// Stripe's slowest answer with all retries fits in.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);

/// Everything that can be set from outside.
#[derive(Clone, Debug)]
pub struct Config {
    /// `APP_ENV`.
    pub env: Env,
    /// `APP_URL`: where people reach the app; Stripe sends them back to it.
    pub app_url: Url,
    /// `BIND_ADDR`.
    pub bind_addr: SocketAddr,
    /// `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// `STRIPE_…`.
    pub stripe: StripeConfig,
    /// `plans.toml`, with the price ids of the environment.
    pub catalog: Arc<Catalog>,
    /// `USAGE_HISTORY_DAYS`: how long the history of usage is kept, and its keys with it; for ever when `None`.
    pub usage_history_days: Option<u32>,
    /// `AI_…`: what writes texts; the embedded default when `None`.
    pub ai: Option<AiConfig>,
    /// `API_CALLS_PER_SECOND`: how many calls of the API an account may make; any number when `None`.
    pub api_calls_per_second: Option<NonZeroU32>,
    /// The longest that one request may take.
    pub request_patience: Duration,
    /// `RUST_LOG`: what is logged, in tracing's filter syntax.
    pub log: Option<String>,
    /// `TOLLGATE_SITE`: the folder with style and scripts, for a binary that has none inside.
    pub site_dir: PathBuf,
}

impl Config {
    /// Whether cookies may only travel over TLS.
    pub fn is_https(&self) -> bool {
        self.app_url.scheme() == "https"
    }
}

/// An endpoint that speaks OpenAI's chat completions.
#[derive(Clone, Debug)]
pub struct AiConfig {
    /// `AI_BASE_URL`, such as `https://api.openai.com/v1`.
    pub base_url: Url,
    /// `AI_API_KEY`; some need none.
    pub api_key: Option<SecretString>,
    /// `AI_MODEL`.
    pub model: String,
}

/// How to reach Stripe.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `STRIPE_SECRET_KEY`.
    pub secret_key: SecretString,
    /// `STRIPE_WEBHOOK_SECRET`: one, or several while rotating.
    pub webhook_secrets: Vec<SecretString>,
    /// `STRIPE_PUBLISHABLE_KEY`. Hosted Checkout does not need it.
    pub publishable_key: Option<String>,
    /// `STRIPE_API_BASE`, without `/v1`; Stripe's own when `None`.
    pub api_base: Option<Url>,
    /// How long one try of a request may take.
    pub patience: Duration,
    sandbox: Option<SocketAddr>,
}

/// Stripe answers most requests within a second; its slowest take a few.
const PATIENCE: Duration = Duration::from_secs(10);

impl StripeConfig {
    /// Whether no keys were given and the offline Stripe stands in.
    pub const fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    /// `SANDBOX_ADDR`: where the offline Stripe listens, when it stands in.
    pub const fn sandbox_addr(&self) -> Option<SocketAddr> {
        self.sandbox
    }

    /// The origins that a form post may end at, for `Content-Security-Policy: form-action`.
    pub fn checkout_origins(&self) -> Vec<String> {
        match &self.api_base {
            Some(base) => vec![base.origin().ascii_serialization()],
            None => vec!["https://checkout.stripe.com".to_owned(), "https://billing.stripe.com".to_owned()],
        }
    }
}

/// Where the data is.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A file, or memory.
    Sqlite(String),
    /// A server. The address may hold a password.
    Postgres(SecretString),
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(url) => f.write_str(url),
            Self::Postgres(_) => f.write_str("postgres:…"),
        }
    }
}

/// All that is wrong with the environment, one line each. Values of secrets are not in it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("The configuration has {} fault(s):\n{}", .0.len(), .0.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigFaults(pub Vec<String>);

impl Config {
    /// Reads the variables through `lookup`. An empty value counts as unset.
    ///
    /// # Errors
    /// Every missing or malformed variable, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigFaults> {
        Reader { lookup, faults: Vec::new() }.read()
    }

    /// Reads the process's environment and, unless that says `production`, the file `.env`
    /// for what the environment leaves open.
    ///
    /// # Errors
    /// As [`Config::from_lookup`]; also an `.env` that cannot be understood.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_env() -> Result<Self, ConfigFaults> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let file = if variable("APP_ENV").as_deref() == Some("production") { HashMap::new() } else { dot_env()? };
        Self::from_lookup(&|name| variable(name).or_else(|| file.get(name).cloned()))
    }
}

/// What stands in `.env`; nothing when there is none.
fn dot_env() -> Result<HashMap<String, String>, ConfigFaults> {
    let lines = match dotenvy::from_filename_iter(".env") {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return Ok(HashMap::new()),
        Err(error) => return Err(ConfigFaults(vec![format!(".env: {error}")])),
    };
    // The error would show the line, and the line may hold a secret.
    lines
        .collect::<Result<_, _>>()
        .map_err(|_| ConfigFaults(vec![".env: a line is not of the form NAME=value".to_owned()]))
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Config, ConfigFaults> {
        let env = self.env();
        let app_url = self.app_url(env);
        let bind_addr = self.bind_addr();
        let database_url = self.database_url(env);
        let stripe = self.stripe(env);
        let catalog = self.catalog();
        let usage_history_days = self.usage_history_days();
        let ai = self.ai();
        let api_calls_per_second = self.api_calls_per_second();
        let log = self.value("RUST_LOG");
        let site_dir = self.value("TOLLGATE_SITE").unwrap_or_else(|| "target/site".to_owned()).into();
        match (app_url, bind_addr, database_url, stripe, catalog) {
            (Some(app_url), Some(bind_addr), Some(database_url), Some(stripe), Some(catalog))
                if self.faults.is_empty() =>
            {
                Ok(Config {
                    env,
                    app_url,
                    bind_addr,
                    database_url,
                    stripe,
                    catalog: Arc::new(catalog),
                    usage_history_days,
                    ai,
                    api_calls_per_second,
                    request_patience: REQUEST_PATIENCE,
                    log,
                    site_dir,
                })
            }
            _ => Err(ConfigFaults(self.faults)),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    fn env(&mut self) -> Env {
        match self.value("APP_ENV").as_deref() {
            None | Some("development") => Env::Development,
            Some("production") => Env::Production,
            Some(other) => {
                self.fault(format!("APP_ENV is `{other}`: use `development` or `production`"));
                // Whatever was meant, nothing is assumed.
                Env::Production
            }
        }
    }

    fn app_url(&mut self, env: Env) -> Option<Url> {
        let Some(text) = self.value("APP_URL") else {
            if env == Env::Production {
                self.fault("APP_URL is not set: the address people reach the app at, such as https://app.example.com");
                return None;
            }
            return Url::parse("http://localhost:3000").ok();
        };
        let sound = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .filter(|url| url.username().is_empty() && url.password().is_none())
            .filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none());
        let Some(url) = sound else {
            self.fault("APP_URL is not an address of the form http(s)://host[:port], without a path");
            return None;
        };
        if env == Env::Production && url.scheme() == "http" && !is_this_machine(&url) {
            self.fault("APP_URL must be https in production: the session cookie must not travel in the clear");
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
            self.fault(format!("{name} is `{text}`: use address:port, such as {default}"));
        }
        parsed
    }

    fn database_url(&mut self, env: Env) -> Option<DatabaseUrl> {
        let url = self.value("DATABASE_URL").unwrap_or_else(|| "sqlite:data/tollgate.db".to_owned());
        if let Some(file) = url.strip_prefix("sqlite:") {
            // SQLite takes no name for a database that goes away with its connection.
            if file.split('?').next().unwrap_or_default().trim_matches('/').is_empty() {
                self.fault("DATABASE_URL names no file: use one such as sqlite:data/tollgate.db");
                return None;
            }
            if env == Env::Production && (file.contains(":memory:") || file.contains("mode=memory")) {
                self.fault("DATABASE_URL keeps nothing: production needs a file or a server");
                return None;
            }
            Some(DatabaseUrl::Sqlite(url))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Some(DatabaseUrl::Postgres(url.into()))
        } else {
            self.fault("DATABASE_URL must begin with `sqlite:` or `postgres://`");
            None
        }
    }

    fn stripe(&mut self, env: Env) -> Option<StripeConfig> {
        let key = self.value("STRIPE_SECRET_KEY");
        let webhook = self.value("STRIPE_WEBHOOK_SECRET");
        let publishable_key = self.value("STRIPE_PUBLISHABLE_KEY");
        let faults_before = self.faults.len();

        if publishable_key.as_deref().is_some_and(|key| !key.starts_with("pk_")) {
            self.fault("STRIPE_PUBLISHABLE_KEY must begin with `pk_`");
        }
        let api_base = self.value("STRIPE_API_BASE").and_then(|text| {
            let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if url.is_none() {
                self.fault("STRIPE_API_BASE is not an http(s) address");
            }
            if text.trim_end_matches('/').ends_with("/v1") {
                self.fault("STRIPE_API_BASE must not end in /v1: it is added");
            }
            url
        });

        if key.is_none() && webhook.is_none() && env == Env::Development {
            let sandbox = self.socket_addr("SANDBOX_ADDR", "127.0.0.1:12111")?;
            return (self.faults.len() == faults_before).then(|| StripeConfig {
                secret_key: SANDBOX_SECRET_KEY.into(),
                webhook_secrets: vec![SANDBOX_WEBHOOK_SECRET.into()],
                publishable_key,
                api_base: api_base.or_else(|| Url::parse(&format!("http://{sandbox}")).ok()),
                patience: PATIENCE,
                sandbox: Some(sandbox),
            });
        }

        match key.as_deref() {
            None => self.fault(
                "STRIPE_SECRET_KEY is not set: without it nobody can pay (Stripe Dashboard → Developers → API keys)",
            ),
            Some(key) if !(key.starts_with("sk_") || key.starts_with("rk_")) => {
                self.fault("STRIPE_SECRET_KEY must begin with `sk_` or `rk_`");
            }
            Some(_) => {}
        }
        let webhook_secrets: Vec<&str> = webhook
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .collect();
        if webhook_secrets.is_empty() {
            self.fault("STRIPE_WEBHOOK_SECRET is not set: without it no event can be trusted (`stripe listen` or the endpoint's page shows it)");
        }
        if webhook_secrets.iter().any(|secret| !secret.starts_with("whsec_") || secret.len() < 8) {
            self.fault("STRIPE_WEBHOOK_SECRET: each secret must begin with `whsec_`");
        }
        let is_local = api_base.as_ref().is_some_and(is_this_machine);
        if env == Env::Production && !is_local && webhook_secrets.contains(&SANDBOX_WEBHOOK_SECRET) {
            self.fault("STRIPE_WEBHOOK_SECRET is the sandbox's, which everybody knows: use the endpoint's own");
        }
        if self.faults.len() > faults_before {
            return None;
        }
        Some(StripeConfig {
            secret_key: key?.into(),
            webhook_secrets: webhook_secrets.into_iter().map(SecretString::from).collect(),
            publishable_key,
            api_base,
            patience: PATIENCE,
            sandbox: None,
        })
    }

    /// All of it or nothing; a key alone opens nothing.
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
            self.fault("AI_BASE_URL is not an http(s) address such as https://api.openai.com/v1");
        }
        if model.is_none() {
            self.fault("AI_MODEL is not set: the name of the model that AI_BASE_URL serves");
        }
        if key.as_deref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            self.fault("AI_API_KEY cannot be sent as a header");
        }
        Some(AiConfig { base_url: parsed?, api_key: key.map(SecretString::from), model: model? })
    }

    fn api_calls_per_second(&mut self) -> Option<NonZeroU32> {
        match self.value("API_CALLS_PER_SECOND").as_deref() {
            None => NonZeroU32::new(100),
            Some("unlimited") => None,
            Some(text) => {
                let rate = text.parse().ok();
                if rate.is_none() {
                    self.fault("API_CALLS_PER_SECOND must be a whole number from 1 up, or `unlimited`");
                }
                rate
            }
        }
    }

    /// 90 days unless said otherwise; a key is remembered for as long, so less than a day is no answer.
    fn usage_history_days(&mut self) -> Option<u32> {
        match self.value("USAGE_HISTORY_DAYS").as_deref() {
            None => Some(90),
            Some("forever") => None,
            Some(text) => {
                let days = text.parse().ok().filter(|days| *days > 0);
                if days.is_none() {
                    self.fault("USAGE_HISTORY_DAYS must be a whole number of days from 1 up, or `forever`");
                }
                days
            }
        }
    }

    fn catalog(&mut self) -> Option<Catalog> {
        let (source, text) = match self.value("TOLLGATE_PLANS") {
            None => ("plans.toml".to_owned(), EMBEDDED_PLANS.to_owned()),
            Some(path) => match std::fs::read_to_string(PathBuf::from(&path)) {
                Ok(text) => (path, text),
                Err(error) => {
                    self.fault(format!("TOLLGATE_PLANS: cannot read `{path}`: {error}"));
                    return None;
                }
            },
        };
        match Catalog::parse(&text, &|name| self.value(name)) {
            Ok(catalog) => Some(catalog),
            Err(faults) => {
                for fault in faults.0 {
                    self.fault(format!("{source}: {fault}"));
                }
                None
            }
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
