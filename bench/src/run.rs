//! `bench run`: all measurements on each database, and the page in `docs/`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::database::Database;
use crate::measure::Measurement;
use crate::report::Report;
use crate::setup::Setup;
use crate::{drain, history, processes, report};

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
    /// The table sizes to compare, in usage records; throughput must not drop between them.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 100_000, 10_000_000])]
    pub history: Vec<u64>,
    /// The numbers of events that wait behind those whose rate of application is measured.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10_000, 1_000_000])]
    pub backlogs: Vec<u64>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Usage,
    Webhooks,
    Pages,
    Login,
    History,
    Drain,
}

impl Options {
    fn includes(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn postgres_for(&self, database: Database) -> Option<&str> {
        self.postgres.as_deref().filter(|_| database == Database::Postgres)
    }
}

/// Measures everything, prints the tables, and writes them into `docs/`.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::default();
    let databases = [Some(Database::Sqlite), options.postgres.as_ref().map(|_| Database::Postgres)];
    for database in databases.into_iter().flatten() {
        eprintln!("== {}", database.name());
        measure_requests(options, database, &mut report).await?;
        if options.includes(Part::History) {
            measure_history(options, database, &mut report).await?;
        }
        if options.includes(Part::Drain) {
            let (postgres, duration) = (options.postgres_for(database), Duration::from_secs(options.seconds));
            drain::measure(&options.binary, postgres, database, &options.backlogs, duration, &mut report).await?;
        }
    }
    println!("{}", report.table());
    if !options.only.is_empty() {
        return Ok(());
    }
    let page = options.docs.join("BENCHMARK.md");
    let previous = std::fs::read_to_string(&page).unwrap_or_default();
    std::fs::write(&page, report::document(&report, options.seconds, &previous))
        .context("cannot write BENCHMARK.md")?;
    std::fs::write(options.docs.join("benchmark.svg"), report.plot()).context("cannot write benchmark.svg")
}

async fn measure_requests(options: &Options, database: Database, report: &mut Report) -> anyhow::Result<()> {
    let setup = Setup::new(options.postgres_for(database), "requests").await?;
    let tollgate = setup.start(&options.binary).await?;
    let duration = Duration::from_secs(options.seconds);
    let mut measurement = Measurement { database, duration, tollgate: &tollgate, setup: &setup, report };
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
    report.add_peak_memory(database, processes::peak_memory(tollgate.process));
    drop(tollgate);
    setup.sandbox.shutdown().await;
    Ok(())
}

/// Measures on a new database, because the other measurements leave usage records behind.
async fn measure_history(options: &Options, database: Database, report: &mut Report) -> anyhow::Result<()> {
    let setup = Setup::new(options.postgres_for(database), "history").await?;
    let duration = Duration::from_secs(options.seconds);
    let mut existing = 0;
    for rows in options.history.iter().copied() {
        eprintln!("   adding usage records until there are {rows}");
        // The server is stopped in the meantime, so that it does not compete for the database.
        history::fill(&setup.database, &setup.customers[0].account, existing, rows).await?;
        existing = rows;
        let tollgate = setup.start(&options.binary).await?;
        Measurement { database, duration, tollgate: &tollgate, setup: &setup, report: &mut *report }
            .history(rows)
            .await?;
    }
    setup.sandbox.shutdown().await;
    Ok(())
}
