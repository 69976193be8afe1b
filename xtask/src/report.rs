//! `report`: the bytes that the first visit to each page transfers, checked against a budget.
//!
//! The sizes are those of a real server's responses to a client that accepts brotli. Two rules are
//! enforced: a page without an island loads no script and no wasm, and a page with islands stays
//! within [`BUDGET`], all files included.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, bail};

use crate::process::step;
use crate::server::Server;
use crate::visitor::Visitor;

/// The limit for a page with islands, in bytes.
const BUDGET: usize = 90_000;

const PUBLIC: [&str; 5] = ["/", "/pricing", "/signup", "/login", "/api-reference"];
const SIGNED_IN: [&str; 4] = ["/dashboard", "/billing", "/billing/upgrade", "/account"];
/// Pages that need a paid plan.
const GATED: [&str; 4] =
    ["/dashboard/analytics", "/dashboard/api-keys", "/dashboard/custom-domain", "/dashboard/support"];
/// The catalog as shipped.
const PLANS: &str = include_str!("../../plans.toml");

/// Starts the server, measures its pages, prints the table, and fails if a rule is broken.
pub fn report(server: &Server) -> anyhow::Result<()> {
    step("Measuring the pages");
    let running = server.start(&[])?;
    let anonymous = Visitor::of(&running);
    let mut weights = weigh_all(&anonymous, &PUBLIC)?;
    weights.extend(weigh_all(&sign_up(&anonymous)?, &SIGNED_IN)?);
    weights.extend(gated(server)?);
    print_table(&weights);
    let violations: Vec<_> = weights.iter().filter_map(Weight::violation).collect();
    if !violations.is_empty() {
        bail!("{}", violations.join("\n"));
    }
    Ok(())
}

fn print_table(weights: &[Weight]) {
    println!("\nFirst load over the wire, in bytes (brotli):\n");
    println!("{:<24} {:>8} {:>8} {:>8} {:>8} {:>8}", "page", "html", "css", "js", "wasm", "total");
    for weight in weights {
        let Weight { page, html, css, js, wasm, .. } = weight;
        println!("{page:<24} {html:>8} {css:>8} {js:>8} {wasm:>8} {:>8}", weight.total());
    }
}

fn sign_up<'a>(visitor: &Visitor<'a>) -> anyhow::Result<Visitor<'a>> {
    visitor.sign_up("report@example.com")
}

/// Measures the pages that need a plan. Without Stripe no plan can be bought, so each plan in turn is
/// made free.
fn gated(server: &Server) -> anyhow::Result<Vec<Weight>> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let file = folder.path().join("plans.toml");
    let mut weights: Vec<Weight> = Vec::new();
    for index in 1..plans()?.len() {
        fs::write(&file, with_free_plan(index)?).context("cannot write plans.toml")?;
        let running = server.start(&[("TOLLGATE_PLANS", file.clone().into_os_string())])?;
        let customer = sign_up(&Visitor::of(&running))?;
        for page in GATED {
            if weights.iter().all(|weight| weight.page != page) && customer.request(page)?.status() == 200 {
                weights.push(weigh(&customer, page)?);
            }
        }
    }
    match GATED.iter().find(|page| weights.iter().all(|weight| weight.page != **page)) {
        Some(page) => bail!("no plan includes {page}, so it cannot be measured"),
        None => Ok(weights),
    }
}

fn plans() -> anyhow::Result<Vec<toml::Value>> {
    let file: toml::Table = PLANS.parse().context("plans.toml")?;
    Ok(file.get("plan").and_then(toml::Value::as_array).context("plans.toml has no plans")?.clone())
}

/// Returns `plans.toml` with the plan at `index` as the free one, below the remaining paid plans.
fn with_free_plan(index: usize) -> anyhow::Result<String> {
    let mut file: toml::Table = PLANS.parse().context("plans.toml")?;
    let mut plans = plans()?;
    let mut free = plans.remove(index);
    // The former free plan has no price, so it could only be the lowest.
    plans.remove(0);
    free.as_table_mut().context("a plan is a table")?.remove("price");
    plans.insert(0, free);
    file.insert("plan".to_owned(), toml::Value::Array(plans));
    Ok(file.to_string())
}

/// The size of a page's transfer, in bytes by type of file.
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
    fn total(&self) -> usize {
        self.html + self.css + self.js + self.wasm
    }

    fn violation(&self) -> Option<String> {
        let total = self.total();
        if !self.has_island && self.js + self.wasm > 0 {
            Some(format!("{} has no island, but loads a script", self.page))
        } else if self.has_island && total > BUDGET {
            Some(format!("{} transfers {total} bytes, {} over budget", self.page, total - BUDGET))
        } else {
            None
        }
    }
}

fn weigh_all(visitor: &Visitor<'_>, pages: &[&str]) -> anyhow::Result<Vec<Weight>> {
    pages.iter().map(|page| weigh(visitor, page)).collect()
}

fn weigh(visitor: &Visitor<'_>, page: &str) -> anyhow::Result<Weight> {
    let response = visitor.get(page)?;
    let html = response.text()?;
    let mut weight = Weight {
        page: page.to_owned(),
        html: response.body.len(),
        has_island: html.contains("<leptos-island"),
        ..Weight::default()
    };
    for path in loaded(&html) {
        let size = visitor.get(&path)?.body.len();
        match path.split('?').next().and_then(|path| path.rsplit('.').next()) {
            Some("css") => weight.css += size,
            Some("js") => weight.js += size,
            Some("wasm") => weight.wasm += size,
            _ => weight.html += size,
        }
    }
    Ok(weight)
}

/// Returns the paths on this server that a browser fetches for a page: styles, scripts and preloads.
fn loaded(html: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for tag in html.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or_default()) {
        let url = if tag.starts_with("script") {
            attribute(tag, "src")
        } else if tag.starts_with("link") {
            let loads =
                attribute(tag, "rel").is_some_and(|rel| matches!(rel, "stylesheet" | "modulepreload" | "preload"));
            attribute(tag, "href").filter(|_| loads)
        } else {
            None
        };
        paths.extend(url.filter(|url| url.starts_with('/') && !url.starts_with("//")).map(str::to_owned));
    }
    paths
}

/// Returns the value of a quoted attribute.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_a_page_loads_is_found_once() {
        let html = r#"<!DOCTYPE html><head><link rel="stylesheet" href="/pkg/style-1.css"><link rel="icon" href="/favicon.svg">
            <link rel="modulepreload" href="/pkg/tollgate-1.js" crossorigin="n"/><link rel="preload" href="/pkg/tollgate-1_bg.wasm" as="fetch">
            <script type="module" nonce="n">import("/pkg/tollgate-1.js")</script><script src="/pkg/tollgate-1.js"></script>
            <script src="https://elsewhere.example/x.js"></script></head>"#;
        let expected = ["/pkg/style-1.css", "/pkg/tollgate-1.js", "/pkg/tollgate-1_bg.wasm"];
        assert!(loaded(html).iter().map(String::as_str).eq(expected));
    }

    #[test]
    fn a_script_without_an_island_is_a_violation() {
        let weight = Weight { page: "/pricing".to_owned(), js: 1, ..Weight::default() };
        assert!(weight.violation().is_some());
        assert!(Weight { has_island: true, ..weight }.violation().is_none());
    }

    #[test]
    fn the_budget_counts_everything() {
        let heavy =
            Weight { html: 30_000, css: 20_000, js: 20_000, wasm: 20_001, has_island: true, ..Weight::default() };
        assert!(heavy.violation().is_some());
        assert!(Weight { wasm: 20_000, ..heavy }.violation().is_none());
    }
}
