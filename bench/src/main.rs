//! `make bench`: the throughput of Tollgate, compared with a minimal axum handler.
//!
//! The release binary runs in a separate process on a new database. The baseline is this program as a
//! server (`bench bare`), which sends the same bytes and, for webhooks, checks the same signature. Both
//! are measured in the same run, by the same clients, over the same number of connections. The results
//! are a table and a plot in `docs/`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock; the app may not")]

mod bare;
mod deliveries;
mod engine;
mod history;
mod load;
mod measure;
mod program;
mod report;
mod response;
mod run;
mod seed;
mod setup;
mod signature;
mod subscriber;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The allocator of the release binary.
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
    /// Measure, print the table, and write it into a folder, with a plot.
    Run(run::Options),
    /// Serve the baseline: a handler that checks a signature and sends recorded bytes.
    Bare {
        /// The port to listen on, on the loopback address.
        #[arg(long)]
        port: u16,
        /// The response to send, headers and body as recorded.
        #[arg(long)]
        response: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Run(options) => run::run(&options).await,
        Task::Bare { port, response } => bare::serve(port, response.as_deref()).await,
    }
}
