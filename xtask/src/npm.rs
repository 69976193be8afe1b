//! Packages from npm, pinned by a lock file. All are tools for tests and checks: none of them is shipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::assets::{fingerprint, write};
use crate::process::{self, step};
use crate::project::Project;

/// Runs `npm ci` in a folder, unless its lock file is unchanged since the last installation.
pub fn install(folder: &Path, name: &str) -> anyhow::Result<()> {
    let lock = folder.join("package-lock.json");
    let lock = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = folder.join("node_modules/.lock-fingerprint");
    let current = fingerprint([&lock[..]]);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == current) {
        return Ok(());
    }
    step(&format!("Installing {name} (npm ci, up to a minute)"));
    process::run(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(folder)
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
    )?;
    write(&stamp, current.as_bytes())
}

/// Licenses of tools, besides those that `deny.toml` allows for what is shipped.
const ALLOWED_FOR_TOOLS: [&str; 5] = ["BlueOak-1.0.0", "CC-BY-3.0", "MPL-2.0", "Python-2.0", "WTFPL"];
/// Packages whose lock file entry has no license, and the one that they have.
const UNDECLARED: [(&str, &str); 1] = [("node_modules/format", "MIT")];

/// Returns the lock files of the checkout.
pub fn lock_files(project: &Project) -> anyhow::Result<Vec<String>> {
    Ok(project.files()?.into_iter().filter(|file| file.ends_with("package-lock.json")).collect())
}

/// Checks the license of every package in every lock file.
pub fn check_licenses(project: &Project) -> anyhow::Result<()> {
    let read = |file: &str| fs::read_to_string(project.root.join(file)).with_context(|| format!("cannot read {file}"));
    let deny: Deny = toml::from_str(&read("deny.toml")?).context("deny.toml")?;
    let allowed: Vec<&str> = deny.licenses.allow.iter().map(String::as_str).chain(ALLOWED_FOR_TOOLS).collect();
    let mut found = String::new();
    for lock in lock_files(project)? {
        let parsed: Lock = serde_json::from_str(&read(&lock)?).with_context(|| lock.clone())?;
        for (name, license) in parsed.not_allowed(&allowed) {
            found += &format!("\n{lock}: {name}: {license}");
        }
    }
    if !found.is_empty() {
        bail!("licenses that are not allowed:{found}");
    }
    Ok(())
}

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Lock {
    packages: BTreeMap<String, Package>,
}

#[derive(Deserialize)]
struct Package {
    license: Option<String>,
}

impl Lock {
    /// Returns the packages whose license is not one of these. The one without a name is the project itself.
    fn not_allowed(&self, allowed: &[&str]) -> Vec<(&str, &str)> {
        let packages = self.packages.iter().filter(|(name, _)| !name.is_empty()).map(|(name, package)| {
            let known = UNDECLARED.iter().find(|(other, _)| other == name).map(|(_, license)| *license);
            (name.as_str(), package.license.as_deref().or(known).unwrap_or("unknown"))
        });
        packages.filter(|(_, license)| !is_allowed(license, allowed)).collect()
    }
}

/// Returns whether an SPDX expression can be met: one alternative, of which every part is allowed.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.trim_matches(['(', ')']);
    expression.split(" OR ").any(|all| all.split(" AND ").all(|license| allowed.contains(&license)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_needs_a_license_that_is_allowed() {
        let lock = r#"{"packages": {
            "": {"name": "own"},
            "node_modules/a": {"license": "MIT"},
            "node_modules/b": {"license": "(GPL-3.0-only OR MIT)"},
            "node_modules/c": {"license": "MIT AND GPL-3.0-only"},
            "node_modules/d": {},
            "node_modules/format": {}
        }}"#;
        let lock: Lock = serde_json::from_str(lock).expect("a lock file");
        let expected = [("node_modules/c", "MIT AND GPL-3.0-only"), ("node_modules/d", "unknown")];
        assert_eq!(lock.not_allowed(&["MIT"]), expected);
    }
}
