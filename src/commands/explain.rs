//! `explain EMAIL [--at TIME]`.

use anyhow::bail;
use billing::email::Email;
use billing::{Catalog, Entitlement, Timestamp};
use engine::store::customers;
use server::Tollgate;
use server::admin::accounts::explain;
use server::admin::{OperatorPermit, describe_flag, describe_reason};
use server::config::Config;
use server::store::users;

use super::database::open_to_read;

/// Prints a user's entitlement at a given time, and the subscriptions known by then.
pub async fn run(config: Config, email: &Email, at: Option<Timestamp>) -> anyhow::Result<()> {
    let tollgate = open_to_read(config).await?;
    let report = report(&tollgate, email, at.unwrap_or_else(|| tollgate.now())).await;
    tollgate.db().close().await;
    println!("{}", report?);
    Ok(())
}

async fn report(tollgate: &Tollgate, email: &Email, at: Timestamp) -> anyhow::Result<String> {
    let Some(user) = users::by_login(tollgate.db(), &email.login_key()).await? else {
        bail!("no user has the e-mail address {}", email.as_str());
    };
    let customer = customers::of_account(tollgate.db(), &user.account_id).await?;
    let explanation = explain(tollgate, &OperatorPermit::for_cli(), &user.account_id, at).await?;
    let mut lines = vec![
        format!("{} as of {at}", user.email),
        format!("account   {}", user.account_id),
        format!("customer  {}", customer.map_or_else(|| "none".to_owned(), |id| id.to_string())),
    ];
    lines.extend(describe(&explanation.entitlement, tollgate.catalog()));
    if explanation.subscriptions.is_empty() {
        lines.push("No subscription was known by then.".to_owned());
    }
    for revision in &explanation.subscriptions {
        let subscription = &revision.subscription;
        let period = subscription.period();
        lines.push(format!(
            "{}  {}  from {} to {}  (revision {} at {}, cause: {})",
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

fn describe(entitlement: &Entitlement, catalog: &Catalog) -> Vec<String> {
    let mut lines = vec![
        format!("tier      {}", entitlement.tier),
        format!("reason    {}", describe_reason(&entitlement.reason)),
        format!("expires   {}", entitlement.until.map_or_else(|| "never".to_owned(), |until| until.to_string())),
    ];
    let limits = catalog.meters().iter();
    lines.extend(limits.map(|each| format!("limit     {} {}", entitlement.limit(each.meter), each.label)));
    lines.extend(entitlement.flags.iter().map(|flag| format!("flag      {}", describe_flag(flag))));
    lines
}
