//! The number of statements that API calls send to PostgreSQL, with warm caches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::DatabaseUrl;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{DatabaseKind, Harness, Page};

/// Background tasks send statements too, so the smallest of several readings counts.
const READINGS: usize = 8;

/// Counts the statements that a server sends to PostgreSQL, including BEGIN and COMMIT.
#[derive(Clone, Default)]
struct Proxy(Arc<AtomicUsize>);

impl Proxy {
    /// Listens in front of a server on this machine, and returns the port.
    fn start(&self, server: u16) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = TcpListener::from_std(listener).unwrap();
        let proxy = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                tokio::spawn(proxy.clone().forward(client, server));
            }
        });
        port
    }

    async fn forward(self, client: TcpStream, server: TcpStream) {
        let ((mut from_client, mut to_server), (from_server, to_client)) = {
            let ((client_read, client_write), (server_read, server_write)) = (client.into_split(), server.into_split());
            ((client_read, server_write), (server_read, client_write))
        };
        // The message that starts a connection has no type.
        let length = from_client.read_u32().await.unwrap();
        let mut start = vec![0; length as usize - 4];
        from_client.read_exact(&mut start).await.unwrap();
        to_server.write_all(&[&length.to_be_bytes()[..], &start].concat()).await.unwrap();
        let requests = self.pass(from_client, to_server, |kind| matches!(kind, b'E' | b'Q'));
        let responses = self.pass(from_server, to_client, |_| false);
        tokio::select! {
            () = requests => {}
            () = responses => {}
        }
    }

    async fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counts: impl Fn(u8) -> bool) {
        while let Ok(kind) = from.read_u8().await {
            let Ok(length) = from.read_u32().await else { return };
            let mut message = vec![0; length as usize + 1];
            message[0] = kind;
            message[1..5].copy_from_slice(&length.to_be_bytes());
            if from.read_exact(&mut message[5..]).await.is_err() {
                return;
            }
            self.0.fetch_add(usize::from(counts(kind)), Ordering::SeqCst);
            if to.write_all(&message).await.is_err() {
                return;
            }
        }
    }

    /// The fewest statements of several requests. The first ones warm the caches.
    async fn fewest(&self, request: impl AsyncFn() -> Page) -> usize {
        let mut fewest = usize::MAX;
        for _ in 0..READINGS {
            let before = self.0.load(Ordering::SeqCst);
            let page = request().await;
            assert_eq!(page.status, 200, "{}", page.body);
            fewest = fewest.min(self.0.load(Ordering::SeqCst) - before);
        }
        fewest
    }
}

/// The app, and the address of a node of it that asks PostgreSQL through a proxy.
async fn start() -> (Harness, String, Proxy) {
    let (app, proxy) = (Harness::start(DatabaseKind::Postgres).await, Proxy::default());
    let mut address = reqwest::Url::parse(&app.database.url).unwrap();
    let port = proxy.start(address.port().unwrap());
    address.set_port(Some(port)).unwrap();
    address.query_pairs_mut().append_pair("sslmode", "disable");
    let behind = DatabaseUrl::Postgres { url: address.to_string().into(), schema: None };
    let (url, _) = app.another_node(|config| config.database_url = behind).await;
    (app, url, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_by_key_take_few_statements() {
    let (app, url, proxy) = start().await;
    let browser = app.paying("ada@example.com").await.at(&url);
    let key = browser.new_api_key("build server").await;
    let usage =
        proxy.fewest(async || Page::of(browser.request(Method::GET, "/api/v1/usage").bearer_auth(&key)).await).await;
    let generated = proxy
        .fewest(async || {
            let request = browser.request(Method::POST, "/api/v1/generate").bearer_auth(&key);
            Page::of(request.json(&serde_json::json!({ "prompt": "a story" }))).await
        })
        .await;
    assert!(usage <= 4 && generated <= 8, "usage: {usage}, generate: {generated}");
}
