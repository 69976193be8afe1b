//! `customer link`.

use billing::{AccountId, CustomerId};
use engine::customer_link;
use server::config::Config;

use super::database::open_to_write;
use crate::cli::CustomerCommand;

/// Manages the link between customers in Stripe and accounts.
pub async fn run(config: Config, command: CustomerCommand) -> anyhow::Result<()> {
    let CustomerCommand::Link { customer, account } = command;
    let tollgate = open_to_write(config).await?;
    let (customer, account) = (CustomerId::new(customer), AccountId::new(account));
    let linked = customer_link::link(&tollgate, &customer, &account).await;
    tollgate.drain().await;
    tollgate.db().close().await;
    let subscriptions = linked?;
    println!("{customer} is linked to the account {account}.");
    for subscription in subscriptions {
        println!("{}  {}", subscription.id, subscription.status.as_str());
    }
    Ok(())
}
