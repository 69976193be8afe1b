//! Checks of the installation. Each reports what it found and, if something is wrong, what to do. They change
//! nothing. A check that depends on a failed one fails too (`tests/http/doctor.rs`).

use std::time::Duration;

use billing::Interval;
use url::{Host, Url};

use crate::core::Core;
use crate::inbox::events::handled;
use crate::store::MIGRATIONS;
use crate::store::billing_changes::{self, Failing};
use crate::store::inbox::{self, EventState, PostponedEvents};
use crate::store::meter_events::{self, MeterEventState};
use crate::store::{StoreError, count_text};
use crate::stripe::api_version;
use crate::stripe::endpoints::Endpoint;
use crate::stripe::permissions::{PERMISSIONS, Permission};
use crate::stripe::prices::{StripePrice, describe_charge};
use crate::stripe_account::{self, StripeAccountError};

/// The difference from Stripe's clock above which the check warns, in seconds.
const SKEW_WARNING: i64 = 30;
/// The difference above which the check fails, in seconds: close to the 300 at which signatures are
/// rejected.
const SKEW_FAILURE: i64 = 240;
/// The time that an event may wait before the check warns, in seconds.
const WAIT_WARNING: i64 = 15 * 60;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Everything is fine.
    Ok,
    /// It works, but needs attention.
    Warning,
    /// It does not work.
    Failed,
}

/// A completed check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The thing checked, in a word or two.
    pub subject: String,
    /// The result.
    pub health: Health,
    /// The finding, and what to do about it.
    pub message: String,
}

impl Check {
    /// Creates a completed check.
    pub fn new(subject: impl Into<String>, health: Health, message: impl Into<String>) -> Self {
        Self { subject: subject.into(), health, message: message.into() }
    }
}

/// Runs all checks, in the order in which problems should be solved.
pub async fn check(core: &Core) -> Vec<Check> {
    let mut checks = vec![database(core).await, events(core).await, changes(core).await];
    if core.catalog().metered_prices().next().is_some() {
        checks.push(billed_usage(core).await);
    }
    checks.extend([stripe(core).await, account(core).await, permissions(core).await]);
    checks.extend([clock(core).await, endpoint(core).await]);
    checks.extend(metered_prices(core).await);
    checks.extend(fixed_prices(core).await);
    checks
}

async fn database(core: &Core) -> Check {
    let (health, message) = match (core.db().version().await, core.db().has_migrated(MIGRATIONS).await) {
        (Ok(version), _) if version.is_unsound() => {
            (Health::Failed, format!("{version} can lose commits: build with SQLite 3.51.3 or later."))
        }
        (Ok(version), Ok(true)) => (Health::Ok, format!("{version} is reachable and up to date.")),
        (Ok(version), Ok(false)) => {
            (Health::Failed, format!("{version} is reachable, but migrations are missing: run `tollgate migrate`."))
        }
        (Err(error), _) | (_, Err(error)) => {
            let database = if core.db().is_shared() { "PostgreSQL" } else { "SQLite" };
            (Health::Failed, format!("{database} is unreachable: {error}"))
        }
    };
    Check::new("database", health, message)
}

fn unreadable(subject: &str, error: &StoreError) -> Check {
    Check::new(subject, Health::Failed, format!("The database cannot be read: {error}"))
}

async fn events(core: &Core) -> Check {
    let subject = "events";
    let parked = inbox::count_of_state(core.db(), EventState::Parked).await;
    let (parked, oldest) = match (parked, inbox::oldest_pending(core.db()).await) {
        (Ok(parked), Ok(oldest)) => (parked, oldest),
        (Err(error), _) | (_, Err(error)) => return unreadable(subject, &error),
    };
    let postponed = match inbox::postponed(core.db()).await {
        Ok(postponed) => postponed,
        Err(error) => return unreadable(subject, &error),
    };
    let waited = oldest.map_or(0, |oldest| core.now().0 - oldest.0);
    let (health, message) = if parked > 0 {
        let message = format!(
            "{} parked: `tollgate events list --state parked` says why, and `tollgate events replay --state parked` \
            retries them.",
            count_text(parked)
        );
        (Health::Warning, message)
    } else if let PostponedEvents { events: events @ 1.., reason: Some(reason), .. } = &postponed {
        let message = format!("{} wait for Stripe and are applied when it responds: {reason}", count_text(*events));
        (Health::Warning, message)
    } else if waited > WAIT_WARNING {
        (Health::Warning, format!("One has been waiting for {} minutes: is a server running?", waited / 60))
    } else {
        (Health::Ok, "No parked or delayed events.".to_owned())
    };
    Check::new(subject, health, message)
}

