//! Is everything in place? Each check says what it found, and what to do where something is missing.
//!
//! Nothing is changed. A check that cannot be made because another failed says so by its own failure
//! (`tests/http/doctor.rs`).

use std::time::Duration;

use billing::{Interval, Money};
use secrecy::ExposeSecret;

use crate::config::{Config, Env};
use crate::store::inbox::{self, EventState};
use crate::store::meter_events::{self, MeterEventState};
use crate::stripe::catalog::{StripePrice, interval_words};
use crate::stripe::endpoints::{Endpoint, api_version};
use crate::tollgate::Tollgate;
use crate::webhook::events::handled;
use crate::webhook::register;

/// Seconds that our clock may differ from Stripe's before somebody should look.
const SKEW_ODD: i64 = 30;
/// Seconds at which signatures are about to be refused (they are at 300).
const SKEW_BAD: i64 = 240;
/// Seconds for which an event may wait before somebody should look.
const WAITING_ODD: i64 = 15 * 60;
/// Stripe's own address, where none is configured.
const STRIPE: &str = "https://api.stripe.com";

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, but somebody should look.
    Odd,
    /// It does not work.
    Bad,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub what: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was found and what to do about it.
    pub sentence: String,
}

fn check(what: &str, verdict: Verdict, sentence: impl Into<String>) -> Check {
    Check { what: what.to_owned(), verdict, sentence: sentence.into() }
}

/// Makes all checks, in the order in which one would mend what is wrong.
pub async fn examine(tollgate: &Tollgate) -> Vec<Check> {
    let mut checks = vec![configuration(tollgate.config()), database(tollgate).await, inbox_state(tollgate).await];
    if tollgate.catalog().metered_prices().next().is_some() {
        checks.push(billed_use(tollgate).await);
    }
    checks.push(stripe(tollgate).await);
    checks.push(clock(tollgate).await);
    checks.push(endpoint(tollgate).await);
    checks.extend(prices(tollgate).await);
    checks
}

/// Whether what is configured belongs together. That it is complete was seen at the start.
pub fn configuration(config: &Config) -> Check {
    let what = "configuration";
    let key = config.stripe.secret_key.expose_secret();
    let is_live = key.starts_with("sk_live_") || key.starts_with("rk_live_");
    if let (Env::Production, Some(base)) = (config.env, &config.stripe.api_base) {
        let sentence = format!("STRIPE_API_BASE leads to {base} and not to Stripe: nobody pays. Take it out.");
        return check(what, Verdict::Odd, sentence);
    }
    match (config.env, is_live) {
        (Env::Development, true) => {
            check(what, Verdict::Odd, "A live Stripe key in development: real cards are charged. Use a test key.")
        }
        (Env::Production, false) => {
            check(what, Verdict::Odd, "A test key in production: nobody pays. Use a live key when you go live.")
        }
        (Env::Development, false) => check(what, Verdict::Good, "Complete, for development, with a test key."),
        (Env::Production, true) => check(what, Verdict::Good, "Complete, for production, with a live key."),
    }
}

async fn database(tollgate: &Tollgate) -> Check {
    let (what, engine) = ("database", if tollgate.db().postgres_pool().is_some() { "PostgreSQL" } else { "SQLite" });
    match tollgate.db().is_ready().await {
        Ok(true) => check(what, Verdict::Good, format!("{engine} answers and is up to date.")),
        Ok(false) => {
            check(what, Verdict::Bad, format!("{engine} answers, but lacks migrations: run `tollgate migrate`."))
        }
        Err(error) => check(what, Verdict::Bad, format!("{engine} does not answer: {error}")),
    }
}

async fn inbox_state(tollgate: &Tollgate) -> Check {
    let what = "inbox";
    let (counts, oldest) =
        match (inbox::count_by_state(tollgate.db()).await, inbox::oldest_pending(tollgate.db()).await) {
            (Ok(counts), Ok(oldest)) => (counts, oldest),
            (Err(error), _) | (_, Err(error)) => {
                return check(what, Verdict::Bad, format!("It cannot be read: {error}"));
            }
        };
    let parked = counts.iter().find(|(state, _)| *state == EventState::Parked).map_or(0, |(_, count)| *count);
    let waits = oldest.map_or(0, |oldest| tollgate.now().0 - oldest.0);
    if parked > 0 {
        let sentence = format!(
            "Parked events: {parked}. `tollgate events list --state parked` says why; `tollgate events replay` applies one."
        );
        return check(what, Verdict::Odd, sentence);
    }
    if waits > WAITING_ODD {
        let sentence = format!("An event has waited for {} minutes: is a server running?", waits / 60);
        return check(what, Verdict::Odd, sentence);
    }
    check(what, Verdict::Good, "Nothing is parked and nothing has waited long.")
}

