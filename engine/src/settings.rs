//! The host's settings. They are values: the engine never reads the environment.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// The database of the engine's tables.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A file, such as `sqlite:data/billing.db`, or memory.
    Sqlite(String),
    /// A PostgreSQL server.
    Postgres {
        /// `postgres://…`; it may hold a password.
        url: SecretString,
        /// The schema of the engine's tables, created if it does not exist; the server's default
        /// if `None`. With its own schema the engine can share a database with any other tables.
        schema: Option<String>,
    },
}

/// The reason a database URL is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// It names neither SQLite nor PostgreSQL.
    #[error("must begin with `sqlite:` or `postgres://`")]
    Scheme,
    /// It does not specify a file, so that the database would disappear with its connection.
    #[error("does not specify a file: use one such as sqlite:data/tollgate.db")]
    NoFile,
    /// The schema is not a plain name.
    #[error("a schema's name has only lower-case letters, digits and underscores, and begins with a letter")]
    Schema,
}

impl DatabaseUrl {
    /// Parses a database URL.
    pub fn parse(url: &str) -> Result<Self, DatabaseUrlError> {
        if let Some(file) = url.strip_prefix("sqlite:") {
            let file = file.split('?').next().unwrap_or_default();
            if file.trim_matches('/').is_empty() {
                return Err(DatabaseUrlError::NoFile);
            }
            Ok(Self::Sqlite(url.to_owned()))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Ok(Self::Postgres { url: url.into(), schema: None })
        } else {
            Err(DatabaseUrlError::Scheme)
        }
    }

    /// Returns the same server, with the tables in this schema. No effect on SQLite.
    pub fn in_schema(self, name: &str) -> Result<Self, DatabaseUrlError> {
        let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_plain {
            return Err(DatabaseUrlError::Schema);
        }
        Ok(match self {
            Self::Postgres { url, .. } => Self::Postgres { url, schema: Some(name.to_owned()) },
            sqlite => sqlite,
        })
    }

    /// Returns whether a connection could be unencrypted by accident: the server is on another machine, and may
    /// not offer TLS. With `sslmode=disable` the URL asks for that.
    pub fn may_be_unencrypted(&self) -> bool {
        let Self::Postgres { url, .. } = self else { return false };
        let Ok(options) = PgConnectOptions::from_str(url.expose_secret()) else { return false };
        let is_local = options.get_socket().is_some() || is_local(options.get_host());
        !is_local && matches!(options.get_ssl_mode(), PgSslMode::Allow | PgSslMode::Prefer)
    }

    /// Returns whether the database is in memory, and does not outlive the process.
    pub fn is_in_memory(&self) -> bool {
        matches!(self, Self::Sqlite(url) if url.contains(":memory:") || url.contains("mode=memory"))
    }
}

/// Returns whether this refers to the machine itself, or to a folder with its socket.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || host == "localhost" || host.ends_with(".localhost") || host.starts_with('/')
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(url) => f.write_str(url),
            Self::Postgres { schema: Some(schema), .. } => write!(f, "postgres:… (schema {schema})"),
            Self::Postgres { .. } => f.write_str("postgres:…"),
        }
    }
}

/// Stripe's test mode, in which no payment is real, or its live mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeMode {
    /// Test mode.
    Test,
    /// Live mode.
    Live,
}

impl StripeMode {
    /// Returns the mode of an object, by its field `livemode`.
    pub const fn of_object(livemode: bool) -> Self {
        if livemode { Self::Live } else { Self::Test }
    }
}

/// The default rate of requests in live mode.
const LIVE_RATE: RequestRate = RequestRate::per_second(80);
/// The default rate of requests in test mode.
const TEST_RATE: RequestRate = RequestRate::per_second(20);

/// The connection to Stripe. Secrets are redacted in `Debug`.
#[derive(Clone, Debug)]
pub struct StripeSettings {
    /// The secret or restricted API key.
    pub secret_key: SecretString,
    /// The webhook endpoint's signing secrets: more than one while they are rotated.
    pub webhook_secrets: Vec<SecretString>,
    /// The API's base URL without `/v1`; Stripe's own if `None`.
    pub api_base: Option<Url>,
    /// The timeout of one attempt of a request. Stripe responds to most requests within a second.
    pub timeout: Duration,
    /// The highest rate of requests of this process. Requests beyond it wait, at most for the timeout. `None` means
    /// 80 per second in live mode and 20 in test mode, of the 100 and 25 that Stripe allows an account, and no
    /// limit for another API than Stripe's own.
    pub rate: Option<RequestRate>,
}

/// A number of requests in a period of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRate {
    /// The number of requests, at least 1.
    pub requests: u32,
    /// The period of time.
    pub per: Duration,
}