/// Checks for billing changes that the host's handler keeps rejecting.
async fn changes(core: &Core) -> Check {
    let subject = "billing changes";
    let (health, message) = match billing_changes::failing(core.db()).await {
        Ok(Failing { count: 0, .. }) => (Health::Ok, "No failing deliveries.".to_owned()),
        Ok(Failing { count, .. }) => {
            let message = format!(
                "{} failing: `tollgate changes list` says why; each is retried until it is delivered.",
                count_text(count)
            );
            (Health::Warning, message)
        }
        Err(error) => return unreadable(subject, &error),
    };
    Check::new(subject, health, message)
}

/// Checks for overage that was not reported to Stripe: it would never be billed.
async fn billed_usage(core: &Core) -> Check {
    let subject = "billed usage";
    let (health, message) = match meter_events::count(core.db(), MeterEventState::Parked).await {
        Ok(0) => (Health::Ok, "No parked overage.".to_owned()),
        Ok(parked) => (
            Health::Warning,
            format!("{} parked, and so not billed: see docs/OPERATIONS.md, “Usage”.", count_text(parked)),
        ),
        Err(error) => return unreadable(subject, &error),
    };
    Check::new(subject, health, message)
}

async fn stripe(core: &Core) -> Check {
    let (health, message) = match core.gateway().ping().await {
        Ok(()) => (Health::Ok, format!("Stripe is reachable, API version {}.", api_version())),
        Err(error) => (Health::Failed, format!("{error}. Is STRIPE_SECRET_KEY correct?")),
    };
    Check::new("Stripe", health, message)
}

/// Compares the account and mode of the API key with those of the stored objects.
async fn account(core: &Core) -> Check {
    let subject = "Stripe account";
    match stripe_account::verify(core).await {
        Ok(account) => Check::new(subject, Health::Ok, format!("It is {account}, as stored.")),
        Err(StripeAccountError::Other(error)) => Check::new(subject, Health::Failed, format!("{error}.")),
        Err(StripeAccountError::Store(error)) => unreadable(subject, &error),
        Err(StripeAccountError::Stripe(error)) => {
            Check::new(subject, Health::Failed, format!("The request to Stripe failed: {error}"))
        }
    }
}

/// Tries every permission that the API key needs, without effect.
async fn permissions(core: &Core) -> Check {
    let subject = "key permissions";
    let bills_usage = core.catalog().metered_prices().next().is_some();
    let mut missing: Vec<&Permission> = Vec::new();
    for permission in PERMISSIONS.iter().filter(|each| bills_usage || !each.purpose.is_of_billed_usage()) {
        match core.gateway().has_permission(permission).await {
            Ok(true) => {}
            Ok(false) => missing.push(permission),
            Err(error) => return Check::new(subject, Health::Failed, format!("The request to Stripe failed: {error}")),
        }
    }
    let names: Vec<&str> = missing.iter().map(|permission| permission.name).collect();
    let names = names.join(", ");
    let (health, message) = if missing.is_empty() {
        (Health::Ok, "The key has every permission that is needed.".to_owned())
    } else if !missing.iter().any(|permission| permission.purpose.is_of_server()) {
        let message = format!("Enough for the server. `catalog apply` and `webhook register` also need {names}.");
        (Health::Ok, message)
    } else {
        let message = format!("The key is missing {names}: add them in Stripe (docs/STRIPE.md, “Permissions”).");
        (Health::Failed, message)
    };
    Check::new(subject, health, message)
}

/// Compares the clocks: signatures are rejected if they differ by five minutes.
async fn clock(core: &Core) -> Check {
    let subject = "clock";
    let Some(stripe) = stripe_time(core.gateway().base()).await else {
        return Check::new(subject, Health::Warning, "Stripe's response has no date to compare our clock with.");
    };
    let skew = core.clock().wall().0 - stripe;
    let found = format!("{} s {} Stripe's", skew.abs(), if skew < 0 { "behind" } else { "ahead of" });
    let (health, message) = match skew.abs() {
        0..=SKEW_WARNING => (Health::Ok, format!("{found}.")),
        skew if skew < SKEW_FAILURE => (Health::Warning, format!("{found}: synchronize the machine's clock (NTP).")),
        _ => {
            let message = format!("{found}; signatures are rejected at 300 s: synchronize the machine's clock (NTP).");
            (Health::Failed, message)
        }
    };
    Check::new(subject, health, message)
}

