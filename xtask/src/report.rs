//! `report`: what the first visit to each page costs over the wire, and whether that is too much.
//!
//! The bytes are those of a real server's answers to a client that takes brotli.
//! Two rules are enforced: a page without an island loads no script and no wasm,
//! and one with islands stays within [`BUDGET`], everything included.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, bail};
use ureq::http::Response;
use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use ureq::{Agent, Body};

use crate::postgres::free_port;
use crate::process::{Group, interrupted, step};

/// What a page with islands may weigh, in bytes.
const BUDGET: usize = 90_000;

const PUBLIC: [&str; 5] = ["/", "/pricing", "/signup", "/login", "/api-reference"];
const SIGNED_IN: [&str; 4] = ["/dashboard", "/billing", "/billing/upgrade", "/account"];
/// What a plan opens.
const GATED: [&str; 4] =
    ["/dashboard/analytics", "/dashboard/api-keys", "/dashboard/custom-domain", "/dashboard/support"];
/// What is sold, as shipped.
const PLANS: &str = include_str!("../../plans.toml");

/// The program to be asked.
pub struct Server {
    /// Where it lies.
    pub binary: PathBuf,
    /// The site folder; `None` when it is inside the binary.
    pub site: Option<PathBuf>,
    /// Whether it has a sandbox inside; if not, it gets keys that open nothing.
    pub sandbox: bool,
}

/// Starts the server, weighs its pages, prints the table, and fails when a rule is broken.
pub fn report(server: &Server) -> anyhow::Result<()> {
    step("Weighing the pages");
    let running = Running::start(server)?;
    let anonymous = Visitor::of(&running);
    let mut weights = PUBLIC.map(|page| anonymous.weigh(page)).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let customer = anonymous.sign_up()?;
    weights.extend(SIGNED_IN.map(|page| customer.weigh(page)).into_iter().collect::<anyhow::Result<Vec<_>>>()?);
    weights.extend(gated(server)?);

    println!("\nFirst load over the wire, in bytes (brotli):\n");
    println!("{:<24} {:>8} {:>8} {:>8} {:>8} {:>8}", "page", "html", "css", "js", "wasm", "total");
    for Weight { page, html, css, js, wasm, .. } in &weights {
        println!("{page:<24} {html:>8} {css:>8} {js:>8} {wasm:>8} {:>8}", html + css + js + wasm);
    }
    let faults: Vec<_> = weights.iter().filter_map(Weight::fault).collect();
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// The pages that somebody on Free does not see: they are weighed with each plan as everybody's in
/// turn, because nobody can pay where there is no Stripe.
fn gated(server: &Server) -> anyhow::Result<Vec<Weight>> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let file = folder.path().join("plans.toml");
    let mut weights: Vec<Weight> = Vec::new();
    for place in 1..plans()?.len() {
        fs::write(&file, everybodys(place)?).context("no plans")?;
        let running = Running::start_with(server, &[("TOLLGATE_PLANS", file.clone().into_os_string())])?;
        let customer = Visitor::of(&running).sign_up()?;
        for page in GATED {
            if weights.iter().all(|weight| weight.page != page) && customer.opens(page)? {
                weights.push(customer.weigh(page)?);
            }
        }
    }
    match GATED.iter().find(|page| weights.iter().all(|weight| weight.page != **page)) {
        Some(page) => bail!("no plan opens {page}, so it cannot be weighed"),
        None => Ok(weights),
    }
}

fn plans() -> anyhow::Result<Vec<toml::Value>> {
    let file: toml::Table = PLANS.parse().context("plans.toml")?;
    Ok(file.get("plan").and_then(toml::Value::as_array).context("plans.toml has no plans")?.clone())
}