/// Use on its way to Stripe, which would otherwise be given away in silence.
async fn billed_use(tollgate: &Tollgate) -> Check {
    let what = "billed use";
    let states = match meter_events::states(tollgate.db()).await {
        Ok(states) => states,
        Err(error) => return check(what, Verdict::Bad, format!("It cannot be read: {error}")),
    };
    match states.iter().find(|(state, _)| *state == MeterEventState::Parked) {
        Some((_, parked)) => {
            let sentence = format!("Parked, and so not billed: {parked}. docs/OPERATIONS.md, Usage, says what to do.");
            check(what, Verdict::Odd, sentence)
        }
        None => check(what, Verdict::Good, "Nothing is parked on its way to Stripe."),
    }
}

async fn stripe(tollgate: &Tollgate) -> Check {
    let what = "Stripe";
    match tollgate.gateway().is_reachable().await {
        Ok(()) => check(what, Verdict::Good, format!("It answers, in version {}.", api_version())),
        Err(error) => check(what, Verdict::Bad, format!("{error}. Is STRIPE_SECRET_KEY right?")),
    }
}

/// Signatures are refused when the clocks differ by five minutes.
async fn clock(tollgate: &Tollgate) -> Check {
    let what = "clock";
    let base = tollgate.config().stripe.api_base.as_ref().map_or(STRIPE, |base| base.as_str());
    let Some(there) = stripes_time(base).await else {
        return check(
            what,
            Verdict::Odd,
            "Stripe's answer does not say what time it is, so the clocks were not compared.",
        );
    };
    let skew = tollgate.clock().wall().0 - there;
    let found = format!("{} s {} Stripe's", skew.abs(), if skew < 0 { "behind" } else { "ahead of" });
    match skew.abs() {
        0..=SKEW_ODD => check(what, Verdict::Good, format!("{found}.")),
        off if off < SKEW_BAD => check(what, Verdict::Odd, format!("{found}: let the machine keep time (NTP).")),
        _ => check(
            what,
            Verdict::Bad,
            format!("{found}: signatures are refused at 300. Set the machine's clock, and let it keep time (NTP)."),
        ),
    }
}