/// Returns the `Date` of a response, in epoch seconds. No key is sent.
async fn stripe_time(base: &str) -> Option<i64> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().ok()?;
    let response = client.get(format!("{base}/v1/")).send().await.ok()?;
    let date = response.headers().get(http::header::DATE)?.to_str().ok()?;
    let since = httpdate::parse_http_date(date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

async fn endpoint(core: &Core) -> Check {
    let subject = "webhook endpoint";
    let url = &core.urls().webhook;
    match core.gateway().webhook_endpoint(url.as_str()).await {
        Ok(Some(endpoint)) => registered(&endpoint),
        Ok(None) if is_local(url) => Check::new(
            subject,
            Health::Warning,
            format!("No endpoint for {url}: `stripe listen` has to forward events."),
        ),
        Ok(None) => {
            Check::new(subject, Health::Failed, format!("No endpoint for {url}: run `tollgate webhook register`."))
        }
        Err(error) => Check::new(subject, Health::Failed, format!("The request to Stripe failed: {error}")),
    }
}

/// Returns whether this address is unreachable for Stripe.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn registered(endpoint: &Endpoint) -> Check {
    let missing = endpoint.missing(&handled());
    let (health, message) = if !endpoint.is_enabled {
        (Health::Failed, "It is disabled in Stripe: run `tollgate webhook register`.".to_owned())
    } else if !missing.is_empty() {
        (Health::Failed, format!("It doesn't receive {}: run `tollgate webhook register`.", missing.join(", ")))
    } else if endpoint.api_version.as_deref() == Some(api_version()) {
        (Health::Ok, "It receives every handled event.".to_owned())
    } else {
        let version = endpoint.api_version.as_deref();
        let version =
            version.map_or_else(|| "the account's version".to_owned(), |version| format!("version {version}"));
        let message = format!(
            "It receives every handled event, but in {version} instead of {}. Both are understood; to change \
            it, delete {} in Stripe and run `tollgate webhook register`.",
            api_version(),
            endpoint.id
        );
        (Health::Warning, message)
    };
    Check::new("webhook endpoint", health, message)
}

async fn fixed_prices(core: &Core) -> Vec<Check> {
    let catalog = core.catalog();
    let plans = catalog.plans().iter().flat_map(|plan| &plan.prices);
    let plans = plans.map(|price| (&price.lookup_key, &price.id, &price.amount, Some(price.interval)));
    let products = catalog.products().iter().map(|product| (&product.lookup_key, &product.id, &product.amount, None));
    let mut checks = Vec::new();
    for (lookup_key, id, amount, interval) in plans.chain(products) {
        let found = match id {
            Some(id) => core.gateway().price(id).await,
            None => core.gateway().find_price(lookup_key).await,
        };
        let interval = interval.map(Into::into);
        let wanted = describe_charge(Some(amount), interval.as_ref(), false);
        let (health, message) = match found {
            Ok(Some(StripePrice { id, meter: Some(meter), .. })) => {
                (Health::Failed, format!("{id} bills the meter {meter}, but plans.toml says {wanted}."))
            }
            Ok(Some(price)) if price.amount.as_ref() == Some(amount) && price.interval == interval => {
                (Health::Ok, format!("{wanted}, {}.", price.id))
            }
            Ok(Some(StripePrice { id, amount, interval, .. })) => {
                let found = describe_charge(amount.as_ref(), interval.as_ref(), false);
                (Health::Warning, format!("plans.toml says {wanted}, Stripe charges {found} ({id})."))
            }
            Ok(None) => (Health::Failed, "Missing in Stripe: run `tollgate catalog apply`.".to_owned()),
            Err(error) => (Health::Failed, format!("The request to Stripe failed: {error}")),
        };
        checks.push(Check::new(format!("price {lookup_key}"), health, message));
    }
    checks
}

/// Checks the meters that bill usage, and their prices. A Checkout for a plan fails if one is missing.
async fn metered_prices(core: &Core) -> Vec<Check> {
    let gateway = core.gateway();
    let mut checks = Vec::new();
    for (_, price) in core.catalog().metered_prices() {
        let (missing, wrong) = match price.unit {
            Some(_) => ("Missing in Stripe: run `tollgate catalog apply`.", "run `tollgate catalog apply`"),
            None => (
                "Missing in Stripe: create it there, or set its `unit` price in plans.toml.",
                "give its lookup key to a price that does",
            ),
        };
        let subject = format!("meter {}", price.event_name);
        let meter = match gateway.meter(&price.event_name).await {
            Ok(Some(meter)) => meter,
            Ok(None) => {
                checks.push(Check::new(subject, Health::Failed, missing));
                continue;
            }
            Err(error) => {
                checks.push(Check::new(subject, Health::Failed, format!("The request to Stripe failed: {error}")));
                continue;
            }
        };
        checks.push(Check::new(subject, Health::Ok, "Stripe has it."));
        for key in Interval::ALL.iter().map(|interval| price.lookup_key_at(*interval)) {
            let (health, message) = match gateway.find_price(&key).await {
                Ok(Some(found)) if found.meter.as_ref() != Some(&meter) => {
                    (Health::Failed, format!("{} does not bill this meter: {wrong}.", found.id))
                }
                Ok(Some(found)) if price.unit.is_some() && found.amount != price.unit => {
                    (Health::Warning, format!("{} has a different amount from plans.toml.", found.id))
                }
                Ok(Some(found)) => (Health::Ok, format!("It bills this meter, {}.", found.id)),
                Ok(None) => (Health::Failed, missing.to_owned()),
                Err(error) => (Health::Failed, format!("The request to Stripe failed: {error}")),
            };
            checks.push(Check::new(format!("price {key}"), health, message));
        }
    }
    checks
}
