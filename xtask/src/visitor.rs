//! A minimal browser: requests, forms and one session cookie.

use std::io::Read;

use anyhow::{Context, bail};
use ureq::http::Response;
use ureq::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use ureq::{Agent, Body};

use crate::server::{Running, agent};

/// A visitor of a server, signed in or not.
pub struct Visitor<'a> {
    origin: &'a str,
    agent: Agent,
    /// The session cookie, once signed in.
    pub cookie: Option<String>,
}

/// A response whose body may be compressed.
pub struct Page {
    /// The body as it was transferred.
    pub body: Vec<u8>,
    is_brotli: bool,
}

impl<'a> Visitor<'a> {
    /// Creates a visitor without a session.
    pub fn of(running: &'a Running) -> Self {
        Self { origin: &running.origin, agent: agent(), cookie: None }
    }

    /// Gets a page or a file. Any status other than 200 is an error.
    pub fn get(&self, path: &str) -> anyhow::Result<Page> {
        let mut response = self.request(path)?;
        if response.status() != 200 {
            bail!("GET {path} returned {}", response.status());
        }
        let is_brotli = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "br");
        let body = response.body_mut().read_to_vec().with_context(|| format!("GET {path}"))?;
        Ok(Page { body, is_brotli })
    }

    /// Sends a GET request and returns the response, regardless of its status.
    pub fn request(&self, path: &str) -> anyhow::Result<Response<Body>> {
        let mut request = self.agent.get(format!("{}{path}", self.origin)).header(ACCEPT_ENCODING, "br");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        request.call().with_context(|| format!("GET {path}"))
    }

    /// Sends a form to a path on the server, or to a URL on another one.
    fn post(&self, url: &str, form: &[(&str, &str)]) -> anyhow::Result<Response<Body>> {
        let is_ours = url.starts_with('/');
        let mut request = self.agent.post(if is_ours { format!("{}{url}", self.origin) } else { url.to_owned() });
        if is_ours {
            request = request.header(ORIGIN, self.origin);
        }
        if let Some(cookie) = self.cookie.as_ref().filter(|_| is_ours) {
            request = request.header(COOKIE, cookie);
        }
        request.send_form(form.iter().copied()).with_context(|| format!("POST {url}"))
    }

    /// Creates an account and stays signed in.
    pub fn sign_up(&self, email: &str) -> anyhow::Result<Self> {
        let response = self.post("/signup", &[("email", email), ("password", "correct horse battery staple")])?;
        redirect(&response).context("POST /signup")?;
        let cookies = response.headers().get_all(SET_COOKIE).iter();
        let pairs: Vec<_> = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next()).collect();
        if pairs.is_empty() {
            bail!("POST /signup set no cookie");
        }
        Ok(Self { origin: self.origin, agent: self.agent.clone(), cookie: Some(pairs.join("; ")) })
    }

    /// Subscribes to a plan: pays on the sandbox's page and returns to the success page.
    pub fn subscribe(&self, plan: &str) -> anyhow::Result<()> {
        let checkout = redirect(&self.post("/api/billing/subscribe", &[("plan", plan), ("interval", "month")])?)?;
        let card =
            [("number", "4242424242424242"), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada"), ("email", "")];
        let success = redirect(&self.post(&checkout, &card)?)?;
        let success = success.strip_prefix(self.origin).context("Checkout returned to another site")?;
        // This page fetches the session from Stripe itself, so there is no webhook to wait for.
        self.get(success).map(drop)
    }

    /// Creates an API key, which is shown once.
    pub fn new_api_key(&self) -> anyhow::Result<String> {
        let page = self.post("/dashboard/api-keys", &[("name", "report")])?.body_mut().read_to_string()?;
        let mut words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let key = words.find(|word| word.starts_with("tg_") && word.len() > 40);
        Ok(key.context("the page shows no API key")?.to_owned())
    }
}

impl Page {
    /// Returns the decompressed text.
    pub fn text(&self) -> anyhow::Result<String> {
        if !self.is_brotli {
            return String::from_utf8(self.body.clone()).context("the page is not UTF-8");
        }
        let mut text = String::new();
        brotli::Decompressor::new(&self.body[..], 4096).read_to_string(&mut text).context("the page is not brotli")?;
        Ok(text)
    }
}

/// Returns the target of a redirect.
fn redirect(response: &Response<Body>) -> anyhow::Result<String> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    Ok(location.with_context(|| format!("{} instead of a redirect", response.status()))?.to_owned())
}
