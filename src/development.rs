//! Additions for `make run`: the sandbox in the same process, its prices, and two users to log in as.
//! Production binaries do not contain it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use billing::email::Email;
use engine::catalog;
use engine::clock::Clock;
use engine::settings::DatabaseUrl;
use sandbox::Sandbox;
use server::admin::OperatorPermit;
use server::admin::roles::set_role;
use server::config::{Config, SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET};
use server::store::users::{self, Role};
use server::{Tollgate, auth, demo};

/// Starts the sandbox if no keys are configured. One already listening on its address is reused.
pub async fn start_sandbox(config: &mut Config, app: SocketAddr) -> anyhow::Result<Option<Sandbox>> {
    let Some(addr) = config.sandbox_addr else { return Ok(None) };
    let endpoint = sandbox::Endpoint {
        url: format!("http://{app}/api/stripe/webhook"),
        secret: SANDBOX_WEBHOOK_SECRET.to_owned(),
        api_version: None,
    };
    let started = sandbox::start(sandbox::Config {
        addr,
        state_path: state_path(config),
        secret_keys: vec![SANDBOX_SECRET_KEY.to_owned()],
        endpoints: vec![endpoint],
    })
    .await;
    match started {
        Ok(sandbox) => {
            // The port may be chosen by the system.
            config.stripe.api_base = Some(sandbox.url().parse().context("the sandbox's address")?);
            Ok(Some(sandbox))
        }
        Err(sandbox::Error::Bind { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            tracing::warn!("{addr} is in use; using it as the sandbox");
            Ok(None)
        }
        Err(error) => Err(error).context("cannot start the sandbox (SANDBOX_ADDR)"),
    }
}

/// Returns the clock that the app uses: the sandbox's, which can be advanced, whether it runs in this process
/// or in another one.
pub async fn clock(config: &Config, here: Option<&Sandbox>) -> Clock {
    let running = config.stripe.api_base.as_ref().filter(|_| config.is_sandbox());
    match (here, running) {
        (Some(sandbox), _) => Clock::ahead(sandbox.clock_offset()),
        (None, Some(url)) => {
            let offset = Arc::new(AtomicI64::new(sandbox::offset_at(url.as_str()).await.unwrap_or_default()));
            tokio::spawn(follow(url.to_string(), Arc::clone(&offset)));
            Clock::ahead(offset)
        }
        (None, None) => Clock::system(),
    }
}

/// Follows the clock of a sandbox in another process, which can be advanced at any time.
async fn follow(url: String, offset: Arc<AtomicI64>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // A sandbox that does not respond is restarting, and keeps its clock.
        if let Some(now) = sandbox::offset_at(&url).await {
            offset.store(now, Ordering::Relaxed);
        }
    }
}

/// Returns the file with the sandbox's state, next to the database, so that both can be deleted together.
fn state_path(config: &Config) -> Option<PathBuf> {
    match &config.database_url {
        url if url.is_in_memory() => None,
        DatabaseUrl::Sqlite(url) => {
            let file = url.trim_start_matches("sqlite:").trim_start_matches("//").split('?').next().unwrap_or_default();
            Some(PathBuf::from(format!("{file}.sandbox")))
        }
        DatabaseUrl::Postgres { .. } => Some(PathBuf::from("data/sandbox")),
    }
}

/// Creates prices and users, and prints the addresses and how to log in.
pub async fn seed(tollgate: &Tollgate) -> anyhow::Result<()> {
    let config = tollgate.config();
    let (true, Some(sandbox)) = (config.is_sandbox(), &config.stripe.api_base) else { return Ok(()) };
    catalog::apply_all(tollgate.gateway(), tollgate.catalog())
        .await
        .context("cannot create the prices in the sandbox")?;
    auth::create_user(tollgate, &Email::parse(demo::CUSTOMER)?, demo::PASSWORD.to_owned()).await?;
    let operator = Email::parse(demo::OPERATOR)?;
    auth::create_user(tollgate, &operator, demo::PASSWORD.to_owned()).await?;
    if let Some(operator) = users::by_login(tollgate.db(), &operator.login_key()).await? {
        set_role(tollgate, &OperatorPermit::for_cli(), &operator.id, Role::Operator).await?;
    }
    println!();
    println!("  Tollgate   {}", tollgate.config().app_url);
    println!("  Sandbox    {sandbox}  (in place of Stripe; pay with card 4242 4242 4242 4242)");
    println!("  Log in as  {}  and  {}", demo::CUSTOMER, demo::PASSWORD);
    println!("  or as      {}, who sees everyone's billing, with the same password", demo::OPERATOR);
    println!();
    Ok(())
}
