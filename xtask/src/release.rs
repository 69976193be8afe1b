//! `build`: one binary to deploy, with the site and the migrations embedded and without the sandbox.

use crate::process::{self, step};
use crate::project::Project;
use crate::server::Server;
use crate::{report, site};

/// Builds `release/tollgate` in the target folder, and measures its pages.
pub fn build(project: &Project) -> anyhow::Result<()> {
    let site = site::build(project)?;
    let binary = project.target.join("release/tollgate");
    step(if binary.exists() {
        "Building the release binary"
    } else {
        "Building the release binary (the first build takes 10 to 20 minutes)"
    });
    process::run(
        project
            .cargo()
            .args(["build", "--release", "--package", "tollgate", "--no-default-features", "--features", "ssr,embed"])
            .env("TOLLGATE_SITE", site),
    )?;
    // Without the site folder, so that the embedded site is measured.
    report::report(&Server { binary: binary.clone(), site: None, sandbox: false })?;
    println!("\n{}", binary.display());
    Ok(())
}
