//! `audit`: known vulnerabilities of dependencies, by cargo-deny and npm.
//!
//! Both look them up online. Unlike `lint`, which also has to work without a connection, it fails if they
//! cannot be looked up.

use std::process::Command;

use anyhow::bail;

use crate::process::{self, step};
use crate::project::Project;
use crate::{lint, npm};

/// Checks the crates and the npm packages, and fails at the end if one of the checks failed.
pub fn run(project: &Project) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    step("Checking crates for advisories");
    if let Err(error) = process::run(lint::cargo_deny(project)?.args(["check", "advisories"])) {
        eprintln!("{error:#}");
        failed.push("Cargo.lock".to_owned());
    }
    for lock in npm::lock_files(project)? {
        step(&format!("Checking {lock} for advisories"));
        let folder = project.root.join(&lock);
        let mut audit = Command::new("npm");
        audit.args(["audit", "--package-lock-only"]).current_dir(folder.parent().unwrap_or(&project.root));
        if let Err(error) = process::run(&mut audit) {
            eprintln!("{error:#}");
            failed.push(lock);
        }
    }
    if !failed.is_empty() {
        bail!("audit failed: {}", failed.join(", "));
    }
    Ok(())
}
