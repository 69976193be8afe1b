//! `nightly`: random inputs and random histories of events, on both databases, and three nodes under load.
//!
//! `TOLLGATE_INPUTS`, `TOLLGATE_CASES` and `TOLLGATE_MINUTES` set the amount, and `TOLLGATE_SEED` repeats an earlier run. It is a
//! debug build, because that checks for overflows, and most of the time is spent in the databases anyway.

use std::env;
use std::process::Command;

use crate::postgres::{Cluster, Durability};
use crate::process::{self, step};
use crate::project::Project;

/// The default number of inputs.
const INPUTS: &str = "1000000";
/// The default number of histories per database.
const CASES: &str = "2000";
/// The default number of minutes for which nodes are killed.
const MINUTES: &str = "10";

/// Runs all three. The seeds are printed before the first input and the first history.
pub fn run(project: &Project, rest: &[String]) -> anyhow::Result<()> {
    let inputs = env::var("TOLLGATE_INPUTS").unwrap_or_else(|_| INPUTS.to_owned());
    let cases = env::var("TOLLGATE_CASES").unwrap_or_else(|_| CASES.to_owned());
    let minutes = env::var("TOLLGATE_MINUTES").unwrap_or_else(|_| MINUTES.to_owned());
    step(&format!("Killing nodes for {minutes} minutes"));
    let survived = survive(project, &minutes, rest);
    if process::interrupted() {
        return survived;
    }
    let postgres = Cluster::start(Durability::Fast)?;
    step(&format!("Sending {inputs} random inputs"));
    let mut fuzz = test(project, &postgres, "fuzz", "no_input", rest);
    let fuzzed = process::run(fuzz.env("TOLLGATE_INPUTS", inputs));
    if process::interrupted() {
        return fuzzed;
    }
    step(&format!("Running {cases} histories on each database"));
    let mut histories = test(project, &postgres, "convergence", "histories", rest);
    process::run(histories.env("TOLLGATE_CASES", cases)).and(fuzzed).and(survived)
}

/// Kills nodes, and crashes their PostgreSQL once, which no other test may share.
fn survive(project: &Project, minutes: &str, rest: &[String]) -> anyhow::Result<()> {
    let postgres = Cluster::start(Durability::Durable)?;
    let mut nodes = test(project, &postgres, "nodes", "nodes", rest);
    nodes.env("TOLLGATE_TEST_POSTGRES_CONTROL", postgres.control_line());
    process::run(nodes.env("TOLLGATE_MINUTES", minutes))
}

fn test(project: &Project, postgres: &Cluster, target: &str, filter: &str, rest: &[String]) -> Command {
    let mut command = project.cargo();
    command.args(["test", "--workspace", "--features", "sandbox", "--test", target]);
    command.args(["--", filter, "--nocapture"]).args(rest);
    command.env("TOLLGATE_TEST_POSTGRES", postgres.url());
    command
}
