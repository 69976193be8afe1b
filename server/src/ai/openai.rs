//! Any endpoint that speaks OpenAI's `POST /chat/completions` (OpenAI API reference, "Create
//! chat completion"), asked to stream: what has come can be passed on at once.

use std::time::Duration;

use futures::{Stream, StreamExt};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{AiError, Pieces};
use crate::config::AiConfig;

/// How long a provider may say nothing at all.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest line of a stream that is read: far longer than any piece of text.
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
                .map_err(|_| AiError::NotUnderstood("AI_API_KEY cannot be sent as a header"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let address = format!("{}/chat/completions", config.base_url.as_str().trim_end_matches('/'));
        Ok(Self { client, address })
    }

    pub(super) async fn write(&self, model: &str, prompt: &str) -> Result<Pieces, AiError> {
        let body = json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": prompt }] });
        let request = self.client.post(&self.address).header(ACCEPT, "text/event-stream").json(&body);
        let response = request.send().await?;
        if !response.status().is_success() {
            return Err(AiError::Refused(response.status().as_u16()));
        }
        Ok(Box::pin(pieces(response.bytes_stream())))
    }
}

/// The pieces of text in a stream of events. An answer that ends without its end is none.
fn pieces<B: AsRef<[u8]> + Send>(
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
                    Line::Piece(piece) => yield Ok(piece),
                    Line::Nothing => {}
                    Line::End => return,
                    Line::NotUnderstood(what) => {
                        yield Err(AiError::NotUnderstood(what));
                        return;
                    }
                }
            }
            if unread.len() > MAX_LINE {
                yield Err(AiError::NotUnderstood("a line without an end"));
                return;
            }
        }
        yield Err(AiError::NotUnderstood("it ended before its end"));
    }
}

enum Line {
    Piece(String),
    Nothing,
    End,
    NotUnderstood(&'static str),
}

fn read(line: &[u8]) -> Line {
    let Ok(line) = std::str::from_utf8(line) else { return Line::NotUnderstood("it is not UTF-8") };
    // Comments and other fields of an event are none of our business.
    let Some(data) = line.trim_end().strip_prefix("data:") else { return Line::Nothing };
    let data = data.trim_start();
    if data == "[DONE]" {
        return Line::End;
    }
    let Ok(event) = serde_json::from_str::<Value>(data) else { return Line::NotUnderstood("an event is not JSON") };
    if event.get("error").is_some() {
        return Line::NotUnderstood("it says that it failed");
    }
    match event.pointer("/choices/0/delta/content").and_then(Value::as_str) {
        Some(piece) if !piece.is_empty() => Line::Piece(piece.to_owned()),
        _ => Line::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(chunks: &[&str]) -> Vec<Result<String, String>> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(chunk.as_bytes().to_vec())).collect();
        let pieces: Vec<_> = pieces(futures::stream::iter(chunks)).collect().await;
        pieces.into_iter().map(|piece| piece.map_err(|error| error.to_string())).collect()
    }

    #[tokio::test]
    async fn pieces_are_read_wherever_the_chunks_are_cut() {
        let whole = ": hello\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"Grüße \"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"aus Köln\"}}],\"new\":1}\n\ndata: [DONE]\n\n";
        let expected = vec![Ok("Grüße ".to_owned()), Ok("aus Köln".to_owned())];
        assert_eq!(read_all(&[whole]).await, expected);
        let bytes: Vec<_> = whole.as_bytes().chunks(3).map(|chunk| Ok(chunk.to_vec())).collect();
        let pieces: Vec<_> = pieces(futures::stream::iter(bytes)).map(Result::unwrap).collect().await;
        assert_eq!(pieces, ["Grüße ", "aus Köln"]);
    }

    #[tokio::test]
    async fn what_ends_too_early_or_says_that_it_failed_is_an_error() {
        let piece = "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n";
        for broken in [
            &[piece][..],
            &[piece, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"],
            &["data: {\n\n"],
            &["<html>"],
        ] {
            assert!(read_all(broken).await.last().is_some_and(Result::is_err), "{broken:?}");
        }
    }
}
