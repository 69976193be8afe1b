//! The commands that end by themselves.

use anyhow::{Context, bail};
use billing::email::Email;
use server::assets::Assets;
use server::clock::Clock;
use server::config::Config;
use server::doctor::{self, Verdict};
use server::reconcile::{self, Drift, Mode};
use server::store::accounts::{self, Role};
use server::webhook::register::{self, Registered};
use server::webhook::worker;
use server::{Db, Tollgate, access, catalog_apply};

/// `migrate`: brings the database up to date.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let db = connect(config).await?;
    db.migrate().await?;
    db.close().await;
    println!("The database is up to date.");
    Ok(())
}

/// `catalog plan`: what Stripe would have to change to sell what `plans.toml` says.
pub async fn catalog_plan(config: Config) -> anyhow::Result<()> {
    let changes = catalog_apply::plan(&tollgate(config).await?).await?;
    for change in &changes {
        println!("would {change}");
    }
    println!(
        "{}",
        if changes.is_empty() {
            "Stripe sells what plans.toml says."
        } else {
            "Nothing was changed. `tollgate catalog apply` does it."
        }
    );
    Ok(())
}

/// `catalog apply`: makes Stripe sell what `plans.toml` says.
pub async fn catalog_apply(config: Config) -> anyhow::Result<()> {
    for change in catalog_apply::apply(&tollgate(config).await?).await? {
        println!("done: {change}");
    }
    println!("Stripe sells what plans.toml says.");
    Ok(())
}

/// `webhook register`: makes Stripe send events here.
pub async fn webhook_register(config: Config) -> anyhow::Result<()> {
    let tollgate = tollgate(config).await?;
    let address = register::address(&tollgate);
    match register::register(&tollgate).await? {
        Registered::Created { secret } => {
            println!("Stripe sends events to {address}. Shown this once:\nSTRIPE_WEBHOOK_SECRET={secret}");
        }
        Registered::Updated { added } if added.is_empty() => {
            println!("Stripe sends events to {address} again: the endpoint was disabled.");
        }
        Registered::Updated { added } => println!("Stripe now sends to {address} as well:\n{}", added.join("\n")),
        Registered::Present => println!("Stripe sends every event that is handled to {address}."),
        Registered::OtherVersion { id, version } => bail!(
            "the endpoint {id} is in API version {}, which cannot be changed: delete it at Stripe and register again",
            version.as_deref().unwrap_or("of the account"),
        ),
    }
    Ok(())
}

/// `reconcile [--dry-run]`: compares with Stripe and mends what is safe.
pub async fn reconcile(config: Config, mode: Mode) -> anyhow::Result<()> {
    let tollgate = tollgate(config).await?;
    match mode {
        // Whoever only looks does not migrate either.
        Mode::DryRun => require_ready(tollgate.db(), tollgate.config()).await?,
        Mode::Mend => tollgate.db().migrate().await?,
    }
    let (findings, broken_off) = match reconcile::reconcile(&tollgate, mode, reconcile::STRIPE_KEEPS_DAYS).await {
        Ok(findings) => (findings, None),
        Err(mut broken_off) => (std::mem::take(&mut broken_off.findings), Some(broken_off)),
    };
    if mode == Mode::Mend && broken_off.is_none() {
        // A running server would do so within seconds, but there need be none.
        worker::work_off(&tollgate).await;
    }
    for finding in &findings {
        let word = if finding.is_mended { "mended " } else { "differs" };
        println!("{word}  {:22}  {}", finding.drift.kind().as_str(), finding.drift);
        if let Some(sentence) = left_to_you(&finding.drift).filter(|_| !finding.is_mended) {
            println!("         {sentence}");
        }
    }
    let mended = findings.iter().filter(|finding| finding.is_mended).count();
    match mode {
        _ if findings.is_empty() && broken_off.is_some() => {}
        _ if findings.is_empty() => println!("Nothing differs from Stripe."),
        Mode::DryRun => println!("Nothing was changed. `tollgate reconcile` mends what is safe."),
        Mode::Mend => println!("{mended} mended, {} left to you.", findings.len() - mended),
    }
    broken_off.map_or(Ok(()), |broken_off| Err(broken_off.into()))
}

