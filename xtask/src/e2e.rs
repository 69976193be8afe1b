//! The browser tests: Playwright against the development binary.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::postgres::Cluster;
use crate::process::{self, step};
use crate::project::Project;
use crate::{npm, run};

/// Builds the site and the binary, installs Playwright, and runs it with the arguments in `rest`.
pub fn run(project: &Project, postgres: &Cluster, rest: &[String]) -> anyhow::Result<()> {
    let browser =
        env::var_os("CHROMIUM_PATH").context("CHROMIUM_PATH is not set; `make e2e` finds or installs Chromium")?;
    if !Path::new(&browser).is_file() {
        bail!("CHROMIUM_PATH is not a file: {}", browser.display());
    }
    let (site, binary) = run::build(project)?;
    let folder = project.root.join("end2end");
    npm::install(&folder, "Playwright")?;
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
