//! The task runner behind `make`.
//!
//! It builds the files for the browser (`site`), serves them from a folder or embeds them into the
//! binary (`run`, `build`), and checks the result (`test`, `lint`, `report`). Each step prints its name
//! before it starts. If a step fails or is interrupted, all processes that it started are stopped, and
//! the exit code is 1.

#![expect(clippy::disallowed_methods, reason = "a build tool reads the clock and the environment; the app may not")]

mod api;
mod assets;
mod audit;
mod bench;
mod boundaries;
mod e2e;
mod guides;
mod imports;
mod lint;
mod nightly;
mod npm;
mod pins;
mod postgres;
mod process;
mod project;
mod references;
mod release;
mod report;
mod run;
mod server;
mod site;
mod style;
mod suites;
mod visitor;
mod wasm;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::project::Project;
use crate::server::Server;
use crate::suites::Suite;

#[derive(Parser)]
#[command(name = "xtask", about = "Builds, runs and tests Tollgate")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the files for the browser: WebAssembly, script, stylesheet and public files.
    Site,
    /// Build and start the app and the sandbox on SQLite.
    Run,
    /// Build the production binary with everything embedded, and measure its pages.
    Build,
    /// Run the tests, with a temporary PostgreSQL.
    Test {
        /// The suite to run.
        #[arg(value_enum, default_value_t = Selection::All)]
        selection: Selection,
        /// Arguments for Playwright or the test binaries.
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Send a million random inputs and run thousands of random histories, with a temporary PostgreSQL.
    Nightly {
        /// Arguments for the test binary.
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Run the static checks: formatting, import graph, pins, references, wording, spelling, prose, dependencies, clippy.
    Lint {
        /// The checks to run; all by default.
        #[arg(value_enum)]
        checks: Vec<lint::Check>,
    },
    /// Check dependencies for known vulnerabilities.
    Audit,
    /// Benchmark the release binary against a minimal handler, on both databases.
    Bench {
        /// Arguments for the benchmark.
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Measure the bytes that the first load of each page transfers.
    Report,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Selection {
    Unit,
    Http,
    Guides,
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
                Selection::Guides => &[Suite::Guides],
                Selection::Api => &[Suite::Api],
                Selection::E2e => &[Suite::EndToEnd],
                Selection::All => &[Suite::Unit, Suite::Doc, Suite::Http, Suite::Guides, Suite::Api, Suite::EndToEnd],
            };
            suites::run(&project, suites, &rest)
        }
        Task::Nightly { rest } => nightly::run(&project, &rest),
        Task::Bench { rest } => bench::run(&project, &rest),
        Task::Lint { checks } => lint::lint(&project, &checks),
        Task::Audit => audit::run(&project),
        Task::Report => {
            let (site, binary) = run::build(&project)?;
            report::report(&Server { binary, site: Some(site), sandbox: true })
        }
    }
}
