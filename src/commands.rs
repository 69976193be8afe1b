//! The commands that end by themselves.

use anyhow::{Context, bail};
use server::assets::Assets;
use server::clock::Clock;
use server::config::Config;
use server::reconcile::{self, Mode};
use server::webhook::register::{self, Registered};
use server::{Db, Tollgate, catalog_apply};

/// `migrate`: brings the database up to date.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let db = connect(config).await?;
    db.migrate().await?;
    db.close().await;
    println!("The database is up to date.");
    Ok(())
}

/// `catalog apply`: makes the prices that Stripe lacks.
pub async fn catalog_apply(config: Config) -> anyhow::Result<()> {
    let db = connect(&config).await?;
    let tollgate = Tollgate::new(config, db, Clock::system(), Assets::default())?;
    for price in catalog_apply::apply(&tollgate).await? {
        println!("{} {}", if price.created { "created" } else { "present" }, price.lookup_key);
    }
    Ok(())
}

/// `webhook register`: makes Stripe send events here.
pub async fn webhook_register(config: Config) -> anyhow::Result<()> {
    let db = connect(&config).await?;
    let tollgate = Tollgate::new(config, db, Clock::system(), Assets::default())?;
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
    let db = connect(&config).await?;
    db.migrate().await?;
    let tollgate = Tollgate::new(config, db, Clock::system(), Assets::default())?;
    let findings = reconcile::reconcile(&tollgate, mode).await?;
    if findings.is_empty() {
        println!("Nothing differs from Stripe.");
    }
    for finding in findings {
        println!("{}  {:?}", if finding.is_mended { "mended " } else { "differs" }, finding.drift);
    }
    Ok(())
}

/// Connects to the configured database.
pub async fn connect(config: &Config) -> anyhow::Result<Db> {
    Db::connect(&config.database_url)
        .await
        .with_context(|| format!("cannot open the database {:?}", config.database_url))
}
