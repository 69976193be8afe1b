//! The API held to its own description: schemathesis reads `/api/v1/openapi.json` from a running
//! server and asks whatever it allows and whatever it forbids.
//!
//! Nothing may answer 500, and every answer must be one that the description names.

use std::process::Command;
use std::{env, fs};

use anyhow::Context;

use crate::process::{self, step};
use crate::project::Project;
use crate::report::{Running, Server, Visitor};
use crate::{run, site};

/// Starts the development binary with limits that nobody comes to, signs somebody up, and asks.
pub fn run(project: &Project, rest: &[String]) -> anyhow::Result<()> {
    let program = env::var_os("SCHEMATHESIS").context("SCHEMATHESIS is not set; `make test` installs it")?;
    let site = site::build(project)?;
    let binary = run::build_server(project)?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let plans = folder.path().join("plans.toml");
    let shipped = fs::read_to_string(project.root.join("plans.toml")).context("plans.toml")?;
    let free = "limits = { apiCallsPerMonth = 100, aiGenerationsPerMonth = 10 }";
    anyhow::ensure!(shipped.contains(free), "plans.toml no longer has the free plan's limits as `{free}`");
    let endless = "limits = { apiCallsPerMonth = \"unlimited\", aiGenerationsPerMonth = \"unlimited\" }";
    fs::write(&plans, shipped.replace(free, endless)).context("a copy of plans.toml")?;

    step("Asking the API whatever its description allows and forbids");
    let server = Server { binary, site: Some(site), sandbox: true };
    let environment = [("TOLLGATE_PLANS", plans.into_os_string()), ("API_CALLS_PER_SECOND", "unlimited".into())];
    let running = Running::start_with(&server, &environment)?;
    let cookie = Visitor::of(&running).sign_up()?.cookie.context("nobody is signed in")?;
    process::run(
        Command::new(program)
            .arg("run")
            .arg(format!("{}/api/v1/openapi.json", running.origin))
            .args(["--checks", "all", "--phases", "examples,coverage,fuzzing", "--seed", "1", "--max-examples", "60"])
            .args(["--no-color", "--request-timeout", "30", "--header"])
            .arg(format!("Cookie: {cookie}"))
            .args(rest)
            .current_dir(folder.path()),
    )
}
