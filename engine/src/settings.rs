//! What a host sets. Settings are values: the engine never reads the environment.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// Where the engine's tables are.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A file, such as `sqlite:data/billing.db`, or memory.
    Sqlite(String),
    /// A PostgreSQL server.
    Postgres {
        /// `postgres://…`; it may hold a password.
        url: SecretString,
        /// The schema of the engine's tables, created if it does not exist; the server's default
        /// when `None`. With a schema of its own the engine shares a database with any other tables.
        schema: Option<String>,
    },
}

/// Why a database address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// It names neither SQLite nor PostgreSQL.
    #[error("must begin with `sqlite:` or `postgres://`")]
    Scheme,
    /// It names no file, so that the database would disappear with its connection.
    #[error("names no file: use one such as sqlite:data/tollgate.db")]
    NoFile,
    /// The schema is not a plain name.
    #[error("a schema's name has only lower-case letters, digits and underscores, and begins with a letter")]
    Schema,
}

impl DatabaseUrl {
    /// Reads an address.
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

    /// The same server, with the tables in this schema. On SQLite it changes nothing.
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

    /// Whether the database is in memory, and so does not outlive the process.
    pub fn is_in_memory(&self) -> bool {
        matches!(self, Self::Sqlite(url) if url.contains(":memory:") || url.contains("mode=memory"))
    }
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

/// How to reach Stripe. Secrets are redacted in `Debug`.
#[derive(Clone, Debug)]
pub struct StripeSettings {
    /// The secret or restricted API key.
    pub secret_key: SecretString,
    /// The webhook endpoint's signing secret: one, or several while it is rotated.
    pub webhook_secrets: Vec<SecretString>,
    /// The API's address without `/v1`; Stripe's own when `None`.
    pub api_base: Option<Url>,
    /// How long one attempt of a request may take. Stripe answers most requests within a second.
    pub timeout: Duration,
}

impl StripeSettings {
    /// The default of [`StripeSettings::timeout`].
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// Stripe itself, with this key and this signing secret.
    pub fn new(secret_key: impl Into<SecretString>, webhook_secret: impl Into<SecretString>) -> Self {
        Self {
            secret_key: secret_key.into(),
            webhook_secrets: vec![webhook_secret.into()],
            api_base: None,
            timeout: Self::TIMEOUT,
        }
    }

    /// The origins that hosted Checkout and the customer portal are served from.
    pub fn hosted_origins(&self) -> Vec<String> {
        match &self.api_base {
            Some(base) => vec![base.origin().ascii_serialization()],
            None => vec!["https://checkout.stripe.com".to_owned(), "https://billing.stripe.com".to_owned()],
        }
    }
}

/// The host's own pages, as absolute addresses.
#[derive(Clone, Debug)]
pub struct Urls {
    /// Where Stripe sends people after Checkout; it gets `session_id={CHECKOUT_SESSION_ID}` as a query.
    pub success: Url,
    /// Where Stripe sends people who leave a plan's Checkout.
    pub cancel_plan: Url,
    /// Where Stripe sends people who leave a product's Checkout.
    pub cancel_product: Url,
    /// Where Stripe's customer portal leads back to.
    pub portal_return: Url,
    /// Where Stripe delivers events: the address of the webhook route.
    pub webhook: Url,
    /// Where an anonymous visitor of a guarded page is sent, with `next=`.
    pub login: Url,
    /// Where a visitor is sent whose plan does not open a page, with `feature=` and `next=`.
    pub upgrade: Url,
}

impl Urls {
    /// The addresses of an app at `base` that keeps the usual paths: `/billing/success`, `/pricing`,
    /// `/billing`, `/api/stripe/webhook`, `/login` and `/billing/upgrade`.
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

    /// The success page as it is sent to Stripe, with the placeholder that Stripe replaces by the
    /// session's id.
    pub(crate) fn success_for_stripe(&self) -> String {
        let separator = if self.success.query().is_some() { '&' } else { '?' };
        format!("{}{separator}session_id={{CHECKOUT_SESSION_ID}}", self.success)
    }
}

/// How long usage is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Days for which usage records are kept, and with them their idempotency keys; for ever when `None`.
    pub usage_days: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { usage_days: Some(90) }
    }
}
