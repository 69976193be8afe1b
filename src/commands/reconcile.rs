//! `reconcile [--dry-run]`.

use engine::reconcile::{self, Drift, Finding, Mode, STRIPE_KEEPS_DAYS};
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
        if let Some(next) = next_step(&finding.drift).filter(|_| !finding.is_fixed) {
            println!("       {next}");
        }
    }
}

/// Advice to an operator about a difference that is not repaired automatically.
const fn next_step(drift: &Drift) -> Option<&'static str> {
    match drift {
        Drift::MissedEvent { .. }
        | Drift::WrongSubscription { .. }
        | Drift::WrongPurchase { .. }
        | Drift::DeletedButBilled { .. } => None,
        Drift::MissingSubscription { .. } => {
            Some("Check that STRIPE_SECRET_KEY belongs to the Stripe account and mode in which it was sold.")
        }
        Drift::DuplicateSubscription { .. } => {
            Some("Ask the customer which one to keep, and cancel the others in Stripe.")
        }
        Drift::OrphanCustomer { .. } | Drift::Unmatched { .. } => Some(
            "If someone proves that they are this customer, link it to their account (docs/OPERATIONS.md). Otherwise ignore it.",
        ),
        Drift::UnknownPrice { .. } => Some("Add the price to `retired_prices` of its plan in plans.toml."),
        Drift::BilledUsage(_) => {
            Some("Compare with the meter's events in the Dashboard (docs/OPERATIONS.md, “Usage”).")
        }
        Drift::NotCompared { .. } => Some("Check it in the Dashboard. The next comparison tries again."),
    }
}
