//! The commands that end by themselves.

use anyhow::Context;
use server::assets::Assets;
use server::clock::Clock;
use server::config::Config;
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

/// Connects to the configured database.
pub async fn connect(config: &Config) -> anyhow::Result<Db> {
    Db::connect(&config.database_url)
        .await
        .with_context(|| format!("cannot open the database {:?}", config.database_url))
}