/// What the `Date` of an answer says, in epoch seconds. No key is sent.
async fn stripes_time(base: &str) -> Option<i64> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().ok()?;
    let answer = client.get(format!("{}/v1/", base.trim_end_matches('/'))).send().await.ok()?;
    let date = answer.headers().get(http::header::DATE)?.to_str().ok()?;
    let since = httpdate::parse_http_date(date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

async fn endpoint(tollgate: &Tollgate) -> Check {
    let (what, url) = ("webhook endpoint", register::address(tollgate));
    let found = match tollgate.gateway().webhook_endpoint(&url).await {
        Ok(found) => found,
        Err(error) => return check(what, Verdict::Bad, format!("It cannot be looked up: {error}")),
    };
    let Some(endpoint) = found else {
        let is_local = tollgate.config().env == Env::Development;
        return if is_local {
            check(what, Verdict::Odd, format!("None for {url}: `stripe listen` has to forward events."))
        } else {
            check(what, Verdict::Bad, format!("None for {url}: run `tollgate webhook register`."))
        };
    };
    registered(&endpoint)
}

fn registered(endpoint: &Endpoint) -> Check {
    let (what, lacks) = ("webhook endpoint", endpoint.lacks(&handled()));
    if !endpoint.is_enabled {
        return check(what, Verdict::Bad, "It is disabled at Stripe: run `tollgate webhook register`.");
    }
    if !lacks.is_empty() {
        let sentence = format!("It is not sent {}: run `tollgate webhook register`.", lacks.join(", "));
        return check(what, Verdict::Bad, sentence);
    }
    match endpoint.api_version.as_deref() {
        Some(version) if version == api_version() => {
            check(what, Verdict::Good, "It is sent every event that is handled.")
        }
        version => {
            let theirs =
                version.map_or_else(|| "the account's version".to_owned(), |version| format!("version {version}"));
            let sentence = format!(
                "It is sent every event that is handled, but in {theirs} instead of {}: what that understands is \
                understood here, too. To change it, delete {} at Stripe and run `tollgate webhook register`.",
                api_version(),
                endpoint.id
            );
            check(what, Verdict::Odd, sentence)
        }
    }
}

async fn prices(tollgate: &Tollgate) -> Vec<Check> {
    let catalog = tollgate.catalog();
    let plans = catalog.plans().iter().flat_map(|plan| &plan.prices);
    let plans = plans.map(|price| (&price.lookup_key, &price.id, &price.amount, Some(price.interval)));
    let products = catalog.products().iter().map(|product| (&product.lookup_key, &product.id, &product.amount, None));
    let mut checks = metered_prices(tollgate).await;
    for (lookup_key, id, amount, interval) in plans.chain(products) {
        let what = format!("price {lookup_key}");
        let found = match id {
            Some(id) => tollgate.gateway().price(id).await,
            None => tollgate.gateway().find_price(lookup_key).await,
        };
        let interval = interval.map(interval_words);
        let wanted = charge(Some(amount), interval.as_deref());
        let (verdict, sentence) = match found {
            Ok(Some(StripePrice { id, meter: Some(meter), .. })) => {
                (Verdict::Bad, format!("{id} bills the use that {meter} counts, where plans.toml says {wanted}."))
            }
            Ok(Some(there)) if there.amount.as_ref() == Some(amount) && there.interval == interval => {
                (Verdict::Good, format!("{wanted}, {}.", there.id))
            }
            Ok(Some(StripePrice { id, amount, interval, .. })) => {
                let there = charge(amount.as_ref(), interval.as_deref());
                (Verdict::Odd, format!("plans.toml says {wanted}, Stripe charges {there} ({id})."))
            }
            Ok(None) => (Verdict::Bad, "Stripe does not have it: run `tollgate catalog apply`.".to_owned()),
            Err(error) => (Verdict::Bad, format!("It cannot be looked up: {error}")),
        };
        checks.push(check(&what, verdict, sentence));
    }
    checks
}

/// What is charged and how often, in words.
fn charge(amount: Option<&Money>, interval: Option<&str>) -> String {
    let amount = amount.map_or_else(|| "no fixed amount".to_owned(), Money::to_string);
    interval.map_or_else(|| format!("{amount} once"), |interval| format!("{amount} every {interval}"))
}

/// The meters that bill use, and their prices. One that is missing stands in the way of a Checkout.
async fn metered_prices(tollgate: &Tollgate) -> Vec<Check> {
    let gateway = tollgate.gateway();
    let mut checks = Vec::new();
    for (_, price) in tollgate.catalog().metered_prices() {
        let (lacking, astray) = match price.unit {
            Some(_) => ("Stripe does not have it: run `tollgate catalog apply`.", "run `tollgate catalog apply`"),
            None => (
                "Stripe does not have it: make it there, or say in plans.toml what a unit costs.",
                "give its lookup key to a price that does",
            ),
        };
        let what = format!("meter {}", price.event_name);
        let meter = match gateway.meter(&price.event_name).await {
            Ok(Some(meter)) => meter,
            Ok(None) => {
                checks.push(check(&what, Verdict::Bad, lacking));
                continue;
            }
            Err(error) => {
                checks.push(check(&what, Verdict::Bad, format!("It cannot be looked up: {error}")));
                continue;
            }
        };
        checks.push(check(&what, Verdict::Good, "Stripe counts with it."));
        for key in Interval::ALL.iter().map(|interval| price.lookup_key_at(*interval)) {
            let (verdict, sentence) = match gateway.find_price(&key).await {
                Ok(Some(there)) if there.meter.as_ref() != Some(&meter) => {
                    (Verdict::Bad, format!("{} does not bill that meter: {astray}.", there.id))
                }
                Ok(Some(there)) if price.unit.is_some() && there.amount != price.unit => {
                    (Verdict::Odd, format!("{} costs something else than plans.toml says.", there.id))
                }
                Ok(Some(there)) => (Verdict::Good, format!("It bills that meter, {}.", there.id)),
                Ok(None) => (Verdict::Bad, lacking.to_owned()),
                Err(error) => (Verdict::Bad, format!("It cannot be looked up: {error}")),
            };
            checks.push(check(&format!("price {key}"), verdict, sentence));
        }
    }
    checks
}
