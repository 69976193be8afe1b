//! `build`: one file to deploy, with pages, style and migrations inside and no sandbox.

use crate::process::{self, step};
use crate::project::Project;
use crate::{report, site};

/// Builds `release/tollgate` in the target folder and weighs its pages.
pub fn build(project: &Project) -> anyhow::Result<()> {
    let site = site::build(project)?;
    let binary = project.target.join("release/tollgate");
    step(if binary.exists() {
        "Building the release binary"
    } else {
        "Building the release binary (the first time takes 10 to 20 minutes)"
    });
    process::run(
        project
            .cargo()
            .args(["build", "--release", "--package", "tollgate", "--no-default-features", "--features", "ssr,embed"])
            .env("TOLLGATE_SITE", site),
    )?;
    // What is inside counts: the binary is weighed without the folder.
    report::report(&report::Server { binary: binary.clone(), site: None, sandbox: false })?;
    println!("\n{}", binary.display());
    Ok(())
}
