//! `doctor`.

use anyhow::bail;
use engine::doctor::Health;
use server::admin::{self, OperatorPermit};
use server::config::Config;

use super::database::open_unchecked;

/// Runs all checks, and fails if one of them failed.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let tollgate = open_unchecked(config).await?;
    let checks = admin::doctor::check(&tollgate, &OperatorPermit::for_cli()).await;
    for check in &checks {
        let state = match check.health {
            Health::Ok => "ok  ",
            Health::Warning => "warn",
            Health::Failed => "FAIL",
        };
        println!("{state}  {:34}  {}", check.subject, check.message);
    }
    let count = |health| checks.iter().filter(|check| check.health == health).count();
    match (count(Health::Failed), count(Health::Warning)) {
        (0, 0) => println!("Everything is in place."),
        (0, warnings) => println!("Everything works; {warnings} of {} checks need attention.", checks.len()),
        (failed, _) => bail!("{failed} of {} checks failed", checks.len()),
    }
    Ok(())
}
