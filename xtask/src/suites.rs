//! `test`: runs the suites one after the other, with one PostgreSQL for all, and prints a table.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::postgres::{Cluster, Durability};
use crate::process::{self, interrupted, step};
use crate::project::Project;
use crate::{api, e2e, guides, site};

/// A set of tests that one command runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// Unit and property tests inside the crates.
    Unit,
    /// Examples in the documentation.
    Doc,
    /// Integration tests: the store on both databases, HTTP, the sandbox.
    Http,
    /// The guides, whose steps are executed.
    Guides,
    /// The API tested against its description, by schemathesis.
    Api,
    /// Browser tests, by Playwright.
    EndToEnd,
}

impl Suite {
    const fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit and property",
            Self::Doc => "documentation",
            Self::Http => "store and HTTP",
            Self::Guides => "guides",
            Self::Api => "API description",
            Self::EndToEnd => "browser",
        }
    }

    /// Returns the targets that `cargo test` runs for this suite; `None` if cargo does not run it.
    const fn targets(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Unit => Some(&["--lib", "--bins"]),
            Self::Doc => Some(&["--doc"]),
            Self::Http => Some(&["--test", "*"]),
            Self::Guides | Self::Api | Self::EndToEnd => None,
        }
    }

    fn run(self, project: &Project, postgres: &Cluster, rest: &[String]) -> anyhow::Result<()> {
        let Some(targets) = self.targets() else {
            return match self {
                Self::Guides => guides::run(project),
                Self::Api => api::run(project, postgres, rest),
                _ => e2e::run(project, postgres, rest),
            };
        };
        step(&format!("Testing: {}", self.name()));
        let mut command = cargo_test(project, targets);
        command.arg("--no-fail-fast");
        if self != Self::Doc && !rest.is_empty() {
            command.arg("--").args(rest);
        }
        process::run(command.env("TOLLGATE_TEST_POSTGRES", postgres.url()).env("TOLLGATE_SITE", project.site()))
    }
}

fn cargo_test(project: &Project, targets: &[&str]) -> Command {
    let mut command = project.cargo();
    command.args(["test", "--workspace", "--features", "sandbox"]).args(targets);
    command
}

/// Builds the site and the test binaries in parallel, before the first suite runs.
fn build(project: &Project, suites: &[Suite]) -> anyhow::Result<()> {
    if !suites.contains(&Suite::Http) {
        return Ok(());
    }
    let suites = suites.iter().filter(|suite| **suite != Suite::Doc);
    let targets: Vec<_> = suites.filter_map(|suite| suite.targets()).flatten().copied().collect();
    step("Building the site and the tests");
    let mut tests = cargo_test(project, &targets);
    process::both(|| site::build(project), || process::run(tests.arg("--no-run"))).map(drop)
}

/// Runs all suites, and fails at the end if one of them failed.
pub fn run(project: &Project, suites: &[Suite], rest: &[String]) -> anyhow::Result<()> {
    build(project, suites)?;
    let postgres = Cluster::start(Durability::Fast)?;
    let mut outcomes = Vec::new();
    for suite in suites {
        let started = Instant::now();
        let outcome = suite.run(project, &postgres, rest);
        if interrupted() {
            return outcome;
        }
        if let Err(error) = &outcome {
            eprintln!("\n{error:#}\n");
        }
        outcomes.push((suite.name(), outcome.is_ok(), started.elapsed()));
    }
    drop(postgres);
    print_table(&outcomes);
    if outcomes.iter().any(|(_, passed, _)| !passed) {
        bail!("tests failed");
    }
    Ok(())
}

fn print_table(outcomes: &[(&str, bool, Duration)]) {
    println!("\n{:<20} {:<8} {:>8}", "suite", "result", "seconds");
    for (name, passed, took) in outcomes {
        println!("{name:<20} {:<8} {:>8.1}", if *passed { "passed" } else { "FAILED" }, took.as_secs_f32());
    }
}