/// `plans.toml` with the plan at `place` as everybody's, below those that are still paid for.
fn everybodys(place: usize) -> anyhow::Result<String> {
    let mut file: toml::Table = PLANS.parse().context("plans.toml")?;
    let mut plans = plans()?;
    let mut free = plans.remove(place);
    // The one that was everybody's has no price and can only be the lowest.
    plans.remove(0);
    free.as_table_mut().context("a plan is a table")?.remove("price");
    plans.insert(0, free);
    file.insert("plan".to_owned(), toml::Value::Array(plans));
    Ok(file.to_string())
}

#[derive(Debug, Default, PartialEq)]
struct Weight {
    page: String,
    html: usize,
    css: usize,
    js: usize,
    wasm: usize,
    has_island: bool,
}

impl Weight {
    fn fault(&self) -> Option<String> {
        let total = self.html + self.css + self.js + self.wasm;
        if !self.has_island && self.js + self.wasm > 0 {
            Some(format!("{} has no island, but loads a script", self.page))
        } else if self.has_island && total > BUDGET {
            Some(format!("{} weighs {total} bytes, {} too many", self.page, total - BUDGET))
        } else {
            None
        }
    }
}

/// Somebody with a browser, signed in or not.
pub struct Visitor<'a> {
    origin: &'a str,
    agent: Agent,
    /// The session, once signed in.
    pub cookie: Option<String>,
}

impl<'a> Visitor<'a> {
    /// A stranger to a server.
    pub fn of(running: &'a Running) -> Self {
        Self { origin: &running.origin, agent: agent(), cookie: None }
    }

    fn weigh(&self, page: &str) -> anyhow::Result<Weight> {
        let answer = self.get(page)?;
        let html = answer.text()?;
        let mut weight = Weight {
            page: page.to_owned(),
            html: answer.body.len(),
            has_island: html.contains("<leptos-island"),
            ..Weight::default()
        };
        for path in loaded(&html) {
            let size = self.get(&path)?.body.len();
            match path.split('?').next().and_then(|path| path.rsplit('.').next()) {
                Some("css") => weight.css += size,
                Some("js") => weight.js += size,
                Some("wasm") => weight.wasm += size,
                _ => weight.html += size,
            }
        }
        Ok(weight)
    }

    /// Whether a page is shown rather than leading elsewhere.
    fn opens(&self, path: &str) -> anyhow::Result<bool> {
        Ok(self.ask(path)?.status() == 200)
    }

    /// What a page says.
    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        self.get(path)?.text()
    }

    /// Asks for a page, whatever the answer is.
    pub fn ask(&self, path: &str) -> anyhow::Result<Response<Body>> {
        let mut request = self.agent.get(format!("{}{path}", self.origin)).header(ACCEPT_ENCODING, "br");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        request.call().with_context(|| format!("GET {path}"))
    }

    fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let mut response = self.ask(path)?;
        if response.status() != 200 {
            bail!("GET {path} answers {}", response.status());
        }
        let is_brotli = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "br");
        let body = response.body_mut().read_to_vec().with_context(|| format!("GET {path}"))?;
        Ok(Answer { body, is_brotli })
    }

    /// Sends a form to a page of this server, or to one elsewhere.
    fn post(&self, address: &str, form: &[(&str, &str)]) -> anyhow::Result<Response<Body>> {
        let is_ours = address.starts_with('/');
        let mut request =
            self.agent.post(if is_ours { format!("{}{address}", self.origin) } else { address.to_owned() });
        if is_ours {
            request = request.header(ORIGIN, self.origin);
        }
        if let Some(cookie) = self.cookie.as_ref().filter(|_| is_ours) {
            request = request.header(COOKIE, cookie);
        }
        request.send_form(form.iter().copied()).with_context(|| format!("POST {address}"))
    }

    /// Subscribes to a plan on the sandbox's page, and comes back.
    pub fn subscribe(&self, plan: &str) -> anyhow::Result<()> {
        let checkout = led_to(&self.post("/api/billing/subscribe", &[("plan", plan), ("interval", "month")])?)?;
        let card =
            [("number", "4242424242424242"), ("expiry", "12/40"), ("cvc", "123"), ("name", "Ada"), ("email", "")];
        let success = led_to(&self.post(&checkout, &card)?)?;
        let success = success.strip_prefix(self.origin).context("Checkout leads elsewhere")?;
        // This page asks Stripe itself, so there is no webhook to wait for.
        self.get(success).map(drop)
    }

    /// Makes an API key, which is shown once.
    pub fn new_api_key(&self) -> anyhow::Result<String> {
        let page = self.post("/dashboard/api-keys", &[("name", "report")])?.body_mut().read_to_string()?;
        let mut words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let key = words.find(|word| word.starts_with("tg_") && word.len() > 40);
        Ok(key.context("no API key is shown")?.to_owned())
    }

    /// Makes an account and stays signed in.
    pub fn sign_up(&self) -> anyhow::Result<Self> {
        self.sign_up_as("report@example.com")
    }

    /// The same, with an address of one's own.
    pub fn sign_up_as(&self, email: &str) -> anyhow::Result<Self> {
        let response = self.post("/signup", &[("email", email), ("password", "correct horse battery staple")])?;
        if !response.status().is_redirection() {
            bail!("POST /signup answers {} instead of a redirect", response.status());
        }
        let cookies = response.headers().get_all(SET_COOKIE).iter();
        let pairs: Vec<_> = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next()).collect();
        if pairs.is_empty() {
            bail!("POST /signup sets no cookie");
        }
        Ok(Self { origin: self.origin, agent: self.agent.clone(), cookie: Some(pairs.join("; ")) })
    }
}

