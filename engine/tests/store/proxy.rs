//! A proxy in front of PostgreSQL that can withhold what connections for notifications receive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::DatabaseUrl;
use engine::store::driver::ConnectOptions;
use engine::store::driver::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::databases::TestDatabase;

/// A proxy in front of a test's database. Dropping it closes its connections.
pub struct Proxy {
    url: DatabaseUrl,
    is_silent: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub async fn start(database: &TestDatabase) -> Self {
        let options = database.postgres_options().clone();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        let is_silent = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, Arc::clone(&is_silent)));
        let options: PgConnectOptions = options.host("127.0.0.1").port(address.port());
        let url = DatabaseUrl::Postgres { url: options.to_url_lossy().to_string().into(), schema: None };
        Self { url, is_silent, _tasks: tasks }
    }

    /// The database's address through the proxy.
    pub fn url(&self) -> DatabaseUrl {
        self.url.clone()
    }

    /// From now on connections for notifications stay open and receive nothing.
    pub fn silence_notifications(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }

    /// New connections for notifications work again.
    pub fn restore_notifications(&self) {
        self.is_silent.store(false, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, server: String, is_silent: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(&server).await.expect("PostgreSQL accepts connections");
        connections.spawn(forward(client, server, Arc::clone(&is_silent)));
    }
}

async fn forward(client: TcpStream, server: TcpStream, is_silent: Arc<AtomicBool>) {
    let listens = AtomicBool::new(false);
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let requests = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            if bytes[..count].windows(7).any(|word| word == b"LISTEN ") {
                listens.store(true, Ordering::SeqCst);
            }
            if to_server.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    let responses = async {
        let mut bytes = vec![0; 64 * 1024];
        let mut is_lost = false;
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            // A connection of which a part was lost cannot go on later.
            is_lost |= listens.load(Ordering::SeqCst) && is_silent.load(Ordering::SeqCst);
            if !is_lost && to_client.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = responses => {}
    }
}
