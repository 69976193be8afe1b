//! The check: every crate of the workspace, read from its files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::crates::Crate;
use super::scope;

/// Checks all crates and reports every violation.
pub fn check(workspace: &Path) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for root in crate_roots(workspace)? {
        let read = |file: &Path| fs::read_to_string(workspace.join(file)).ok();
        let violations = scope::graph(&Crate::load(&root, &read)?).violations();
        found.extend(violations.into_iter().map(|violation| format!("{}: {violation}", root.display())));
    }
    if !found.is_empty() {
        bail!("the import graph has {} violations:\n{}", found.len(), found.join("\n"));
    }
    Ok(())
}

/// Returns the root files of all libraries, binaries, tests and examples, relative to the workspace.
fn crate_roots(workspace: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    for member in members(workspace)? {
        roots.extend(["src/lib.rs", "src/main.rs"].map(|root| member.join(root)));
        for folder in ["src/bin", "tests", "examples", "benches"] {
            roots.extend(roots_below(workspace, &member.join(folder))?);
        }
    }
    roots.retain(|root| workspace.join(root).is_file());
    Ok(roots)
}

/// Returns the folders of the workspace's packages, starting with the root package.
fn members(workspace: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let manifest = fs::read_to_string(workspace.join("Cargo.toml")).context("Cargo.toml")?;
    let manifest: toml::Table = manifest.parse().context("Cargo.toml")?;
    let members = manifest["workspace"]["members"].as_array().context("Cargo.toml has no workspace members")?;
    let folders = members.iter().filter_map(|member| member.as_str()).map(PathBuf::from);
    Ok(std::iter::once(PathBuf::new()).chain(folders).collect())
}

/// Returns `NAME.rs` and `NAME/main.rs` of a folder.
fn roots_below(workspace: &Path, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(workspace.join(folder)) else { return Ok(Vec::new()) };
    let mut roots = Vec::new();
    for entry in entries {
        let name = PathBuf::from(entry.with_context(|| format!("cannot list {}", folder.display()))?.file_name());
        let is_file = name.extension().is_some_and(|extension| extension == "rs");
        roots.push(if is_file { folder.join(name) } else { folder.join(name).join("main.rs") });
    }
    roots.sort();
    Ok(roots)
}
