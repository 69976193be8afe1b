//! `serve`: builds the app, runs it, and shuts it down in order.

use std::time::Duration;

use anyhow::Context;
use engine::store::ServerLock;
use engine::stripe_account;
use server::admin::demo_accounts;
use server::auth::session_store;
use server::config::Config;
use server::{Tollgate, http, store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::commands::database::connect;
use crate::site;

/// The time in which open requests, and then background tasks, must complete after a signal.
const GRACE: Duration = Duration::from_secs(25);

/// Serves until a signal arrives.
pub async fn serve(#[cfg_attr(not(feature = "sandbox"), expect(unused_mut))] mut config: Config) -> anyhow::Result<()> {
    let assets = site::assets(&config)?;
    let listener = TcpListener::bind(config.bind_addr)
        .await
        .with_context(|| format!("cannot listen on {} (BIND_ADDR)", config.bind_addr))?;
    // Released when the process ends, however that happens.
    let _lock = ServerLock::acquire(&config.database_url)?;
    let db = connect(&config).await?;
    store::migrate(&db).await?;

    #[cfg(feature = "sandbox")]
    let sandbox = crate::development::start_sandbox(&mut config, listener.local_addr()?).await?;
    #[cfg(feature = "sandbox")]
    let clock = crate::development::clock(&config, sandbox.as_ref()).await;
    #[cfg(not(feature = "sandbox"))]
    let clock = crate::commands::database::clock(&config).await;
    let tollgate = Tollgate::new(config, db, clock, assets)?;
    stripe_account::reject_other(&tollgate).await?;
    demo_accounts::reject_outside_the_sandbox(&tollgate).await?;
    let router = http::router(&tollgate, app::pages(&tollgate)?)?;

    let stop = CancellationToken::new();
    let tasks = tollgate.spawn(&stop);
    let (sessions, until) = (tollgate.clone(), stop.clone());
    tasks.supervise("sessions", &stop, move || session_store::sweep(sessions.clone(), until.clone()));

    #[cfg(feature = "sandbox")]
    crate::development::seed(&tollgate).await?;
    tracing::info!(address = %listener.local_addr()?, "serving {}", tollgate.config().app_url);

    let signaled = stop.clone();
    tokio::spawn(async move {
        signal().await;
        tracing::info!("stopping");
        signaled.cancel();
    });
    let limits = http::ConnectionLimits { http2: tollgate.config().http2, ..http::ConnectionLimits::default() };
    http::serve(listener, router, limits, &stop, GRACE).await;
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("background tasks did not complete; their leases expire by themselves");
    }
    tollgate.db().close().await;
    #[cfg(feature = "sandbox")]
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Waits for Ctrl-C or, from a supervisor, SIGTERM.
async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
                return;
            }
            Err(error) => tracing::warn!(%error, "SIGTERM cannot be handled"),
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
