//! `run`: builds the app with its sandbox, and starts both.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::process::{self, step};
use crate::project::Project;
use crate::site;

/// Builds everything and replaces this process with the server, so that it gets all signals.
pub fn run(project: &Project) -> anyhow::Result<()> {
    let (site, server) = build(project)?;
    step("Starting the app and the sandbox");
    let error = Command::new(server).arg("serve").current_dir(&project.root).env("TOLLGATE_SITE", site).exec();
    Err(error).context("cannot start the server")
}

/// Builds the site and the development binary in parallel, because each has phases that use a single core.
pub fn build(project: &Project) -> anyhow::Result<(PathBuf, PathBuf)> {
    process::both(|| site::build(project), || build_server(project))
}

/// Builds the development binary, which includes the sandbox.
///
/// The whole workspace is selected for a single binary, so that cargo enables the same features as for the
/// tests, and builds every dependency once.
fn build_server(project: &Project) -> anyhow::Result<PathBuf> {
    let binary = project.target.join("debug/tollgate");
    step(if binary.exists() {
        "Building the server"
    } else {
        "Building the server (the first build takes 2 to 5 minutes)"
    });
    process::run(project.cargo().args(["build", "--workspace", "--bin", "tollgate", "--features", "sandbox"]))?;
    Ok(binary)
}
