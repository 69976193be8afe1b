//! `make bench`: the throughput of Tollgate, compared with a minimal axum handler.
//!
//! The release binary runs in a separate process on a new database. The baseline is this program as a
//! server (`bench baseline`), which sends the same bytes and, for webhooks, checks the same signature.
//! Both are measured in the same run, by the same clients, over the same number of connections. The
//! results are a table and a plot in `docs/`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock; the app may not")]

mod baseline;
mod database;
mod deliveries;
mod drain;
mod history;
mod load;
mod measure;
mod processes;
mod program;
mod report;
mod response;
mod run;
mod seed;
mod setup;
mod signature;
mod sql;
mod subscriber;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The allocator that the release binary uses.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "bench", about = "Measures the throughput of Tollgate")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the benchmark, print the table, and write it to a folder with a plot.
    Run(run::Options),
    /// Serve the baseline: a handler that checks a signature and sends recorded bytes.
    Baseline {
        /// The port to listen on (loopback only).
        #[arg(long)]
        port: u16,
        /// The recorded response to send.
        #[arg(long)]
        response: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Run(options) => run::run(&options).await,
        Task::Baseline { port, response } => baseline::serve(port, response.as_deref()).await,
    }
}
