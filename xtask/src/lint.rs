//! `lint`: the static checks, fastest first.

use std::env;
use std::process::Command;

use anyhow::{Context, bail};

use crate::process::{self, step};
use crate::project::Project;
use crate::{boundaries, imports, npm, pins, references, wasm, words};

/// A check that can be run on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Check {
    /// rustfmt.
    Format,
    /// Dependencies between the files of a crate.
    Imports,
    /// The engine's dependencies, and access to its tables.
    Boundaries,
    /// Files and tests that the documentation names as proof.
    References,
    /// Words to avoid.
    Words,
    /// Spelling, by typos.
    Spelling,
    /// The documentation's prose, by textlint.
    Prose,
    /// Images and actions, which are pinned.
    Pins,
    /// Clippy, for the server and for the browser.
    Clippy,
    /// Licenses and advisories of dependencies.
    Deny,
}

const ALL: [Check; 10] = [
    Check::Format,
    Check::Imports,
    Check::Boundaries,
    Check::Pins,
    Check::References,
    Check::Words,
    Check::Spelling,
    Check::Prose,
    Check::Deny,
    Check::Clippy,
];

/// Runs the given checks, or all of them, and fails at the end if one of them failed.
pub fn lint(project: &Project, checks: &[Check]) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for check in if checks.is_empty() { &ALL } else { checks } {
        if let Err(error) = check.run(project) {
            if process::interrupted() {
                return Err(error);
            }
            eprintln!("\n{error:#}\n");
            failed.push(format!("{check:?}").to_lowercase());
        }
    }
    if !failed.is_empty() {
        bail!("lint failed: {}", failed.join(", "));
    }
    Ok(())
}

impl Check {
    fn run(self, project: &Project) -> anyhow::Result<()> {
        match self {
            Self::Format => format(project),
            Self::Imports => {
                step("Checking the import graph");
                imports::check(&project.root)
            }
            Self::Boundaries => {
                step("Checking the engine's dependencies and tables");
                boundaries::check(project)
            }
            Self::Pins => {
                step("Checking that images and actions are pinned");
                pins::check(&project.root, &project.files()?)
            }
            Self::References => {
                step("Checking the files and tests that the documentation names");
                references::check(&project.root, &project.files()?)
            }
            Self::Words => {
                step("Checking for words to avoid");
                words::check(&project.root, &project.files()?)
            }
            Self::Spelling => {
                step("Checking the spelling");
                process::run(tool("TYPOS")?.current_dir(&project.root))
            }
            Self::Prose => prose(project),
            Self::Clippy => clippy(project),
            Self::Deny => deny(project),
        }
    }
}

fn format(project: &Project) -> anyhow::Result<()> {
    step("Checking the formatting");
    process::run(project.cargo_plugin("fmt").args(["--all", "--", "--check"]))
}

fn clippy(project: &Project) -> anyhow::Result<()> {
    let deny_warnings = ["--", "-D", "warnings"];
    let clippy = || {
        let mut command = project.cargo_plugin("clippy");
        command.env("CARGO_TARGET_DIR", &project.target);
        command
    };
    step("Running clippy for the server");
    let server = ["--workspace", "--all-targets", "--features", "sandbox"];
    process::run(clippy().args(server).args(deny_warnings))?;
    step("Running clippy for the browser");
    process::run(clippy().args(wasm::SELECTION).args(deny_warnings))
}

fn prose(project: &Project) -> anyhow::Result<()> {
    let files = project.files()?.into_iter().filter(|file| file.ends_with(".md"));
    let files: Vec<_> = files.map(|file| project.root.join(file)).collect();
    if files.is_empty() {
        return Ok(());
    }
    // Rules are looked up from the current folder.
    let folder = project.root.join("xtask/prose");
    npm::install(&folder, "textlint")?;
    step("Checking the documentation's prose");
    let textlint = folder.join("node_modules/.bin/textlint");
    process::run(Command::new(textlint).args(["--config", "textlint.json"]).args(files).current_dir(&folder))
}

/// Checks dependencies. If the advisory database cannot be downloaded, only the rest is checked.
fn deny(project: &Project) -> anyhow::Result<()> {
    step("Checking dependencies: licenses, sources and bans");
    process::run(cargo_deny(project)?.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    step("Checking dependencies: licenses of npm packages");
    npm::check_licenses(project)?;
    step("Checking dependencies: advisories");
    let fetched = process::run(cargo_deny(project)?.args(["--log-level", "off", "fetch", "db"]));
    if fetched.is_err() && !process::interrupted() {
        eprintln!("           skipped: the advisory database cannot be downloaded");
        return Ok(());
    }
    process::run(cargo_deny(project)?.args(["check", "advisories"]))
}

/// Returns a command for cargo-deny, run in the checkout.
pub fn cargo_deny(project: &Project) -> anyhow::Result<Command> {
    let mut command = tool("CARGO_DENY")?;
    command.current_dir(&project.root);
    Ok(command)
}

/// Returns a command for a program that the setup installed.
fn tool(variable: &str) -> anyhow::Result<Command> {
    Ok(Command::new(
        env::var_os(variable)
            .with_context(|| format!("{variable} is not set; `make lint` or `make audit` installs it"))?,
    ))
}
