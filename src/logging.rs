//! Log lines: readable in development, one JSON object per line in production.

use std::io::IsTerminal;

use server::config::{Config, Env};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// The server's default log filter.
pub const SERVER: &str = "info,sqlx=warn,hyper=warn";
/// A command's default log filter: quiet, because a command prints its results. Slow statements are the
/// server's concern.
pub const COMMAND: &str = "warn,sqlx=error,engine::reconcile=off";

/// Starts logging. `RUST_LOG` replaces `default`, except for libraries that put payloads or identities
/// into their spans.
pub fn start(config: &Config, default: &str) {
    let filter = config.log.as_deref().unwrap_or(default);
    let filter = ["axum_login=info", "tower_sessions=warn", "tower_sessions_core=warn"]
        .iter()
        .filter_map(|quiet| quiet.parse::<Directive>().ok())
        .fold(EnvFilter::builder().parse_lossy(filter), EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // If stderr cannot be written, because its disk is full, reporting that there would panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match config.env {
        Env::Development => lines.compact().with_target(false).init(),
        Env::Production => lines.json().flatten_event(true).init(),
    }
}
