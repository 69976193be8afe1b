//! `nightly`: the tests that are the better the longer they run: random histories of events, on both
//! engines.
//!
//! `TOLLGATE_CASES` says how many, and `TOLLGATE_SEED` which. Built as `make test` builds them: arithmetic
//! that overflows has to be seen, and little of the time is spent in code that would be faster.

use std::env;

use crate::postgres::Cluster;
use crate::process::{self, step};
use crate::project::Project;

/// How many histories each engine is told, unless the environment says otherwise.
const CASES: &str = "2000";

/// Tells them. The seed is printed before the first one.
pub fn run(project: &Project, rest: &[String]) -> anyhow::Result<()> {
    let postgres = Cluster::start()?;
    let cases = env::var("TOLLGATE_CASES").unwrap_or_else(|_| CASES.to_owned());
    step(&format!("Telling {cases} histories on each engine"));
    let mut command = project.cargo();
    command.args(["test", "--workspace", "--features", "sandbox", "--test", "convergence"]);
    command.args(["--", "histories", "--nocapture"]).args(rest);
    process::run(command.env("TOLLGATE_TEST_POSTGRES", postgres.url()).env("TOLLGATE_CASES", cases))
}
