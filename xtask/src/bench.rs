//! `bench`: measures the release binary on SQLite and on a temporary PostgreSQL.

use std::process::Command;

use crate::postgres::{Cluster, Durability};
use crate::process::{self, step};
use crate::project::Project;

/// Builds the release binary and the benchmark, and writes the table and the plot into `docs/`.
pub fn run(project: &Project, rest: &[String]) -> anyhow::Result<()> {
    step("Building the release binary and the benchmark (the first build takes 10 to 20 minutes)");
    let selection = ["--package", "tollgate", "--package", "bench", "--bin", "tollgate", "--bin", "bench"];
    process::run(project.cargo().args(["build", "--release"]).args(selection))?;
    let postgres = Cluster::start(Durability::Durable)?;
    step("Measuring (20 minutes; leave the machine otherwise idle)");
    process::run(
        Command::new(project.target.join("release/bench"))
            .arg("run")
            .arg("--binary")
            .arg(project.target.join("release/tollgate"))
            .args(["--postgres", &postgres.url()])
            .arg("--docs")
            .arg(project.root.join("docs"))
            .args(rest),
    )
}
