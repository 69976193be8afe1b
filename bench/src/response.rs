//! Reading HTTP responses, and encoding them again for the baseline to send.

use anyhow::Context;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// A response that can be sent again.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The headers, except those that depend on the connection.
    pub headers: HeaderMap,
    /// The decoded body.
    pub body: Bytes,
}

impl Response {
    /// Decodes a response. Returns `None` if it is malformed.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = head_length(bytes)?;
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
        let body = &bytes[end + 4..];
        let body = if is_chunked { dechunk(body)? } else { body.to_vec() };
        Some(Self { headers, body: body.into() })
    }

    /// Encodes the response, with status 200.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Returns the length of the response at the start of `bytes`, or `None` if it is incomplete.
pub fn length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = head_length(bytes) else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).context("the headers are not UTF-8")?;
    let field = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let start = end + 4;
    if let Some(length) = field("content-length") {
        let all = start + length.parse::<usize>().context("invalid Content-Length")?;
        return Ok((bytes.len() >= all).then_some(all));
    }
    if field("transfer-encoding").is_some() {
        // None of the measured bodies contains this sequence.
        return Ok(bytes[start..].windows(5).position(|five| five == b"0\r\n\r\n").map(|at| start + at + 5));
    }
    Ok(Some(start))
}

fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n")
}

fn dechunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
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
