//! What `make run` adds: the offline Stripe in the same process, its prices, and
//! somebody to log in as. Not compiled into production binaries.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use billing::email::Email;
use sandbox::Sandbox;
use server::clock::Clock;
use server::config::{Config, DatabaseUrl, SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET};
use server::store::accounts::Role;
use server::{Tollgate, access, auth, catalog_apply};

/// Whom one can log in as: a customer to be, and an operator.
const DEMO_EMAIL: &str = "demo@tollgate.test";
const OPERATOR_EMAIL: &str = "operator@tollgate.test";
/// Their password. Not a secret: it opens a sandbox.
const DEMO_PASSWORD: &str = "tollgate-demo";

/// Starts the offline Stripe when no keys are configured; one that runs there already is used.
pub async fn start_sandbox(config: &mut Config, app: SocketAddr) -> anyhow::Result<Option<Sandbox>> {
    let Some(addr) = config.stripe.sandbox_addr() else { return Ok(None) };
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
            // The port may have been left to the system.
            config.stripe.api_base = Some(sandbox.url().parse().context("the sandbox's address")?);
            Ok(Some(sandbox))
        }
        Err(sandbox::Error::Bind { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            tracing::warn!("something listens on {addr} already; using it as the sandbox");
            Ok(None)
        }
        Err(error) => Err(error).context("cannot start the sandbox (SANDBOX_ADDR)"),
    }
}

/// The time that the app goes by: that of the offline Stripe, whose clock can be moved, whether it
/// runs in this process or in another.
pub async fn clock(config: &Config, here: Option<&Sandbox>) -> Clock {
    let running = config.stripe.api_base.as_ref().filter(|_| config.stripe.is_sandbox());
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

/// Keeps up with the clock of a sandbox in another process, which may be moved at any time.
async fn follow(url: String, offset: Arc<AtomicI64>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // One that does not answer is being started anew: its clock goes on where it was.
        if let Some(now) = sandbox::offset_at(&url).await {
            offset.store(now, Ordering::Relaxed);
        }
    }
}

/// The sandbox remembers as long as the database does, so it lies beside it.
fn state_path(config: &Config) -> Option<PathBuf> {
    match &config.database_url {
        DatabaseUrl::Sqlite(url) if url.contains(":memory:") => None,
        DatabaseUrl::Sqlite(url) => {
            let file = url.trim_start_matches("sqlite:").trim_start_matches("//").split('?').next().unwrap_or_default();
            Some(PathBuf::from(format!("{file}.sandbox")))
        }
        DatabaseUrl::Postgres(_) => Some(PathBuf::from("data/sandbox")),
    }
}

/// Makes the prices and the demo user, and says where everything is.
pub async fn furnish(tollgate: &Tollgate) -> anyhow::Result<()> {
    let stripe = &tollgate.config().stripe;
    let (true, Some(sandbox)) = (stripe.is_sandbox(), &stripe.api_base) else { return Ok(()) };
    catalog_apply::apply(tollgate).await.context("cannot make the prices in the sandbox")?;
    auth::create_user(tollgate, &Email::parse(DEMO_EMAIL)?, DEMO_PASSWORD.to_owned()).await?;
    let operator = Email::parse(OPERATOR_EMAIL)?;
    auth::create_user(tollgate, &operator, DEMO_PASSWORD.to_owned()).await?;
    access::set_role(tollgate, &operator, Role::Operator).await?;
    println!();
    println!("  Tollgate   {}", tollgate.config().app_url);
    println!("  Sandbox    {sandbox}  (Stripe's place; cards like 4242 4242 4242 4242 pay)");
    println!("  Log in as  {DEMO_EMAIL}  with  {DEMO_PASSWORD}");
    println!("  or as      {OPERATOR_EMAIL}, who sees everybody's billing, with the same password");
    println!();
    Ok(())
}
