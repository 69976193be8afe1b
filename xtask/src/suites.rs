//! `test`: the suites, one after the other, each against the same PostgreSQL, and a closing table.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::postgres::Cluster;
use crate::process::{self, interrupted, step};
use crate::project::Project;
use crate::{api, e2e, site};

/// A set of tests that is run by one command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// Tests inside the crates: rules and properties.
    Unit,
    /// Examples in the documentation.
    Doc,
    /// Tests beside the crates: the store on both engines, HTTP, the sandbox.
    Http,
    /// The API against its own description, by schemathesis.
    Api,
    /// Playwright.
    EndToEnd,
}

impl Suite {
    const fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit and property",
            Self::Doc => "documentation",
            Self::Http => "store and HTTP",
            Self::Api => "API description",
            Self::EndToEnd => "browser",
        }
    }

    fn run(self, project: &Project, postgres: &Cluster, rest: &[String]) -> anyhow::Result<()> {
        let targets: &[&str] = match self {
            Self::Unit => &["--lib", "--bins"],
            Self::Doc => &["--doc"],
            Self::Http => &["--test", "*"],
            Self::Api => return api::run(project, postgres, rest),
            Self::EndToEnd => return e2e::run(project, postgres, rest),
        };
        step(&format!("Testing: {}", self.name()));
        let mut command = project.cargo();
        command.args(["test", "--workspace", "--features", "sandbox", "--no-fail-fast"]).args(targets);
        if self != Self::Doc && !rest.is_empty() {
            command.arg("--").args(rest);
        }
        process::run(command.env("TOLLGATE_TEST_POSTGRES", postgres.url()).env("TOLLGATE_SITE", project.site()))
    }
}

/// Runs the suites and fails after the last when one of them failed.
pub fn run(project: &Project, suites: &[Suite], rest: &[String]) -> anyhow::Result<()> {
    let postgres = Cluster::start()?;
    if suites.contains(&Suite::Http) {
        site::build(project)?;
    }
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
        bail!("Tests failed.");
    }
    Ok(())
}

fn print_table(outcomes: &[(&str, bool, Duration)]) {
    println!("\n{:<20} {:<8} {:>8}", "suite", "result", "seconds");
    for (name, passed, took) in outcomes {
        println!("{name:<20} {:<8} {:>8.1}", if *passed { "passed" } else { "FAILED" }, took.as_secs_f32());
    }
}
