//! `explain EMAIL [--at T]`: what somebody may do, or might at another time, and why.

use anyhow::{Context, bail};
use billing::email::Email;
use billing::{Catalog, Entitlement, Timestamp};
use server::Db;
use server::config::Config;
use server::operations::{flag, reason};
use server::store::{accounts, customers, subscriptions};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::commands::{clock, open};

/// Prints the entitlement as of a time, and what was known by then.
pub async fn explain(config: &Config, email: &Email, at: Option<Timestamp>) -> anyhow::Result<()> {
    let at = match at {
        Some(at) => at,
        None => clock(config).await.now(),
    };
    let db = open(config).await?;
    let report = report(&db, &config.catalog, email, at).await;
    db.close().await;
    println!("{}", report?);
    Ok(())
}

async fn report(db: &Db, catalog: &Catalog, email: &Email, at: Timestamp) -> anyhow::Result<String> {
    let Some(user) = accounts::user_by_login(db, &email.login_key()).await? else {
        bail!("nobody has signed up as {}", email.as_str());
    };
    let customer = customers::of_account(db, &user.account_id).await?;
    let known = subscriptions::as_of(db, &user.account_id, at).await?;
    let all: Vec<_> = known.iter().map(|revision| revision.subscription.clone()).collect();

    let mut lines = vec![
        format!("{} as of {at}", user.email),
        format!("account   {}", user.account_id),
        format!("customer  {}", customer.map_or_else(|| "none".to_owned(), |id| id.to_string())),
    ];
    lines.extend(entitlement_lines(&billing::entitlement(&all, catalog, at), catalog));
    if known.is_empty() {
        lines.push("No subscription was known by then.".to_owned());
    }
    for revision in &known {
        let subscription = &revision.subscription;
        let period = subscription.period();
        lines.push(format!(
            "{}  {}  from {} to {}  (write {} at {}, because of {})",
            subscription.id,
            subscription.status.as_str(),
            period.start,
            period.end,
            revision.version,
            revision.written_at,
            revision.cause,
        ));
    }
    Ok(lines.join("\n"))
}

fn entitlement_lines(entitlement: &Entitlement, catalog: &Catalog) -> Vec<String> {
    let mut lines = vec![
        format!("tier      {}", entitlement.tier),
        format!("because   {}", reason(&entitlement.reason)),
        format!("until     {}", entitlement.until.map_or_else(|| "no end".to_owned(), |until| until.to_string())),
    ];
    let limits = catalog.meters().iter();
    lines.extend(limits.map(|each| format!("limit     {} {}", entitlement.limit(each.meter), each.label)));
    lines.extend(entitlement.flags.iter().map(|found| format!("flag      {}", flag(found))));
    lines
}

/// The time that `--at` gives: epoch seconds, or RFC 3339.
pub fn time(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(seconds) = text.parse() {
        return Ok(Timestamp(seconds));
    }
    let at = OffsetDateTime::parse(text, &Rfc3339)
        .with_context(|| format!("`{text}` is no time: use 2026-11-23T14:05:00Z or seconds since 1970"))?;
    Ok(Timestamp::from(at))
}
