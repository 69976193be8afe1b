//! The engine's boundaries: its dependencies, and access to its tables.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, bail, ensure};

use crate::project::Project;

/// Crates that the engine must not depend on, because a host has its own pages and sessions.
const FORBIDDEN: [&str; 6] = ["app", "axum-login", "leptos", "leptos_axum", "server", "tower-sessions"];
/// Folders whose code must not use the engine's tables directly.
const HOSTS: [&str; 4] = ["app/src/", "examples/embed/src/", "server/src/", "src/"];
const TABLE_KEYWORDS: [&str; 4] = ["FROM", "INTO", "JOIN", "UPDATE"];

/// Checks the dependencies and the tables.
pub fn check(project: &Project) -> anyhow::Result<()> {
    dependencies(project, "axum", &FORBIDDEN)?;
    dependencies(project, "", &[FORBIDDEN.as_slice(), &["axum", "axum-core"]].concat())?;
    tables(project)
}

/// Checks that the engine with these features depends on none of these crates.
fn dependencies(project: &Project, features: &str, forbidden: &[&str]) -> anyhow::Result<()> {
    let mut tree = project.cargo();
    tree.args(["tree", "--package=engine", "--edges=normal", "--prefix=none", "--format={p}", "--features", features]);
    let output = tree.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).context("cargo tree")?;
    let found: BTreeSet<_> =
        tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| forbidden.contains(name)).collect();
    if !found.is_empty() {
        bail!("the engine with the features [{features}] depends on {found:?}");
    }
    Ok(())
}

/// Checks that no host's SQL refers to a table of the engine.
fn tables(project: &Project) -> anyhow::Result<()> {
    let files = project.files()?;
    let read = |file: &str| fs::read_to_string(project.root.join(file)).with_context(|| format!("cannot read {file}"));
    let mut tables = BTreeSet::new();
    for file in files.iter().filter(|file| file.starts_with("migrations/engine/")) {
        tables.extend(created(&read(file)?));
    }
    ensure!(!tables.is_empty(), "migrations/engine creates no tables");
    let mut found = String::new();
    for file in files.iter().filter(|file| HOSTS.iter().any(|host| file.starts_with(host)) && file.ends_with(".rs")) {
        for table in used(&read(file)?).intersection(&tables) {
            found += &format!("\n{file}: {table}");
        }
    }
    if !found.is_empty() {
        bail!("SQL outside the engine uses the engine's tables:{found}");
    }
    Ok(())
}

/// Returns the tables that a migration creates.
fn created(sql: &str) -> BTreeSet<String> {
    let names = sql.split("CREATE TABLE ").skip(1).filter_map(|rest| rest.split([' ', '(']).next());
    names.map(str::to_owned).collect()
}

/// Returns the words that follow a keyword that precedes a table.
fn used(code: &str) -> BTreeSet<String> {
    let words: Vec<&str> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let places = words.windows(2).filter(|pair| TABLE_KEYWORDS.contains(&pair[0]));
    places.map(|pair| pair[1].to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_and_used_tables_are_found() {
        let tables = created("-- Text\nCREATE TABLE account (\n id TEXT);\nCREATE TABLE invoice(id TEXT);");
        assert_eq!(tables, BTreeSet::from(["account".to_owned(), "invoice".to_owned()]));
        let code = "SELECT a FROM account JOIN invoice ON 1; INSERT INTO app_user; UPDATE session SET x; from account";
        assert_eq!(used(code), BTreeSet::from(["account", "app_user", "invoice", "session"].map(str::to_owned)));
    }
}
