//! The command line.
//!
//! Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.

mod commands;
#[cfg(feature = "sandbox")]
mod development;
mod logging;
mod serve;
mod site;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use server::config::Config;

/// Stripe billing for a Rust web app.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the app (the default). Brings the database up to date first.
    Serve,
    /// Bring the database up to date.
    Migrate,
    /// What is sold, in `plans.toml` and at Stripe.
    Catalog {
        #[command(subcommand)]
        command: CatalogCommand,
    },
}

#[derive(Debug, Subcommand)]
enum CatalogCommand {
    /// Make the prices at Stripe that `plans.toml` names and Stripe lacks.
    Apply,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(2);
        }
    };
    if config.stripe.is_sandbox() && !cfg!(feature = "sandbox") {
        eprintln!(
            "There are no Stripe keys, and this binary has no sandbox inside.\n\
             Set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET, or use `make run`."
        );
        return ExitCode::from(2);
    }
    logging::start(&config);
    match run(cli.command.unwrap_or(Command::Serve), config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(command: Command, config: Config) -> anyhow::Result<()> {
    match command {
        Command::Serve => serve::serve(config).await,
        Command::Migrate => commands::migrate(&config).await,
        Command::Catalog { command: CatalogCommand::Apply } => commands::catalog_apply(config).await,
    }
}