impl RequestRate {
    /// Returns a rate of requests per second.
    pub const fn per_second(requests: u32) -> Self {
        Self { requests, per: Duration::from_secs(1) }
    }
}

impl StripeSettings {
    /// The default of [`StripeSettings::timeout`].
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// Settings for Stripe itself, with this key and this signing secret.
    pub fn new(secret_key: impl Into<SecretString>, webhook_secret: impl Into<SecretString>) -> Self {
        Self {
            secret_key: secret_key.into(),
            webhook_secrets: vec![webhook_secret.into()],
            api_base: None,
            timeout: Self::TIMEOUT,
            rate: None,
        }
    }

    /// Returns the highest rate of requests: [`StripeSettings::rate`] or its default.
    pub(crate) fn request_rate(&self) -> Option<RequestRate> {
        let default = || match self.mode() {
            Some(StripeMode::Live) => LIVE_RATE,
            Some(StripeMode::Test) | None => TEST_RATE,
        };
        self.rate.or_else(|| self.api_base.is_none().then(default))
    }

    /// Returns the mode of the API key, by its prefix; `None` if the prefix is not one of Stripe's.
    pub fn mode(&self) -> Option<StripeMode> {
        let (_, rest) = self.secret_key.expose_secret().split_once('_')?;
        match rest.split_once('_')?.0 {
            "test" => Some(StripeMode::Test),
            "live" => Some(StripeMode::Live),
            _ => None,
        }
    }

    /// Returns the origins that hosted Checkout and the customer portal are served from.
    pub fn hosted_origins(&self) -> Vec<String> {
        match &self.api_base {
            Some(base) => vec![base.origin().ascii_serialization()],
            None => vec!["https://checkout.stripe.com".to_owned(), "https://billing.stripe.com".to_owned()],
        }
    }
}

/// The host's own pages, as absolute URLs.
#[derive(Clone, Debug)]
pub struct Urls {
    /// The page that Stripe redirects to after Checkout, with the query `session_id={CHECKOUT_SESSION_ID}`.
    pub success: Url,
    /// The page for customers who leave a plan's Checkout.
    pub cancel_plan: Url,
    /// The page for customers who leave a product's Checkout.
    pub cancel_product: Url,
    /// The page that Stripe's customer portal links back to.
    pub portal_return: Url,
    /// The address of the webhook route, where Stripe delivers events.
    pub webhook: Url,
    /// The sign-in page, for anonymous visitors of guarded pages, with `next=`.
    pub login: Url,
    /// The upgrade page, for visitors whose plan does not include a page, with `feature=` and `next=`.
    pub upgrade: Url,
}

impl Urls {
    /// Returns the URLs of an app at `base` with the usual paths: `/billing/success`, `/pricing`, `/billing`,
    /// `/api/stripe/webhook`, `/login` and `/billing/upgrade`.
    pub fn at(base: &Url) -> Self {
        let at = |path: &str| {
            let mut url = base.clone();
            url.set_path(path);
            url
        };
        Self {
            success: at("/billing/success"),
            cancel_plan: at("/pricing"),
            cancel_product: at("/billing"),
            portal_return: at("/billing"),
            webhook: at("/api/stripe/webhook"),
            login: at("/login"),
            upgrade: at("/billing/upgrade"),
        }
    }

    /// Returns the success page as sent to Stripe, with the placeholder that Stripe replaces with the session's
    /// id.
    pub(crate) fn success_for_stripe(&self) -> String {
        let separator = if self.success.query().is_some() { '&' } else { '?' };
        format!("{}{separator}session_id={{CHECKOUT_SESSION_ID}}", self.success)
    }
}

/// How long usage records are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Days for which usage records and their idempotency keys are kept; forever if `None`.
    pub usage_days: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { usage_days: Some(90) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_rate_of_requests_is_below_stripes_limit_and_only_for_stripe() {
        let per_second = |settings: &StripeSettings| settings.request_rate().map(|rate| (rate.requests, rate.per));
        let at = |key: &str, base: Option<&str>| StripeSettings {
            api_base: base.map(|base| Url::parse(base).unwrap()),
            ..StripeSettings::new(key, "whsec_1")
        };
        let second = Duration::from_secs(1);
        assert_eq!(per_second(&at("rk_live_1", None)), Some((80, second)));
        for key in ["sk_test_1", "x"] {
            assert_eq!(per_second(&at(key, None)), Some((20, second)));
        }
        let mut local = at("sk_live_1", Some("http://127.0.0.1:12111"));
        assert_eq!(per_second(&local), None);
        local.rate = Some(RequestRate::per_second(5));
        assert_eq!(per_second(&local), Some((5, second)));
    }
}
