//! Where log lines go: readable in development, one JSON object a line in production.

use std::io::IsTerminal;

use server::config::{Config, Env};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// What a server logs unless `RUST_LOG` says otherwise.
pub const OF_A_SERVER: &str = "info,sqlx=warn,hyper=warn";
/// What a command logs: it prints by itself what it finds and does.
pub const OF_A_COMMAND: &str = "warn,server::reconcile=off";

/// Starts logging. Libraries that put payloads or identities into their spans are kept
/// quiet whatever `RUST_LOG` says.
pub fn start(config: &Config, unless_said: &str) {
    let filter = config.log.as_deref().unwrap_or(unless_said);
    let filter = ["stripe=off", "axum_login=info", "tower_sessions=warn", "tower_sessions_core=warn"]
        .iter()
        .filter_map(|quiet| quiet.parse::<Directive>().ok())
        .fold(EnvFilter::builder().parse_lossy(filter), EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.env {
        Env::Development => lines.compact().with_target(false).init(),
        Env::Production => lines.json().flatten_event(true).init(),
    }
}
