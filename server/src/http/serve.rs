//! The accept loop: HTTP/1 and, if configured, HTTP/2, with limits that keep slow and idle clients from exhausting
//! the server.

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

/// The pause after a connection could not be accepted, for example when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most connections that are open at the same time, however many file descriptors there are.
const MAX_CONNECTIONS: usize = 8192;

/// File descriptors that connections leave to the database, to calls of Stripe and to the process itself.
const OTHER_DESCRIPTORS: usize = 64;

/// The HTTP/2 connection preface, which a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The time in which a new connection must send its first bytes. It is short: a client that opens a
    /// connection usually sends its request immediately.
    pub first_bytes_timeout: Duration,
    /// The time in which the head of a request must arrive, and so the time a connection may be idle
    /// between requests.
    pub head_timeout: Duration,
    /// The time in which the client must read a response, or respond to an HTTP/2 ping.
    pub write_timeout: Duration,
    /// Connections that are open at the same time. Others wait in the listener's backlog.
    pub max_connections: usize,
    /// Whether HTTP/2 is served too.
    pub http2: bool,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            first_bytes_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            max_connections: max_connections(getrlimit(Resource::Nofile).current),
            http2: false,
        }
    }
}

/// Returns the number of connections that leave enough file descriptors for everything else: without one, even a
/// connection that was accepted could not be served.
fn max_connections(descriptors: Option<u64>) -> usize {
    let Some(Ok(descriptors)) = descriptors.map(usize::try_from) else { return MAX_CONNECTIONS };
    let reserved = OTHER_DESCRIPTORS.min(descriptors / 2);
    (descriptors - reserved).clamp(1, MAX_CONNECTIONS)
}

/// Serves until `stop`, then completes open requests for at most `grace`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    stop: &CancellationToken,
    grace: Duration,
) {
    let shutdown = GracefulShutdown::new();
    let free = Arc::new(Semaphore::new(limits.max_connections));
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &free)).await {
        match accepted {
            Ok((stream, client, slot)) => {
                let serving = connection(stream, client, router.clone(), limits, stop.clone(), shutdown.watcher());
                tokio::spawn(async move {
                    serving.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, shutdown.shutdown()).await.is_err() {
        tracing::warn!("requests are still open after {} s and are dropped", grace.as_secs());
    }
}

type Accepted = (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>);

async fn accept(listener: &TcpListener, free: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    // The semaphore is never closed, so this cannot fail.
    let slot = Arc::clone(free).acquire_owned().await.ok();
    let (stream, client) = listener.accept().await?;
    Ok((stream, client, slot))
}

/// Reads until it is clear which version of HTTP the client speaks. hyper would wait for that forever.
async fn first_bytes(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PREFACE.len());
    while bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) {
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    Ok(bytes)
}

async fn connection(
    mut stream: TcpStream,
    client: SocketAddr,
    router: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
    shutdown: Watcher,
) {
    // Responses are written whole: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let first_bytes = tokio::time::timeout(limits.first_bytes_timeout, first_bytes(&mut stream));
    // A client that has sent nothing yet is idle: stopping does not wait for it.
    let Some(Ok(Ok(first_bytes))) = stop.run_until_cancelled(first_bytes).await else { return };
    let (rest, writer) = stream.into_split();
    let mut stream = TimeoutStream::new(tokio::io::join(Cursor::new(first_bytes).chain(rest), writer));
    stream.set_write_timeout(Some(limits.write_timeout));
    let service = ServiceBuilder::new()
        .map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(ConnectInfo(client));
            request
        })
        .service(router);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.head_timeout)
        .keep_alive_timeout(limits.write_timeout);
    if !limits.http2 {
        builder = builder.http1_only();
    }
    let stream = TokioIo::new(Box::pin(stream));
    let serving = builder.serve_connection(stream, TowerToHyperService::new(service));
    // A client that disconnects or is too slow is not a server error.
    if let Err(error) = shutdown.watch(serving).await {
        tracing::debug!(%error, %client, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_file_descriptors_for_everything_else() {
        for (descriptors, connections) in [(0, 1), (64, 32), (256, 192), (1024, 960), (1_000_000, MAX_CONNECTIONS)] {
            assert_eq!(max_connections(Some(descriptors)), connections, "{descriptors}");
        }
        assert_eq!(max_connections(None), MAX_CONNECTIONS, "there is no limit");
    }
}
