//! The commands that end by themselves.

use anyhow::{Context, bail};
use billing::email::Email;
use server::assets::Assets;
use server::clock::Clock;
use server::config::Config;
use server::doctor::{self, Verdict};
use server::reconcile::{self, Mode};
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
    println!("{}", if changes.is_empty() { "Stripe sells what plans.toml says." } else { "Nothing was changed." });
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
    tollgate.db().migrate().await?;
    let (findings, broken_off) = match reconcile::reconcile(&tollgate, mode, reconcile::STRIPE_KEEPS_DAYS).await {
        Ok(findings) => (findings, None),
        Err(mut broken_off) => (std::mem::take(&mut broken_off.findings), Some(broken_off)),
    };
    if mode == Mode::Mend {
        // A running server would do so within seconds, but there need be none.
        worker::work_off(&tollgate).await;
    }
    if findings.is_empty() && broken_off.is_none() {
        println!("Nothing differs from Stripe.");
    }
    for finding in findings {
        let word = if finding.is_mended { "mended " } else { "differs" };
        println!("{word}  {:22}  {}", finding.drift.kind(), finding.drift);
    }
    broken_off.map_or(Ok(()), |broken_off| Err(broken_off.into()))
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
    let bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).count();
    if bad > 0 {
        bail!("{bad} of {} checks failed", checks.len());
    }
    Ok(())
}

/// `operator add|remove`: gives somebody who has signed up the role of an operator, or takes it away.
pub async fn set_operator(config: Config, email: &str, role: Role) -> anyhow::Result<()> {
    let email = Email::parse(email)?;
    let tollgate = tollgate(config).await?;
    tollgate.db().migrate().await?;
    if !access::set_role(&tollgate, &email, role).await? {
        bail!("nobody has signed up as {}", email.as_str());
    }
    tollgate.db().close().await;
    println!("{} is {} now.", email.as_str(), role.as_str());
    Ok(())
}

/// `operator list`: who may see and mend everybody's billing.
pub async fn list_operators(config: &Config) -> anyhow::Result<()> {
    let db = connect(config).await?;
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