/// What a person has to do about what no program mends.
const fn left_to_you(drift: &Drift) -> Option<&'static str> {
    match drift {
        Drift::MissedEvent { .. } | Drift::WrongSubscription { .. } | Drift::DeletedButBilled { .. } => None,
        Drift::DuplicateSubscription { .. } => Some("Ask which of them is wanted, and cancel the others at Stripe."),
        Drift::OrphanCustomer { .. } | Drift::Unmatched { .. } => {
            Some("If the customer is one of yours, link it: docs/OPERATIONS.md says how. If not, leave it.")
        }
        Drift::UnknownPrice { .. } => Some("Put the price into `retired_prices` of the plan that it is for."),
        Drift::BilledUse(_) => Some("Compare with the meter's events in the Dashboard: docs/OPERATIONS.md, Usage."),
        Drift::NotCompared { .. } => Some("Look at it in the Dashboard; it is tried again with the next comparison."),
    }
}

/// `doctor`: whether everything is in place. Fails when something does not work.
pub async fn doctor(config: Config) -> anyhow::Result<()> {
    let checks = doctor::examine(&tollgate(config).await?).await;
    for check in &checks {
        let word = match check.verdict {
            Verdict::Good => "ok  ",
            Verdict::Odd => "look",
            Verdict::Bad => "FAIL",
        };
        println!("{word}  {:34}  {}", check.what, check.sentence);
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    match (count(Verdict::Bad), count(Verdict::Odd)) {
        (0, 0) => println!("Everything is in place."),
        (0, odd) => println!("It works. {odd} of {} checks want a look.", checks.len()),
        (bad, _) => bail!("{bad} of {} checks failed", checks.len()),
    }
    Ok(())
}

/// `operator add|remove`: gives somebody who has signed up the role of an operator, or takes it away.
pub async fn set_operator(config: Config, email: &Email, role: Role) -> anyhow::Result<()> {
    let tollgate = tollgate(config).await?;
    tollgate.db().migrate().await?;
    if !access::set_role(&tollgate, email, role).await? {
        bail!("nobody has signed up as {}", email.as_str());
    }
    tollgate.db().close().await;
    match role {
        Role::Operator => println!("{} is an operator now.", email.as_str()),
        Role::Customer => println!("{} is no operator any more.", email.as_str()),
    }
    Ok(())
}

/// `operator list`: who may see and mend everybody's billing.
pub async fn list_operators(config: &Config) -> anyhow::Result<()> {
    let db = open(config).await?;
    let operators = accounts::operators(&db).await?;
    db.close().await;
    if operators.is_empty() {
        println!("Nobody is an operator: `tollgate operator add EMAIL` makes one of somebody who has signed up.");
    }
    for operator in operators {
        println!("{operator}");
    }
    Ok(())
}

async fn tollgate(config: Config) -> anyhow::Result<Tollgate> {
    let db = connect(&config).await?;
    let clock = clock(&config).await;
    Ok(Tollgate::new(config, db, clock, Assets::default())?)
}

/// The time that the server goes by: the machine's, or the sandbox's when that is our Stripe.
#[cfg_attr(not(feature = "sandbox"), expect(unused_variables, reason = "one signature"))]
pub async fn clock(config: &Config) -> Clock {
    #[cfg(feature = "sandbox")]
    let clock = crate::development::clock(config, None).await;
    #[cfg(not(feature = "sandbox"))]
    let clock = Clock::system();
    clock
}

/// Connects to the configured database.
pub async fn connect(config: &Config) -> anyhow::Result<Db> {
    Db::connect(&config.database_url)
        .await
        .with_context(|| format!("cannot open the database {:?}", config.database_url))
}

/// Connects to it for a command that only reads, and so does not bring it up to date.
pub async fn open(config: &Config) -> anyhow::Result<Db> {
    let db = connect(config).await?;
    require_ready(&db, config).await?;
    Ok(db)
}

async fn require_ready(db: &Db, config: &Config) -> anyhow::Result<()> {
    if !db.is_ready().await? {
        bail!(
            "the database {:?} is not up to date: run `tollgate migrate`, or see whether DATABASE_URL is the right one",
            config.database_url
        );
    }
    Ok(())
}
