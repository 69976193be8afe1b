//! The binary. Exit codes: 0 success, 1 failure, 2 invalid usage or configuration.

mod arguments;
mod cli;
mod commands;
#[cfg(feature = "sandbox")]
mod development;
mod logging;
mod serve;
mod site;

use std::process::ExitCode;

use clap::Parser;
use server::config::Config;

use crate::cli::{Cli, Command};

/// Rendering a page allocates thousands of small strings, for which mimalloc is faster (docs/BENCHMARK.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    if config.is_sandbox() && !cfg!(feature = "sandbox") {
        eprintln!(
            "No Stripe keys are set, and this binary does not include the sandbox.\n\
             Set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET, or use `make run`."
        );
        return ExitCode::from(2);
    }
    let command = cli.command.unwrap_or(Command::Serve);
    let is_server = matches!(command, Command::Serve);
    logging::start(&config, if is_server { logging::SERVER } else { logging::COMMAND });
    let Err(error) = run(command, config) else { return ExitCode::SUCCESS };
    if is_server {
        tracing::error!("{error:#}");
    } else {
        eprintln!("{error:#}");
    }
    ExitCode::FAILURE
}

#[tokio::main]
async fn run(command: Command, config: Config) -> anyhow::Result<()> {
    match command {
        Command::Serve => serve::serve(config).await,
        Command::Migrate => commands::database::migrate(&config).await,
        Command::Catalog { command } => commands::catalog::run(config, command).await,
        Command::Webhook { command } => commands::webhook::run(config, command).await,
        Command::Reconcile { dry_run } => commands::reconcile::run(config, dry_run).await,
        Command::Doctor => commands::doctor::run(config).await,
        Command::Customer { command } => commands::customer::run(config, command).await,
        Command::Demo { command } => commands::demo::run(config, command).await,
        Command::Operator { command } => commands::operator::run(config, command).await,
        Command::Events { command } => commands::events::run(config, command).await,
        Command::Changes { command } => commands::changes::run(config, command).await,
        Command::Explain { email, at } => commands::explain::run(config, &email, at).await,
    }
}
