//! The command line.

use billing::Timestamp;
use billing::email::Email;
use clap::{Parser, Subcommand};
use engine::store::billing_changes::ChangeState;
use engine::store::inbox::EventState;

use crate::arguments::{self, ChangeId};

/// Stripe billing for a Rust web app.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// The command; `serve` by default.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the app (the default), after applying missing migrations.
    Serve,
    /// Apply missing migrations.
    Migrate,
    /// Compare Stripe's products and prices with `plans.toml`, or update them.
    Catalog {
        #[command(subcommand)]
        command: CatalogCommand,
    },
    /// Set up the webhook endpoint in Stripe.
    Webhook {
        #[command(subcommand)]
        command: WebhookCommand,
    },
    /// Compare with Stripe, report the differences, and repair what is safe to repair.
    Reconcile {
        /// Only report.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show and replay events from Stripe.
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Show, retry and skip billing changes that the app has not accepted.
    Changes {
        #[command(subcommand)]
        command: ChangesCommand,
    },
    /// Check the installation, and suggest a fix for each problem.
    Doctor,
    /// Link a Stripe customer to an account.
    Customer {
        #[command(subcommand)]
        command: CustomerCommand,
    },
    /// Remove the accounts that `make run` creates to try the app with.
    Demo {
        #[command(subcommand)]
        command: DemoCommand,
    },
    /// Manage operators, who can see and repair everyone's billing.
    Operator {
        #[command(subcommand)]
        command: OperatorCommand,
    },
    /// Explain what a user may do, and why.
    Explain {
        /// The user's e-mail address.
        #[arg(value_parser = Email::parse)]
        email: Email,
        /// The time to explain, in RFC 3339 or epoch seconds; now by default.
        #[arg(long, value_parser = arguments::time)]
        at: Option<Timestamp>,
    },
}

/// `catalog`
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// List what would change in Stripe.
    Plan,
    /// Apply these changes in Stripe.
    Apply,
}

/// `customer`
#[derive(Debug, Subcommand)]
pub enum CustomerCommand {
    /// Show a customer that no account owns and an account, and link them.
    Link {
        /// `cus_…`
        customer: String,
        /// The account's id; `tollgate explain` shows it.
        account: String,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
}

/// `demo`
#[derive(Debug, Subcommand)]
pub enum DemoCommand {
    /// Remove them, with what belongs to them.
    Remove,
}

/// `operator`
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Show a user, and make them an operator.
    Add {
        /// The user's e-mail address.
        #[arg(value_parser = Email::parse)]
        email: Email,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Remove the operator role from a user.
    Remove {
        /// The user's e-mail address.
        #[arg(value_parser = Email::parse)]
        email: Email,
    },
    /// List the operators.
    List,
}

/// `webhook`
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Create or update the endpoint in Stripe. Prints the signing secret of a new one.
    Register,
}

/// `events`
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// List the newest events.
    List {
        /// Only events in this state: pending, done, ignored, unmatched or parked.
        #[arg(long, value_parser = arguments::event_state)]
        state: Option<EventState>,
        /// Only events of this type, or about this object or customer.
        #[arg(long)]
        about: Option<String>,
        /// The maximum number to list.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show an event with its signed body.
    Show {
        /// `evt_…`
        id: String,
    },
    /// Apply an event again, or every parked one.
    Replay {
        /// `evt_…`
        #[arg(required_unless_present = "state")]
        id: Option<String>,
        /// Every event in this state; only `parked` is possible.
        #[arg(long, value_parser = ["parked"], conflicts_with = "id")]
        state: Option<String>,
    },
}

/// `changes`
#[derive(Debug, Subcommand)]
pub enum ChangesCommand {
    /// List the newest billing changes.
    List {
        /// Only changes in this state: pending, delivered or skipped.
        #[arg(long, value_parser = arguments::change_state)]
        state: Option<ChangeState>,
        /// Only changes of this account.
        #[arg(long)]
        account: Option<String>,
        /// The maximum number to list.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Deliver a pending change now.
    Retry {
        /// The account and the change's number, such as `0192…/3`.
        #[arg(value_parser = arguments::change_id)]
        id: ChangeId,
    },
    /// Skip a pending change, so that the account's next one is delivered.
    Skip {
        /// The account and the change's number, such as `0192…/3`.
        #[arg(value_parser = arguments::change_id)]
        id: ChangeId,
    },
}
