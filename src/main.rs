//! The command line.
//!
//! Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.

mod commands;
#[cfg(feature = "sandbox")]
mod development;
mod events;
mod explain;
mod logging;
mod serve;
mod site;

use std::process::ExitCode;

use billing::Timestamp;
use billing::email::Email;
use clap::{Parser, Subcommand};
use server::config::Config;
use server::reconcile::Mode;
use server::store::accounts::Role;
use server::store::inbox::EventState;

/// A page is made of thousands of small pieces of memory (docs/BENCHMARK.md).
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Where Stripe sends events.
    Webhook {
        #[command(subcommand)]
        command: WebhookCommand,
    },
    /// Compare with Stripe, name what differs and mend what is safe.
    Reconcile {
        /// Only look.
        #[arg(long)]
        dry_run: bool,
    },
    /// What Stripe has sent, and what became of it.
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Say whether everything is in place, and what to do where it is not.
    Doctor,
    /// Who may see and mend everybody's billing.
    Operator {
        #[command(subcommand)]
        command: OperatorCommand,
    },
    /// What somebody may do, and why.
    Explain {
        /// The address they signed up with.
        #[arg(value_parser = Email::parse)]
        email: Email,
        /// As of when: RFC 3339, or seconds since 1970. Now, unless given.
        #[arg(long, value_parser = explain::time)]
        at: Option<Timestamp>,
    },
}

#[derive(Debug, Subcommand)]
enum CatalogCommand {
    /// Say what Stripe would have to change to sell what `plans.toml` says.
    Plan,
    /// Make Stripe sell what `plans.toml` says.
    Apply,
}

#[derive(Debug, Subcommand)]
enum OperatorCommand {
    /// Trust somebody who has signed up.
    Add {
        /// The address they signed up with.
        #[arg(value_parser = Email::parse)]
        email: Email,
    },
    /// Trust them no longer.
    Remove {
        /// The address they signed up with.
        #[arg(value_parser = Email::parse)]
        email: Email,
    },
    /// Everybody who is trusted.
    List,
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// Make the endpoint at Stripe, or complete it. Prints the signing secret of a new one.
    Register,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// The newest events.
    List {
        /// Only those that are pending, done, ignored, unmatched or parked.
        #[arg(long, value_parser = events::state)]
        state: Option<EventState>,
        /// Only those of this type, or about this object or customer.
        #[arg(long)]
        about: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One event, with the body that was signed.
    Show {
        /// `evt_…`
        id: String,
    },
    /// Apply an event again.
    Replay {
        /// `evt_…`
        id: String,
    },
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
    let command = cli.command.unwrap_or(Command::Serve);
    let is_server = matches!(command, Command::Serve);
    logging::start(&config, if is_server { logging::OF_A_SERVER } else { logging::OF_A_COMMAND });
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
        Command::Migrate => commands::migrate(&config).await,
        Command::Catalog { command: CatalogCommand::Plan } => commands::catalog_plan(config).await,
        Command::Catalog { command: CatalogCommand::Apply } => commands::catalog_apply(config).await,
        Command::Webhook { command: WebhookCommand::Register } => commands::webhook_register(config).await,
        Command::Reconcile { dry_run } => {
            commands::reconcile(config, if dry_run { Mode::DryRun } else { Mode::Mend }).await
        }
        Command::Doctor => commands::doctor(config).await,
        Command::Operator { command } => match command {
            OperatorCommand::Add { email } => commands::set_operator(config, &email, Role::Operator).await,
            OperatorCommand::Remove { email } => commands::set_operator(config, &email, Role::Customer).await,
            OperatorCommand::List => commands::list_operators(&config).await,
        },
        Command::Events { command } => events::events(&config, &command).await,
        Command::Explain { email, at } => explain::explain(&config, &email, at).await,
    }
}
