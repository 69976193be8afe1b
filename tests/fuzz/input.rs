//! A changed request.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Uri};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::app::App;
use crate::examples::{Example, Part};
use crate::mutation::{Change, TreeChange, changed, changed_tree, changes, tree_changes};
use crate::support::{WEBHOOK_SECRETS, signed};

/// The changes of an example.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its number.
    pub example: usize,
    /// The name or value of a form or query that is changed, if one is.
    field: Option<Index>,
    /// Changes to that, or to a header.
    changes: Vec<Change>,
    /// Changes to JSON.
    tree: Vec<TreeChange>,
    /// Changes to everything as it is sent.
    raw: Vec<Change>,
}

/// Changes of any of the examples, by their weights.
pub fn input(examples: &[(u32, Example)]) -> impl Strategy<Value = Input> + use<> {
    let example = examples.iter().enumerate().map(|(number, (weight, _))| (*weight, Just(number)));
    let example = prop::strategy::Union::new_weighted(example.collect());
    let raw = prop_oneof![4 => Just(Vec::new()), 1 => changes(2)];
    (example, any::<Index>(), changes(3), tree_changes(), raw).prop_map(|(example, field, changes, tree, raw)| Input {
        example,
        field: Some(field),
        changes,
        tree,
        raw,
    })
}

/// A request as it is sent.
pub struct Changed {
    method: &'static str,
    target: Uri,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Vec<u8>,
}

impl Input {
    /// The unchanged example.
    pub const fn unchanged(example: usize) -> Self {
        Self { example, field: None, changes: Vec::new(), tree: Vec::new(), raw: Vec::new() }
    }

    /// The changed request.
    pub fn request(&self, app: &App, example: &Example) -> Changed {
        let mut request = Changed {
            method: example.method,
            target: Uri::from_static(example.path),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let mut known: Vec<(&'static str, String)> = app.credentials(example.visitor).into_iter().collect();
        known.push(("host", app.host()));
        // Limits per client must not hide what is behind them.
        known.push(("x-forwarded-for", client()));
        match &example.part {
            Part::Path => request.target = target(&changed(example.path.as_bytes(), &self.changes), b""),
            Part::Query(fields) => request.target = target(example.path.as_bytes(), &self.form(fields)),
            Part::Form(fields) => {
                known.extend(form_headers());
                request.body = self.form(fields);
            }
            Part::Cookies(cookies, fields) => {
                request.header("cookie", &changed(cookies.as_bytes(), &self.changes));
                known.extend(form_headers());
                request.body = Self::unchanged(self.example).form(fields);
            }
            Part::Json(value) => {
                known.push(("content-type", "application/json".to_owned()));
                request.body = self.json(value);
            }
            Part::Header(name, value) => {
                known.retain(|(other, _)| other != name);
                request.header(name, &changed(value.as_bytes(), &self.changes));
                if example.method == "POST" {
                    if *name != "content-type" {
                        known.push(("content-type", "application/json".to_owned()));
                    }
                    request.body = json!({ "prompt": "A toll gate at dawn" }).to_string().into_bytes();
                }
            }
            Part::Event(event) => {
                request.body = self.json(&with_new_id(event));
                let signature = signed(&request.body, &WEBHOOK_SECRETS[..1], 0);
                request.header("stripe-signature", signature.as_bytes());
            }
            Part::Signature(event) => {
                request.body = with_new_id(event).to_string().into_bytes();
                let signature = signed(&request.body, &WEBHOOK_SECRETS, 0);
                request.header("stripe-signature", &changed(signature.as_bytes(), &self.changes));
            }
        }
        for (name, value) in known {
            request.header(name, value.as_bytes());
        }
        request
    }

    /// The form with one changed name or value.
    fn form(&self, fields: &[(&'static str, String)]) -> Vec<u8> {
        let changed_text = self.field.map(|field| field.index((fields.len() * 2).max(1)));
        let strings = fields.iter().flat_map(|(name, value)| [*name, value.as_str()]).enumerate();
        let strings = strings.map(|(number, text)| {
            if Some(number) == changed_text {
                changed(text.as_bytes(), &self.changes)
            } else {
                text.as_bytes().to_vec()
            }
        });
        let encoded = strings.map(|text| form_urlencoded(&text)).collect::<Vec<_>>();
        let form = encoded.chunks(2).map(|field| field.join("=")).collect::<Vec<_>>().join("&");
        changed(form.as_bytes(), &self.raw)
    }

    fn json(&self, value: &Value) -> Vec<u8> {
        changed(changed_tree(value, &self.tree).to_string().as_bytes(), &self.raw)
    }
}

impl Changed {
    /// Adds a header. Bytes that HTTP does not allow in one, and hyper rejects, are left out.
    fn header(&mut self, name: &'static str, value: &[u8]) {
        let allowed = value.iter().copied().filter(|byte| *byte == b'\t' || *byte >= 32 && *byte != 127);
        if let Ok(value) = HeaderValue::from_bytes(&allowed.collect::<Vec<_>>()) {
            self.headers.push((name, value));
        }
    }

    /// The request for the router.
    pub fn into_http(self) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method.parse().unwrap();
        *request.uri_mut() = self.target;
        for (name, value) in self.headers {
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        request
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.target)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.as_bytes().escape_ascii())?;
        }
        write!(f, "\n{}", self.body.escape_ascii())
    }
}

/// The headers that a browser sends with a form of our own.
fn form_headers() -> [(&'static str, String); 2] {
    [("content-type", "application/x-www-form-urlencoded".to_owned()), ("sec-fetch-site", "same-origin".to_owned())]
}

/// A path and query of any bytes. Those that hyper rejects in an address are percent-encoded.
fn target(path: &[u8], query: &[u8]) -> Uri {
    let encode = |bytes: &[u8], also: &[u8]| -> String {
        let encoded = bytes.iter().map(|byte| match byte {
            byte if byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(byte) && !also.contains(byte) => {
                char::from(*byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        });
        encoded.collect()
    };
    let mut target = encode(path, b"?");
    if !target.starts_with('/') {
        target.insert(0, '/');
    }
    if !query.is_empty() {
        target = format!("{target}?{}", encode(query, b""));
    }
    // One that is longer than any address may be.
    target.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

fn form_urlencoded(text: &[u8]) -> String {
    text.iter()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The event under an id of its own, so that it is not a duplicate.
fn with_new_id(event: &Value) -> Value {
    let mut event = event.clone();
    event["id"] = json!(format!("evt_{}", next()));
    event
}

fn client() -> String {
    let number = next();
    format!("203.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255)
}

fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
