//! A load generator: many connections that send the next request as soon as a response arrives.
//!
//! It uses plain sockets, because it shares the machine with the server under test and should leave
//! most of the CPU to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::response::{self, Response};

/// The result of one measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// The number of connections.
    pub connections: usize,
    /// Responses per second.
    pub rate: f64,
    /// The median response time in milliseconds.
    pub median: f64,
    /// The 99th percentile of the response time in milliseconds.
    pub p99: f64,
    /// The CPU time of the server per request, in milliseconds.
    pub server_cpu: f64,
    /// The CPU time of PostgreSQL per request, in milliseconds; zero on SQLite, which is part of the server.
    pub database_cpu: f64,
}

/// The results of one kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// With few connections, where nothing hides the latency of one request.
    pub few: Figures,
    /// With the best number of connections.
    pub best: Figures,
}

/// A source of requests.
pub trait Requests: Send + Sync + 'static {
    /// Returns the bytes of the request with this number; the connections share the numbers.
    fn request(&self, number: u64) -> Vec<u8>;
}

/// A fixed set of requests, sent round-robin.
pub struct Rotation(pub Vec<Vec<u8>>);

impl Requests for Rotation {
    fn request(&self, number: u64) -> Vec<u8> {
        let index = usize::try_from(number).unwrap_or_default() % self.0.len();
        self.0[index].clone()
    }
}

/// Sends requests for the given time. Any status other than `status` is an error.
pub async fn generate(
    port: u16,
    requests: Arc<dyn Requests>,
    connections: usize,
    duration: Duration,
    status: u16,
) -> anyhow::Result<Figures> {
    let load = Arc::new(Load { port, requests, status, number: AtomicU64::new(0), stopped: AtomicBool::new(false) });
    let mut clients = JoinSet::new();
    let started = Instant::now();
    for _ in 0..connections {
        clients.spawn(Arc::clone(&load).client());
    }
    tokio::time::sleep(duration).await;
    load.stopped.store(true, Ordering::Relaxed);
    let mut times: Vec<Duration> = Vec::new();
    while let Some(client) = clients.join_next().await {
        times.extend(client.context("a client panicked")??);
    }
    let elapsed = started.elapsed();
    times.sort_unstable();
    let rate = times.len() as f64 / elapsed.as_secs_f64();
    let (median, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
    Ok(Figures { connections, rate, median, p99, ..Figures::default() })
}

/// Returns a percentile of sorted times, in milliseconds.
fn percentile(times: &[Duration], fraction: f64) -> f64 {
    let index = (times.len() as f64 * fraction) as usize;
    times.get(index.min(times.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

struct Load {
    port: u16,
    requests: Arc<dyn Requests>,
    status: u16,
    number: AtomicU64,
    stopped: AtomicBool,
}

impl Load {
    /// Sends requests over one connection and returns the response times.
    async fn client(self: Arc<Self>) -> anyhow::Result<Vec<Duration>> {
        let mut connection = Connection::open(self.port).await?;
        let mut times = Vec::new();
        while !self.stopped.load(Ordering::Relaxed) {
            let request = self.requests.request(self.number.fetch_add(1, Ordering::Relaxed));
            let sent = Instant::now();
            let status = connection.send(&request).await?;
            if status != self.status {
                bail!("status {status} instead of {}: {}", self.status, connection.text());
            }
            times.push(sent.elapsed());
        }
        Ok(times)
    }
}

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    length: usize,
}

impl Connection {
    /// Connects to a port on the loopback address.
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024), length: 0 })
    }

    /// Sends a request, reads the whole response, and returns its status.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        loop {
            if let Some(length) = response::length(&self.buffer)? {
                self.length = length;
                let status = std::str::from_utf8(&self.buffer[9..12]).unwrap_or_default();
                return status.parse().context("invalid status");
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed before the response was complete");
            }
        }
    }

    /// Returns the text of the last response.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.length]).into_owned()
    }

    /// Returns the last response.
    pub fn response(&self) -> Option<Response> {
        Response::parse(&self.buffer[..self.length])
    }
}

/// Returns the bytes of a request.
pub fn request(method: &str, path: &str, port: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}