struct Answer {
    body: Vec<u8>,
    is_brotli: bool,
}

impl Answer {
    fn text(&self) -> anyhow::Result<String> {
        if !self.is_brotli {
            return String::from_utf8(self.body.clone()).context("the page is not UTF-8");
        }
        let mut text = String::new();
        brotli::Decompressor::new(&self.body[..], 4096).read_to_string(&mut text).context("the page is not brotli")?;
        Ok(text)
    }
}

/// Where an answer leads.
fn led_to(response: &Response<Body>) -> anyhow::Result<String> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    Ok(location.with_context(|| format!("{} instead of a redirect", response.status()))?.to_owned())
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into()
}

/// The paths on this server that a browser fetches for a page: styles, scripts and what is preloaded.
fn loaded(html: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for tag in html.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or_default()) {
        let address = if tag.starts_with("script") {
            attribute(tag, "src")
        } else if tag.starts_with("link") {
            let loads =
                attribute(tag, "rel").is_some_and(|rel| matches!(rel, "stylesheet" | "modulepreload" | "preload"));
            attribute(tag, "href").filter(|_| loads)
        } else {
            None
        };
        paths.extend(
            address.filter(|address| address.starts_with('/') && !address.starts_with("//")).map(str::to_owned),
        );
    }
    paths
}

/// The value of a quoted attribute.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// A server on free ports with a database of its own, stopped when dropped.
pub struct Running {
    /// Where it is.
    pub origin: String,
    /// Where its sandbox is, if it has one.
    stripe: String,
    // Dropped in this order: first the server, then its folder.
    _server: Group,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(server: &Server) -> anyhow::Result<Self> {
        Self::start_with(server, &[])
    }

