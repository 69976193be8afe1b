//! Many connections that ask as fast as they are answered.
//!
//! Written on bare sockets, because the client shares the machine with what it measures: what it
//! does not spend is left to the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How many requests of what kind came to what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Connections.
    pub connections: usize,
    /// Answers a second.
    pub rate: f64,
    /// Half of the answers took no longer, in milliseconds.
    pub median: f64,
    /// All but a hundredth took no longer, in milliseconds.
    pub p99: f64,
}

/// What is asked, request after request.
pub trait Ask: Send + Sync + 'static {
    /// The bytes of the `number`th request of all.
    fn request(&self, number: u64) -> Vec<u8>;
}

/// The same few requests over and over.
pub struct Same(pub Vec<Vec<u8>>);

impl Ask for Same {
    fn request(&self, number: u64) -> Vec<u8> {
        let index = usize::try_from(number).unwrap_or_default() % self.0.len();
        self.0[index].clone()
    }
}

/// Asks over so many connections for so long; what is not answered with `status` is an error.
pub async fn drive(
    port: u16,
    ask: Arc<dyn Ask>,
    connections: usize,
    time: Duration,
    status: u16,
) -> anyhow::Result<Figures> {
    let (number, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..connections {
        let (ask, number, is_over) = (Arc::clone(&ask), Arc::clone(&number), Arc::clone(&is_over));
        clients.spawn(async move {
            let mut connection = Connection::open(port).await?;
            let mut times = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let request = ask.request(number.fetch_add(1, Ordering::Relaxed));
                let asked = Instant::now();
                let answered = connection.ask(&request).await?;
                if answered != status {
                    bail!("answered {answered} instead of {status}: {}", connection.said());
                }
                times.push(asked.elapsed());
            }
            Ok(times)
        });
    }
    tokio::time::sleep(time).await;
    is_over.store(true, Ordering::Relaxed);
    let mut times: Vec<Duration> = Vec::new();
    while let Some(client) = clients.join_next().await {
        times.extend(client.context("a client panicked")??);
    }
    let elapsed = begin.elapsed();
    times.sort_unstable();
    let at = |part: f64| {
        let index = (times.len() as f64 * part) as usize;
        times.get(index.min(times.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    Ok(Figures { connections, rate: times.len() as f64 / elapsed.as_secs_f64(), median: at(0.5), p99: at(0.99) })
}

/// One connection that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    head: usize,
    whole: usize,
}

impl Connection {
    /// To a port on the loopback address.
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("nobody listens")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024), head: 0, whole: 0 })
    }

    /// Sends a request and reads its whole answer; the status.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        loop {
            if let Some((head, whole)) = whole(&self.buffer)? {
                (self.head, self.whole) = (head, whole);
                let status = std::str::from_utf8(&self.buffer[9..12]).unwrap_or_default();
                return status.parse().context("no status");
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed in the middle of an answer");
            }
        }
    }

    /// The last answer as it came.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.whole]).into_owned()
    }

    /// The last answer, taken apart.
    pub fn answer(&self) -> Option<Answer> {
        Answer::parse(&self.buffer[..self.whole])
    }
}

/// Where the head of an answer ends and where all of it does; `None` while some is missing.
fn whole(bytes: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).context("a head that is no text")?;
    let field = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let start = end + 4;
    if let Some(length) = field("content-length") {
        let all = start + length.parse::<usize>().context("no length")?;
        return Ok((bytes.len() >= all).then_some((start, all)));
    }
    if field("transfer-encoding").is_some() {
        // What is measured holds no such sequence in itself.
        let all = bytes[start..].windows(5).position(|five| five == b"0\r\n\r\n").map(|at| start + at + 5);
        return Ok(all.map(|all| (start, all)));
    }
    Ok(Some((start, start)))
}

/// An answer that can be sent again.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// All but those that the connection sets by itself.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
}

impl Answer {
    /// Takes an answer apart; `None` for what is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut headers = HeaderMap::new();
        let mut is_chunked = false;
        for line in head.split("\r\n").skip(1) {
            let (name, value) = line.split_once(':')?;
            match name.to_ascii_lowercase().as_str() {
                "transfer-encoding" => is_chunked = true,
                "content-length" | "date" | "connection" => {}
                name => {
                    headers.append(HeaderName::try_from(name).ok()?, HeaderValue::from_str(value.trim()).ok()?);
                }
            }
        }
        let mut body = bytes[end + 4..].to_vec();
        if is_chunked {
            body = unchunked(&body)?;
        }
        Some(Self { headers, body: body.into() })
    }
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(all);
        }
        all.extend_from_slice(bytes.get(end + 2..end + 2 + size)?);
        bytes = bytes.get(end + 2 + size + 2..)?;
    }
}
