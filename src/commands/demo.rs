//! `demo remove`.

use server::admin::{OperatorPermit, demo_accounts};
use server::config::Config;

use super::database::open_to_write;
use crate::cli::DemoCommand;

/// Removes the demo accounts.
pub async fn run(config: Config, command: DemoCommand) -> anyhow::Result<()> {
    let DemoCommand::Remove = command;
    let tollgate = open_to_write(config).await?;
    let removed = demo_accounts::remove(&tollgate, &OperatorPermit::for_cli()).await;
    tollgate.db().close().await;
    let removed = removed?;
    if removed.is_empty() {
        println!("There are no demo accounts.");
    }
    for email in removed {
        println!("{email} is removed.");
    }
    Ok(())
}
