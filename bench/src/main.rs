//! `make bench`: what a running Tollgate carries, beside a bare axum handler.
//!
//! The program under test is the release binary in a process of its own, on a database of its
//! own; the yardstick is this program once more, as a bare handler (`bench bare`), which sends
//! the same bytes and, for webhooks, checks the same signature. Both are asked in the same
//! run, by the same clients, over the same number of connections. What comes out is a table
//! and a plot in `docs/`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock; the app may not")]

mod bare;
mod history;
mod load;
mod program;
mod report;
mod run;
mod seed;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The same as the program's.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "bench", about = "Measures a running Tollgate")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure, print the table, and write it with its plot into a folder.
    Run(run::Options),
    /// The yardstick: a handler that checks a signature and sends given bytes.
    Bare {
        /// The port on the loopback address.
        #[arg(long)]
        port: u16,
        /// What to send: head and body as they came from the program under test.
        #[arg(long)]
        answer: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Run(options) => run::run(&options).await,
        Task::Bare { port, answer } => bare::serve(port, answer.as_deref()).await,
    }
}
