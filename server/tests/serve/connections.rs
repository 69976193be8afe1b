//! Slow and idle clients do not exhaust the server, and stopping loses no request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::routing::get;
use server::http::{ConnectionLimits, serve};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, in_time};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);
/// A limit that a test waits for.
const SHORT: Duration = Duration::from_millis(20);
/// Limits that no test reaches.
const WIDE: ConnectionLimits = ConnectionLimits {
    first_bytes_timeout: LONG,
    head_timeout: LONG,
    write_timeout: LONG,
    max_connections: 100,
    http2: true,
};

/// The HTTP/2 connection preface, which a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame, which follows it.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, limits: ConnectionLimits, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let until = stop.clone();
        let serving = tokio::spawn(async move { serve(listener, router, limits, &until, grace).await });
        Self { address, stop, serving }
    }

    async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Returns when the server has stopped serving.
    async fn stopped(self) {
        in_time("the server stops", self.serving).await.unwrap();
    }
}

/// A page that responds immediately.
fn quick() -> Router {
    Router::new().route("/", get("hello"))
}

/// A page that signals when it is requested, and responds when the gate is opened.
#[derive(Clone)]
struct Slow {
    requested: Arc<Notify>,
    gate: Arc<Semaphore>,
}

impl Slow {
    fn new() -> Self {
        Self { requested: Arc::new(Notify::new()), gate: Arc::new(Semaphore::new(0)) }
    }

    fn router(&self) -> Router {
        let slow = self.clone();
        let respond = async move || {
            slow.requested.notify_one();
            slow.gate.acquire().await.expect("it is never closed").forget();
            "at last"
        };
        quick().route("/slow", get(respond))
    }

    /// A client whose request is being handled.
    async fn busy_client(&self, server: &Server) -> Client {
        let mut client = server.client().await;
        client.request("/slow").await;
        in_time("the handler runs", self.requested.notified()).await;
        client
    }
}

