//! `lint`: formatting, clippy on the server's and on the browser's side, dependencies.

use std::process::{Command, Stdio};

use anyhow::bail;

use crate::process::{self, step};
use crate::project::Project;
use crate::wasm;

/// Runs all checks, and fails after the last when one of them failed.
pub fn lint(project: &Project) -> anyhow::Result<()> {
    let deny_warnings = ["--", "-D", "warnings"];
    let mut checks = vec![
        ("Checking the formatting", {
            let mut fmt = project.cargo_plugin("fmt");
            fmt.args(["--all", "--", "--check"]);
            fmt
        }),
        ("Clippy on the server side", {
            let mut clippy = project.cargo_plugin("clippy");
            clippy.args(["--workspace", "--all-targets", "--features", "sandbox"]).args(deny_warnings);
            clippy
        }),
        ("Clippy on the browser side", {
            let mut clippy = project.cargo_plugin("clippy");
            clippy.args(wasm::SELECTION).args(deny_warnings);
            clippy
        }),
    ];
    let mut deny = project.cargo();
    deny.arg("deny");
    if has_cargo_deny(&deny) {
        deny.arg("check");
        checks.push(("Checking licences and advisories of dependencies", deny));
    } else {
        eprintln!("           skipped: cargo-deny is not installed (cargo install cargo-deny)");
    }

    let mut failed = Vec::new();
    for (what, mut command) in checks {
        step(what);
        if let Err(error) = process::run(command.env("CARGO_TARGET_DIR", &project.target)) {
            if process::interrupted() {
                return Err(error);
            }
            failed.push(format!("{error:#}"));
        }
    }
    if !failed.is_empty() {
        bail!("lint: {}", failed.join("; "));
    }
    Ok(())
}

fn has_cargo_deny(deny: &Command) -> bool {
    let mut probe = Command::new(deny.get_program());
    probe.args(["deny", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
