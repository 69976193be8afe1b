//! `customer link`.

use anyhow::bail;
use billing::{AccountId, CustomerId};
use engine::customer_link::{self, Candidate};
use server::Tollgate;
use server::config::Config;

use super::confirm::confirm;
use super::database::open_to_write;
use crate::cli::CustomerCommand;

/// Manages the link between customers in Stripe and accounts.
pub async fn run(config: Config, command: CustomerCommand) -> anyhow::Result<()> {
    let CustomerCommand::Link { customer, account, yes } = command;
    let tollgate = open_to_write(config).await?;
    let linked = link(&tollgate, &CustomerId::new(customer), &AccountId::new(account), yes).await;
    tollgate.db().close().await;
    linked
}

async fn link(tollgate: &Tollgate, customer: &CustomerId, account: &AccountId, yes: bool) -> anyhow::Result<()> {
    show(account, &customer_link::candidate(tollgate, customer, account).await?);
    if !yes && !confirm("Give this account the customer's cards, invoices and subscriptions?")? {
        bail!("{customer} was not linked");
    }
    let linked = customer_link::link(tollgate, customer, account).await;
    // Also after an error, because the link itself may have been stored.
    tollgate.drain().await;
    linked?;
    println!("{customer} is linked to the account {account}.");
    Ok(())
}

/// Prints the customer and the account: only a person can tell whether they belong together.
fn show(account: &AccountId, candidate: &Candidate) {
    let Candidate { customer, subscriptions, contact } = candidate;
    println!("customer {}", customer.id);
    println!("  e-mail        {}", text(customer.email.as_deref()));
    println!("  name          {}", text(customer.name.as_deref()));
    for subscription in subscriptions {
        println!("  subscription  {}  {}", subscription.id, subscription.status.as_str());
    }
    if subscriptions.is_empty() {
        println!("  subscription  none");
    }
    println!("account {account}");
    println!("  e-mail        {}", text(Some(&contact.email)));
    println!("  name          {}", text(contact.name.as_deref()));
    println!("  verified      no: anyone can sign up with any address");
}

/// Returns text that a customer has entered, without characters that a terminal would interpret.
fn text(entered: Option<&str>) -> String {
    entered.map_or_else(|| "none".to_owned(), |entered| entered.escape_debug().to_string())
}
