//! `bench run`: all measurements on each engine, and the page in `docs/`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::engine::Engine;
use crate::measure::Measurement;
use crate::report::Report;
use crate::setup::Setup;
use crate::{history, report};

#[derive(Args)]
pub struct Options {
    /// The release binary.
    #[arg(long)]
    pub binary: PathBuf,
    /// The URL of a PostgreSQL server that allows new databases. Without it, only SQLite is measured.
    #[arg(long)]
    pub postgres: Option<String>,
    /// The folder for the table and the plot.
    #[arg(long)]
    pub docs: PathBuf,
    /// The duration of each measurement in seconds.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Measure only these parts, and write no files.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub only: Vec<Part>,
    /// The numbers of usage records in the database, between which throughput must not drop.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 100_000, 10_000_000])]
    pub history: Vec<u64>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Usage,
    Webhooks,
    Pages,
    Login,
    History,
}

impl Options {
    fn includes(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn postgres_for(&self, engine: Engine) -> Option<&str> {
        self.postgres.as_deref().filter(|_| engine == Engine::Postgres)
    }
}

/// Measures everything, prints the tables, and writes them into `docs/`.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::default();
    let engines = [Some(Engine::Sqlite), options.postgres.as_ref().map(|_| Engine::Postgres)];
    for engine in engines.into_iter().flatten() {
        eprintln!("== {}", engine.name());
        measure_requests(options, engine, &mut report).await?;
        if options.includes(Part::History) {
            measure_history(options, engine, &mut report).await?;
        }
    }
    println!("{}", report.table());
    if !options.only.is_empty() {
        return Ok(());
    }
    let page = options.docs.join("BENCHMARK.md");
    let earlier = std::fs::read_to_string(&page).unwrap_or_default();
    std::fs::write(&page, report::document(&report, options.seconds, &earlier)).context("cannot write BENCHMARK.md")?;
    std::fs::write(options.docs.join("benchmark.svg"), report.plot()).context("cannot write benchmark.svg")
}

async fn measure_requests(options: &Options, engine: Engine, report: &mut Report) -> anyhow::Result<()> {
    let setup = Setup::new(options.postgres_for(engine), "requests").await?;
    let tollgate = setup.start(&options.binary).await?;
    let time = Duration::from_secs(options.seconds);
    let mut measurement = Measurement { engine, time, tollgate: &tollgate, setup: &setup, report };
    if options.includes(Part::Usage) {
        measurement.usage().await?;
    }
    if options.includes(Part::Webhooks) {
        measurement.webhook_latency().await?;
        measurement.webhooks().await?;
    }
    if options.includes(Part::Pages) {
        measurement.pages().await?;
    }
    if options.includes(Part::Login) {
        measurement.login().await?;
    }
    drop(tollgate);
    setup.sandbox.shutdown().await;
    Ok(())
}

/// Uses a new database, because the other measurements leave usage records, too.
async fn measure_history(options: &Options, engine: Engine, report: &mut Report) -> anyhow::Result<()> {
    let setup = Setup::new(options.postgres_for(engine), "history").await?;
    let time = Duration::from_secs(options.seconds);
    let mut rows = 0;
    for wanted in &options.history {
        eprintln!("   adding usage records until there are {wanted}");
        // The server is stopped meanwhile, so that it does not compete for the database.
        history::fill(&setup.database, &setup.customers[0].account, rows, *wanted).await?;
        rows = *wanted;
        let tollgate = setup.start(&options.binary).await?;
        Measurement { engine, time, tollgate: &tollgate, setup: &setup, report: &mut *report }.history(rows).await?;
    }
    setup.sandbox.shutdown().await;
    Ok(())
}
