//! `run`: the app and the sandbox, on this machine, from this checkout.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::process::{self, step};
use crate::project::Project;
use crate::site;

/// Builds everything and becomes the server, so that signals go to it alone.
pub fn run(project: &Project) -> anyhow::Result<()> {
    let site = site::build(project)?;
    let server = build_server(project)?;
    step("Starting the app and the sandbox");
    let error = Command::new(server).arg("serve").current_dir(&project.root).env("TOLLGATE_SITE", site).exec();
    Err(error).context("cannot start the server")
}

/// Builds the development binary, which has the sandbox inside.
///
/// The whole workspace is selected, although one binary is wanted: cargo then
/// settles on the same features as for the tests, and builds every dependency once.
pub fn build_server(project: &Project) -> anyhow::Result<PathBuf> {
    let binary = project.target.join("debug/tollgate");
    step(if binary.exists() {
        "Building the server"
    } else {
        "Building the server (the first time takes 5 to 10 minutes)"
    });
    process::run(project.cargo().args(["build", "--workspace", "--bin", "tollgate", "--features", "sandbox"]))?;
    Ok(binary)
}
