//! Packages from npm, pinned by a lock file.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::assets::{fingerprint, write};
use crate::process::{self, step};

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
