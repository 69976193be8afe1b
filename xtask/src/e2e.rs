//! The browser tests: Playwright over the development binary.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, bail};

use crate::assets::{fingerprint, write};
use crate::postgres::Cluster;
use crate::process::{self, step};
use crate::project::Project;
use crate::{run, site};

/// Builds what is tested, installs what tests it, and runs Playwright with `rest` as its arguments.
pub fn run(project: &Project, postgres: &Cluster, rest: &[String]) -> anyhow::Result<()> {
    let browser =
        env::var_os("CHROMIUM_PATH").context("CHROMIUM_PATH is not set; `make e2e` finds or installs Chromium")?;
    if !Path::new(&browser).is_file() {
        bail!("CHROMIUM_PATH names no file: {}", browser.display());
    }
    let site = site::build(project)?;
    let binary = run::build_server(project)?;
    let folder = project.root.join("end2end");
    install(&folder)?;
    step("Running the browser tests");
    process::run(
        Command::new(folder.join("node_modules/.bin/playwright"))
            .arg("test")
            .args(rest)
            .current_dir(&folder)
            .env("CHROMIUM_PATH", browser)
            .env("TOLLGATE_BIN", binary)
            .env("TOLLGATE_SITE", site)
            .env("TOLLGATE_TEST_POSTGRES", postgres.url()),
    )
}

/// `npm ci`, when the lock file is another than at the last time.
fn install(folder: &Path) -> anyhow::Result<()> {
    let lock = fs::read(folder.join("package-lock.json")).context("end2end/package-lock.json is missing")?;
    let stamp = folder.join("node_modules/.lock-fingerprint");
    let wanted = fingerprint([&lock[..]]);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step("Installing Playwright (npm ci, half a minute)");
    process::run(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(folder)
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
    )?;
    write(&stamp, wanted.as_bytes())
}
