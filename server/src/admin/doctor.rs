//! The engine's checks, plus those of the app's own configuration and tables.

use engine::doctor::{self, Check, Health};
use secrecy::ExposeSecret;

use super::roles::OperatorPermit;
use crate::config::{Config, Env};
use crate::store;
use crate::tollgate::Tollgate;

/// Runs all checks, in the order in which problems should be solved.
pub async fn check(tollgate: &Tollgate, _: &OperatorPermit) -> Vec<Check> {
    let mut checks = vec![configuration(tollgate.config())];
    checks.extend(doctor::check(tollgate).await);
    // The engine has checked its own migrations.
    if matches!(store::is_migrated(tollgate.db()).await, Ok(false)) {
        for check in checks.iter_mut().filter(|check| check.subject == "database" && check.health == Health::Ok) {
            let message = "The app's migrations are missing: run `tollgate migrate`.";
            *check = Check::new("database", Health::Failed, message);
        }
    }
    checks
}

/// Checks that the settings are consistent; startup has checked that they are complete.
pub fn configuration(config: &Config) -> Check {
    let key = config.stripe.secret_key.expose_secret();
    let is_live = key.starts_with("sk_live_") || key.starts_with("rk_live_");
    let (health, message) = match (config.env, &config.stripe.api_base, is_live) {
        (Env::Production, Some(base), _) => {
            (Health::Warning, format!("STRIPE_API_BASE is {base}, not Stripe: no payment is real. Remove it."))
        }
        (Env::Production, None, true) => (Health::Ok, "Complete, for production, with a live key.".to_owned()),
        (Env::Production, None, false) => {
            let message = "A test key in production: no payment is real. Use a live key when you launch.";
            (Health::Warning, message.to_owned())
        }
        (Env::Development, _, true) => {
            let message = "A live key in development: real cards are charged. Use a test key.";
            (Health::Warning, message.to_owned())
        }
        (Env::Development, _, false) => (Health::Ok, "Complete, for development, with a test key.".to_owned()),
    };
    Check::new("configuration", health, message)
}
