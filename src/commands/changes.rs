//! `changes list|retry|skip`.

use anyhow::bail;
use billing::AccountId;
use engine::store::Cursor;
use engine::store::billing_changes::{ChangeFilter, StoredChange};
use server::Tollgate;
use server::admin::{OperatorPermit, changes};
use server::config::Config;

use super::database::open_to_read;
use crate::arguments::ChangeId;
use crate::cli::ChangesCommand;

/// Shows, retries and skips billing changes.
pub async fn run(config: Config, command: ChangesCommand) -> anyhow::Result<()> {
    let tollgate = open_to_read(config).await?;
    let permit = OperatorPermit::for_cli();
    let done = match command {
        ChangesCommand::List { state, account, limit } => {
            let account = account.map(AccountId::new);
            list(&tollgate, &ChangeFilter { state, account }, limit).await
        }
        ChangesCommand::Retry { id } => {
            let is_due = changes::retry(&tollgate, &permit, &id.account, id.number).await?;
            report(is_due, &id, "is queued; a running server will deliver it within seconds")
        }
        ChangesCommand::Skip { id } => {
            let is_skipped = changes::skip(&tollgate, &permit, &id.account, id.number).await?;
            report(is_skipped, &id, "is skipped; the account's next change is due")
        }
    };
    tollgate.db().close().await;
    done
}

async fn list(tollgate: &Tollgate, filter: &ChangeFilter, limit: u32) -> anyhow::Result<()> {
    let limit = usize::try_from(limit)?;
    let mut after = Cursor::start();
    let mut shown = 0;
    loop {
        let page = changes::changes(tollgate, &OperatorPermit::for_cli(), filter, &after).await?;
        for change in &page.rows {
            if shown == limit {
                println!("There are more changes than these {shown}: use --limit to list more.");
                return Ok(());
            }
            println!("{}", line(change));
            shown += 1;
        }
        match page.next {
            Some(next) => after = next,
            None if shown == 0 => {
                println!("No billing changes.");
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}

fn line(change: &StoredChange) -> String {
    let before = change.before.as_ref().map_or("none", |before| before.status.as_str());
    format!(
        "{}  {:9}  {}/{}  {}  {before} → {}  attempts: {}{}",
        change.created_at,
        change.state.as_str(),
        change.account,
        change.number,
        change.after.id,
        change.after.status.as_str(),
        change.attempts,
        change.last_error.as_ref().map(|error| format!("  {error}")).unwrap_or_default(),
    )
}

fn report(is_done: bool, id: &ChangeId, message: &str) -> anyhow::Result<()> {
    let ChangeId { account, number } = id;
    if !is_done {
        bail!("{account}/{number} is not a pending change");
    }
    println!("{account}/{number} {message}.");
    Ok(())
}
