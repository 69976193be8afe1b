//! Streaming from any endpoint with OpenAI's `POST /chat/completions` (OpenAI API reference, "Create
//! chat completion").

use std::time::Duration;

use futures::{Stream, StreamExt};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::error::{AiError, Chunks};
use crate::config::AiConfig;

/// The longest pause in a provider's response.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum length of a line in a stream: far longer than any chunk of text.
const MAX_LINE: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub(super) struct OpenAi {
    client: reqwest::Client,
    address: String,
}

impl OpenAi {
    pub(super) fn new(config: &AiConfig) -> Result<Self, AiError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
                .map_err(|_| AiError::Invalid("AI_API_KEY cannot be sent as a header"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let address = format!("{}/chat/completions", config.base_url.as_str().trim_end_matches('/'));
        Ok(Self { client, address })
    }

    pub(super) async fn generate(&self, model: &str, prompt: &str) -> Result<Chunks, AiError> {
        let body = json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": prompt }] });
        let request = self.client.post(&self.address).header(ACCEPT, "text/event-stream").json(&body);
        let response = request.send().await?;
        if !response.status().is_success() {
            return Err(AiError::Status(response.status().as_u16()));
        }
        Ok(Box::pin(chunks(response.bytes_stream())))
    }
}

/// Reads the chunks of text in a stream of events. A stream without its last event is an error.
fn chunks<B: AsRef<[u8]> + Send>(
    bytes: impl Stream<Item = Result<B, reqwest::Error>> + Send,
) -> impl Stream<Item = Result<String, AiError>> + Send {
    async_stream::stream! {
        let mut bytes = std::pin::pin!(bytes);
        let mut unread = Vec::new();
        while let Some(chunk) = bytes.next().await {
            match chunk {
                Ok(chunk) => unread.extend_from_slice(chunk.as_ref()),
                Err(error) => {
                    yield Err(error.into());
                    return;
                }
            }
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                match read(&line) {
                    Line::Chunk(chunk) => yield Ok(chunk),
                    Line::Other => {}
                    Line::End => return,
                    Line::Invalid(problem) => {
                        yield Err(AiError::Invalid(problem));
                        return;
                    }
                }
            }
            if unread.len() > MAX_LINE {
                yield Err(AiError::Invalid("a line is too long"));
                return;
            }
        }
        yield Err(AiError::Invalid("it is incomplete"));
    }
}

enum Line {
    Chunk(String),
    Other,
    End,
    Invalid(&'static str),
}

fn read(line: &[u8]) -> Line {
    let Ok(line) = std::str::from_utf8(line) else { return Line::Invalid("it is not UTF-8") };
    // Comments and the event's other fields are ignored.
    let Some(data) = line.trim_end().strip_prefix("data:") else { return Line::Other };
    let data = data.trim_start();
    if data == "[DONE]" {
        return Line::End;
    }
    let Ok(event) = serde_json::from_str::<Value>(data) else { return Line::Invalid("an event is not JSON") };
    if event.get("error").is_some() {
        return Line::Invalid("it reports an error");
    }
    match event.pointer("/choices/0/delta/content").and_then(Value::as_str) {
        Some(chunk) if !chunk.is_empty() => Line::Chunk(chunk.to_owned()),
        _ => Line::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(chunks: &[&str]) -> Vec<Result<String, String>> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(chunk.as_bytes().to_vec())).collect();
        let read: Vec<_> = super::chunks(futures::stream::iter(chunks)).collect().await;
        read.into_iter().map(|chunk| chunk.map_err(|error| error.to_string())).collect()
    }

    #[tokio::test]
    async fn text_is_read_wherever_the_stream_is_split() {
        let whole = ": hello\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"Grüße \"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"aus Köln\"}}],\"new\":1}\n\ndata: [DONE]\n\n";
        let expected = vec![Ok("Grüße ".to_owned()), Ok("aus Köln".to_owned())];
        assert_eq!(read_all(&[whole]).await, expected);
        let bytes: Vec<_> = whole.as_bytes().chunks(3).map(|chunk| Ok(chunk.to_vec())).collect();
        let read: Vec<_> = chunks(futures::stream::iter(bytes)).map(Result::unwrap).collect().await;
        assert_eq!(read, ["Grüße ", "aus Köln"]);
    }

    #[tokio::test]
    async fn an_incomplete_stream_or_one_that_reports_an_error_fails() {
        let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n";
        for broken in [
            &[chunk][..],
            &[chunk, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"],
            &["data: {\n\n"],
            &["<html>"],
        ] {
            assert!(read_all(broken).await.last().is_some_and(Result::is_err), "{broken:?}");
        }
    }
}
