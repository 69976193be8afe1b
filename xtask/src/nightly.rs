//! `nightly`: random histories of events, on both databases.
//!
//! `TOLLGATE_CASES` sets their number, and `TOLLGATE_SEED` repeats an earlier run. It is a debug build, because
//! that checks for overflows, and most of the time is spent in the databases anyway.

use std::env;

use crate::postgres::Cluster;
use crate::process::{self, step};
use crate::project::Project;

/// The default number of histories per database.
const CASES: &str = "2000";

/// Runs the histories. The seed is printed before the first one.
pub fn run(project: &Project, rest: &[String]) -> anyhow::Result<()> {
    let postgres = Cluster::start()?;
    let cases = env::var("TOLLGATE_CASES").unwrap_or_else(|_| CASES.to_owned());
    step(&format!("Running {cases} histories on each database"));
    let mut command = project.cargo();
    command.args(["test", "--workspace", "--features", "sandbox", "--test", "convergence"]);
    command.args(["--", "histories", "--nocapture"]).args(rest);
    process::run(command.env("TOLLGATE_TEST_POSTGRES", postgres.url()).env("TOLLGATE_CASES", cases))
}