#[tokio::test]
async fn a_connection_that_sends_no_complete_head_is_closed() {
    let limits = ConnectionLimits { first_bytes_timeout: SHORT, head_timeout: SHORT, ..WIDE };
    let server = Server::start(quick(), limits, LONG).await;
    for beginning in [&b""[..], b"G", b"P", b"PRI * HT", b"GET / HTTP/1.1\r\nhost: x\r\n", &PREFACE[..23]] {
        let mut client = server.client().await;
        client.send(beginning).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_request() {
    let server = Server::start(quick(), ConnectionLimits { head_timeout: SHORT, ..WIDE }, LONG).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nhost: app.example.com\r\n\r\nGET").await;
    assert_eq!(client.response().await, "hello");
    client.closed().await;
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed() {
    let limits = ConnectionLimits { head_timeout: SHORT, write_timeout: SHORT, ..WIDE };
    let server = Server::start(quick(), limits, LONG).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    client.send(SETTINGS).await;
    client.closed().await;
}

#[tokio::test]
async fn http_2_is_rejected_unless_it_is_configured() {
    let server = Server::start(quick(), ConnectionLimits { http2: false, ..WIDE }, LONG).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    client.closed().await;
}

#[tokio::test]
async fn an_http_2_client_is_recognized_however_its_first_bytes_arrive() {
    let server = Server::start(quick(), WIDE, LONG).await;
    for split in [1, 8, 23, 24] {
        let mut client = server.client().await;
        client.send(&PREFACE[..split]).await;
        client.send(&PREFACE[split..]).await;
        client.send(SETTINGS).await;
        assert_eq!(client.bytes(9).await[3], 4, "the response is a SETTINGS frame");
    }
}

#[tokio::test]
async fn an_http_1_client_is_served_however_its_first_bytes_arrive() {
    let server = Server::start(quick(), WIDE, LONG).await;
    let request = b"GET / HTTP/1.1\r\nhost: app.example.com\r\n\r\n";
    for split in [1, 3, 24, 30] {
        let mut client = server.client().await;
        client.send(&request[..split]).await;
        client.send(&request[split..]).await;
        assert_eq!(client.response().await, "hello");
    }
}

#[tokio::test]
async fn a_request_may_take_longer_than_the_head_timeout() {
    let slow = Slow::new();
    let server = Server::start(slow.router(), ConnectionLimits { head_timeout: SHORT, ..WIDE }, LONG).await;
    let mut client = slow.busy_client(&server).await;
    // Once this one is closed, the other's head timeout has passed as well.
    let mut idle = server.client().await;
    idle.send("G").await;
    idle.closed().await;
    slow.gate.add_permits(1);
    assert_eq!(client.response().await, "at last");
}

#[tokio::test]
async fn no_more_connections_are_served_than_the_limit_allows() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let handler = async move |ConnectInfo(client): ConnectInfo<SocketAddr>| {
        log.lock().unwrap().push(client);
        "hello"
    };
    let router = Router::new().route("/", get(handler));
    let server = Server::start(router, ConnectionLimits { max_connections: 1, ..WIDE }, LONG).await;
    let mut first = server.client().await;
    assert_eq!(first.get("/").await, "hello");
    let mut second = server.client().await;
    second.request("/").await;
    for _ in 0..100 {
        assert_eq!(first.get("/").await, "hello");
    }
    assert!(!seen.lock().unwrap().contains(&second.address()), "the second connection waits");
    drop(first);
    assert_eq!(second.response().await, "hello");
}

#[tokio::test]
async fn clients_that_send_nothing_do_not_keep_others_out() {
    let limits = ConnectionLimits { first_bytes_timeout: SHORT, max_connections: 2, ..WIDE };
    let server = Server::start(quick(), limits, LONG).await;
    let silent = [server.client().await, server.client().await];
    assert_eq!(server.client().await.get("/").await, "hello");
    drop(silent);
}

#[tokio::test]
async fn clients_that_do_not_read_do_not_keep_others_out() {
    const LARGE: usize = 64 * 1024 * 1024;
    let router = quick().route("/large", get(async || Bytes::from(vec![0; LARGE])));
    let limits = ConnectionLimits { write_timeout: SHORT, max_connections: 1, ..WIDE };
    let server = Server::start(router, limits, LONG).await;
    let mut non_reading_client = server.client().await;
    non_reading_client.request("/large").await;
    assert_eq!(server.client().await.get("/").await, "hello");
    assert!(non_reading_client.closed().await.len() < LARGE);
}

#[tokio::test]
async fn stopping_completes_open_requests_and_closes_idle_connections() {
    let slow = Slow::new();
    let server = Server::start(slow.router(), WIDE, LONG).await;
    let mut idle = server.client().await;
    assert_eq!(idle.get("/").await, "hello");
    let mut idle_over_http_2 = server.client().await;
    idle_over_http_2.send(PREFACE).await;
    idle_over_http_2.send(SETTINGS).await;
    idle_over_http_2.bytes(9).await;
    let silent = server.client().await;
    let mut busy = slow.busy_client(&server).await;
    server.stop.cancel();
    idle.closed().await;
    silent.closed().await;
    assert!(!server.serving.is_finished(), "a request is open");
    slow.gate.add_permits(1);
    assert_eq!(busy.response().await, "at last");
    busy.closed().await;
    // An HTTP/2 client has to acknowledge that the connection ends.
    drop(idle_over_http_2);
    let address = server.address;
    server.stopped().await;
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn stopping_waits_for_open_requests_only_for_the_grace_period() {
    let slow = Slow::new();
    let server = Server::start(slow.router(), WIDE, SHORT).await;
    let _busy = slow.busy_client(&server).await;
    server.stop.cancel();
    server.stopped().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_free_connection() {
    let slow = Slow::new();
    let server = Server::start(slow.router(), ConnectionLimits { max_connections: 1, ..WIDE }, LONG).await;
    let mut busy = slow.busy_client(&server).await;
    let waiting = server.client().await;
    server.stop.cancel();
    slow.gate.add_permits(1);
    assert_eq!(busy.response().await, "at last");
    server.stopped().await;
    waiting.closed().await;
}
