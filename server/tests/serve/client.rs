//! A client that sends exactly the given bytes.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far longer than anything takes: a test that waits this long has failed.
const AT_MOST: Duration = Duration::from_secs(90);

/// Waits for something that must happen.
pub async fn in_time<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(AT_MOST, happens).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub async fn connect(server: SocketAddr) -> Self {
        let stream = in_time("the connection is accepted", TcpStream::connect(server)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        in_time("the server reads", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Requests a path over HTTP/1.1, and leaves the connection open.
    pub async fn request(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: app.example.com\r\n\r\n")).await;
    }

    /// The body of the next response.
    pub async fn response(&mut self) -> String {
        let head = loop {
            match self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break String::from_utf8(self.take(end + 4)).unwrap().to_lowercase(),
                None => self.read_more().await,
            }
        };
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        String::from_utf8(self.bytes(length.parse().unwrap()).await).unwrap()
    }

    /// The next bytes that the server sends.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            self.read_more().await;
        }
        self.take(count)
    }

    /// Requests a path and returns the body.
    pub async fn get(&mut self, path: &str) -> String {
        self.request(path).await;
        self.response().await
    }

    /// Returns when the server has closed the connection, with what it sent before that.
    pub async fn closed(mut self) -> Vec<u8> {
        // A connection that is reset is closed as well.
        let _ = in_time("the server closes the connection", self.stream.read_to_end(&mut self.read)).await;
        self.read
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.read.split_off(count);
        std::mem::replace(&mut self.read, rest)
    }

    async fn read_more(&mut self) {
        let read = in_time("the server responds", self.stream.read_buf(&mut self.read)).await.unwrap();
        assert!(read > 0, "the server closed the connection after {:?}", String::from_utf8_lossy(&self.read));
    }
}
