//! `serve`: puts the parts together, runs them, and takes them apart in order.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use server::config::Config;
use server::reconcile::Schedule;
use server::{Tollgate, access, auth, http, reconcile, usage, webhook};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{commands, site};

/// How long open requests and the worker may take to finish after a signal.
const PATIENCE: Duration = Duration::from_secs(25);

/// Serves until a signal comes.
pub async fn serve(#[cfg_attr(not(feature = "sandbox"), expect(unused_mut))] mut config: Config) -> anyhow::Result<()> {
    let assets = site::assets(&config)?;
    let listener = TcpListener::bind(config.bind_addr)
        .await
        .with_context(|| format!("cannot listen on {} (BIND_ADDR)", config.bind_addr))?;
    let db = commands::connect(&config).await?;
    db.migrate().await?;

    #[cfg(feature = "sandbox")]
    let sandbox = crate::development::start_sandbox(&mut config, listener.local_addr()?).await?;
    #[cfg(feature = "sandbox")]
    let clock = crate::development::clock(&config, sandbox.as_ref()).await;
    #[cfg(not(feature = "sandbox"))]
    let clock = commands::clock(&config).await;
    let tollgate = Tollgate::new(config, db, clock, assets)?;
    let router = http::router(&tollgate, app::pages(&tollgate)?)?;

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(webhook::worker::run(tollgate.clone(), stop.clone()));
    tasks.spawn(access::listen(tollgate.clone(), stop.clone()));
    tasks.spawn(auth::sessions::sweep(tollgate.clone(), stop.clone()));
    tasks.spawn(usage::sweeper::run(tollgate.clone(), stop.clone()));
    tasks.spawn(usage::outbox::run(tollgate.clone(), stop.clone()));
    tasks.spawn(reconcile::regularly(tollgate.clone(), Schedule::default(), stop.clone()));
    tasks.close();

    #[cfg(feature = "sandbox")]
    crate::development::furnish(&tollgate).await?;
    tracing::info!(address = %listener.local_addr()?, "serving {}", tollgate.config().app_url);

    let signalled = stop.clone();
    tokio::spawn(async move {
        until_signalled().await;
        tracing::info!("stopping");
        signalled.cancel();
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = serving.into_future() => served.context("serving")?,
        () = patience_over(&stop) => tracing::warn!("requests were still open; leaving them"),
    }
    stop.cancel();
    if tokio::time::timeout(PATIENCE, tasks.wait()).await.is_err() {
        tracing::warn!("the worker did not finish; its leases run out by themselves");
    }
    tollgate.db().close().await;
    #[cfg(feature = "sandbox")]
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    tracing::info!("stopped");
    Ok(())
}

async fn patience_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(PATIENCE).await;
}

/// Ctrl-C or, from a supervisor, SIGTERM.
async fn until_signalled() {
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
            Err(error) => tracing::warn!(%error, "SIGTERM cannot be listened for"),
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
