//! `reconcile [--dry-run]`.

use engine::reconcile::{self, Finding, Mode, STRIPE_KEEPS_DAYS};
use server::config::Config;

use super::database::{open_to_read, open_to_write};

/// Compares with Stripe, and repairs what is safe to repair.
pub async fn run(config: Config, is_dry_run: bool) -> anyhow::Result<()> {
    let (mode, tollgate) = if is_dry_run {
        (Mode::DryRun, open_to_read(config).await?)
    } else {
        (Mode::Repair, open_to_write(config).await?)
    };
    let (findings, interrupted) = match reconcile::reconcile(&tollgate, mode, STRIPE_KEEPS_DAYS).await {
        Ok(findings) => (findings, None),
        Err(mut interrupted) => (std::mem::take(&mut interrupted.findings), Some(interrupted)),
    };
    if mode == Mode::Repair && interrupted.is_none() {
        // A running server would apply the missed events, but there may be none.
        tollgate.drain().await;
    }
    print(&findings);
    let fixed = findings.iter().filter(|finding| finding.is_fixed).count();
    match mode {
        _ if findings.is_empty() && interrupted.is_some() => {}
        _ if findings.is_empty() => println!("In sync with Stripe."),
        Mode::DryRun => println!("Nothing was changed. Run `tollgate reconcile` to repair what is safe."),
        Mode::Repair => println!("{fixed} fixed, {} open.", findings.len() - fixed),
    }
    interrupted.map_or(Ok(()), |interrupted| Err(interrupted.into()))
}

fn print(findings: &[Finding]) {
    for finding in findings {
        let state = if finding.is_fixed { "fixed" } else { "open " };
        println!("{state}  {:22}  {}", finding.drift.kind().as_str(), finding.drift);
        if let Some(next) = finding.drift.kind().next_step().filter(|_| !finding.is_fixed) {
            println!("       {next}");
        }
    }
}
