//! The build driver: what `make` runs once a compiler is there.
//!
//! It builds what the browser loads (`site`), puts it beside or inside the
//! server (`run`, `build`), and proves that all of it works (`test`, `lint`,
//! `report`). Every step says its name before it starts; a step that failed, or
//! was interrupted, leaves nothing running and ends the driver with exit code 1.

#![expect(clippy::disallowed_methods, reason = "a driver reads the clock and the environment; the app may not")]

mod api;
mod assets;
mod bench;
mod e2e;
mod lint;
mod nightly;
mod postgres;
mod process;
mod project;
mod release;
mod report;
mod run;
mod site;
mod style;
mod suites;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::project::Project;
use crate::suites::Suite;

#[derive(Parser)]
#[command(name = "xtask", about = "Builds, runs and tests Tollgate")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build what the browser loads: wasm, script, style and public files.
    Site,
    /// Build and start the app and the sandbox on SQLite.
    Run,
    /// Build one production binary with everything inside, and weigh its pages.
    Build,
    /// Run the tests, with a PostgreSQL of their own.
    Test {
        /// Which of them.
        #[arg(value_enum, default_value_t = Selection::All)]
        selection: Selection,
        /// Passed on to Playwright or to the test programs.
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Tell thousands of random histories of events, with a PostgreSQL of their own.
    Nightly {
        /// Passed on to the test program.
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Check formatting, clippy on both sides, and dependencies.
    Lint,
    /// Measure the release binary beside a bare handler, on both engines.
    Bench {
        /// Passed on to the benchmark.
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Weigh the first load of every page over the wire.
    Report,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Selection {
    Unit,
    Http,
    Api,
    E2e,
    All,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> anyhow::Result<()> {
    process::catch_interrupts()?;
    let project = Project::locate()?;
    match task {
        Task::Site => site::build(&project).map(drop),
        Task::Run => run::run(&project),
        Task::Build => release::build(&project),
        Task::Test { selection, rest } => {
            let suites: &[Suite] = match selection {
                Selection::Unit => &[Suite::Unit, Suite::Doc],
                Selection::Http => &[Suite::Http],
                Selection::Api => &[Suite::Api],
                Selection::E2e => &[Suite::EndToEnd],
                Selection::All => &[Suite::Unit, Suite::Doc, Suite::Http, Suite::Api, Suite::EndToEnd],
            };
            suites::run(&project, suites, &rest)
        }
        Task::Nightly { rest } => nightly::run(&project, &rest),
        Task::Bench { rest } => bench::run(&project, &rest),
        Task::Lint => lint::lint(&project),
        Task::Report => {
            let site = site::build(&project)?;
            let binary = run::build_server(&project)?;
            report::report(&report::Server { binary, site: Some(site), sandbox: true })
        }
    }
}
