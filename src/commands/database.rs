//! Connecting to the database, and `migrate`.

use anyhow::{Context, bail};
use engine::Db;
use engine::clock::Clock;
use server::assets::Assets;
use server::config::Config;
use server::{Tollgate, store};

/// Applies missing migrations.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let db = connect(config).await?;
    store::migrate(&db).await?;
    db.close().await;
    println!("The database is up to date.");
    Ok(())
}

/// Connects to the configured database.
pub async fn connect(config: &Config) -> anyhow::Result<Db> {
    Db::connect(&config.database_url)
        .await
        .with_context(|| format!("cannot open the database {:?}", config.database_url))
}

/// Builds the app for a command that may write, after applying missing migrations.
pub async fn open_to_write(config: Config) -> anyhow::Result<Tollgate> {
    let tollgate = open_unchecked(config).await?;
    store::migrate(tollgate.db()).await?;
    Ok(tollgate)
}

/// Builds the app for a command that only reads, and so does not migrate.
pub async fn open_to_read(config: Config) -> anyhow::Result<Tollgate> {
    let tollgate = open_unchecked(config).await?;
    if !store::is_migrated(tollgate.db()).await? {
        bail!(
            "the database {:?} is not up to date: run `tollgate migrate`, or check DATABASE_URL",
            tollgate.config().database_url
        );
    }
    Ok(tollgate)
}

/// Builds the app, whatever the state of the database.
pub async fn open_unchecked(config: Config) -> anyhow::Result<Tollgate> {
    let db = connect(&config).await?;
    let clock = clock(&config).await;
    Ok(Tollgate::new(config, db, clock, Assets::default())?)
}

/// Returns the clock that the server uses: the machine's, or the sandbox's if it replaces Stripe.
#[cfg_attr(not(feature = "sandbox"), expect(unused_variables, reason = "one signature"))]
pub async fn clock(config: &Config) -> Clock {
    #[cfg(feature = "sandbox")]
    let clock = crate::development::clock(config, None).await;
    #[cfg(not(feature = "sandbox"))]
    let clock = Clock::system();
    clock
}