    /// The same, with these variables besides.
    pub fn start_with(server: &Server, environment: &[(&str, OsString)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let log = folder.path().join("log");
        let output = fs::File::create(&log).context("no log")?;
        let (port, sandbox_port) = (free_port()?, free_port()?);
        let origin = format!("http://127.0.0.1:{port}");

        let mut command = Command::new(&server.binary);
        // Away from the checkout, whose `.env` and data are none of ours.
        command.arg("serve").current_dir(folder.path()).stdout(output.try_clone()?).stderr(output);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("STRIPE_") || name.starts_with("TOLLGATE_")) {
                command.env_remove(name);
            }
        }
        command
            .env("APP_ENV", "development")
            .env("APP_URL", &origin)
            .env("BIND_ADDR", format!("127.0.0.1:{port}"))
            .env("DATABASE_URL", format!("sqlite:{}", folder.path().join("report.db").display()));
        if let Some(site) = &server.site {
            command.env("TOLLGATE_SITE", site);
        }
        if server.sandbox {
            command.env("SANDBOX_ADDR", format!("127.0.0.1:{sandbox_port}"));
        } else {
            command
                .env("STRIPE_SECRET_KEY", "sk_test_opens_nothing")
                .env("STRIPE_WEBHOOK_SECRET", "whsec_opens_nothing")
                .env("STRIPE_API_BASE", format!("http://127.0.0.1:{sandbox_port}"))
                .env("STRIPE_PRO_PRICE_ID", "price_pro_of_nobody")
                .env("STRIPE_ENTERPRISE_PRICE_ID", "price_enterprise_of_nobody");
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));

        let mut group = Group::spawn(&mut command)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        let agent = agent();
        while !agent.get(format!("{origin}/healthz")).call().is_ok_and(|answer| answer.status() == 200) {
            if interrupted() {
                bail!("interrupted");
            }
            if group.ended()?.is_some() || Instant::now() > deadline {
                bail!("the server does not come up:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { origin, stripe: format!("http://127.0.0.1:{sandbox_port}/v1"), _server: group, _folder: folder })
    }

    /// Ends every subscription at the sandbox.
    pub fn end_subscriptions(&self) -> anyhow::Result<()> {
        let (agent, authorization) = (agent(), "Bearer sk_test_sandbox");
        let list = agent.get(format!("{}/subscriptions", self.stripe)).header(AUTHORIZATION, authorization).call()?;
        let list: serde_json::Value = serde_json::from_reader(list.into_body().into_reader())?;
        for subscription in list["data"].as_array().into_iter().flatten() {
            let address = format!("{}/subscriptions/{}", self.stripe, subscription["id"].as_str().unwrap_or_default());
            let ended = agent.delete(&address).header(AUTHORIZATION, authorization).call()?;
            anyhow::ensure!(ended.status() == 200, "DELETE {address} answers {}", ended.status());
        }
        Ok(())
    }

    /// What the API answers to an API key.
    pub fn status_for(&self, key: &str) -> anyhow::Result<u16> {
        let call = agent().get(format!("{}/api/v1/usage", self.origin));
        Ok(call.header(AUTHORIZATION, format!("Bearer {key}")).call()?.status().as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_loads_is_found_once() {
        let html = r#"<!DOCTYPE html><head><link rel="stylesheet" href="/pkg/style-1.css"><link rel="icon" href="/favicon.svg">
            <link rel="modulepreload" href="/pkg/tollgate-1.js" crossorigin="n"/><link rel="preload" href="/pkg/tollgate-1_bg.wasm" as="fetch">
            <script type="module" nonce="n">import("/pkg/tollgate-1.js")</script><script src="/pkg/tollgate-1.js"></script>
            <script src="https://elsewhere.example/x.js"></script></head>"#;
        let expected = ["/pkg/style-1.css", "/pkg/tollgate-1.js", "/pkg/tollgate-1_bg.wasm"];
        assert!(loaded(html).iter().map(String::as_str).eq(expected));
    }

    #[test]
    fn a_script_without_an_island_is_a_fault() {
        let weight = Weight { page: "/pricing".to_owned(), js: 1, ..Weight::default() };
        assert!(weight.fault().is_some());
        assert!(Weight { has_island: true, ..weight }.fault().is_none());
    }

    #[test]
    fn the_budget_counts_everything() {
        let heavy =
            Weight { html: 30_000, css: 20_000, js: 20_000, wasm: 20_001, has_island: true, ..Weight::default() };
        assert!(heavy.fault().is_some());
        assert!(Weight { wasm: 20_000, ..heavy }.fault().is_none());
    }
}
