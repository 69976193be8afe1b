//! `webhook register`.

use anyhow::bail;
use engine::webhook_endpoint::{self, Registered};
use server::config::Config;

use super::database::open_unchecked;
use crate::cli::WebhookCommand;

/// Creates or updates the webhook endpoint in Stripe.
pub async fn run(config: Config, command: WebhookCommand) -> anyhow::Result<()> {
    let WebhookCommand::Register = command;
    let tollgate = open_unchecked(config).await?;
    let url = &tollgate.urls().webhook;
    match webhook_endpoint::register(&tollgate).await? {
        Registered::Created { secret } => {
            println!("Stripe sends events to {url}. The secret is shown only now:\nSTRIPE_WEBHOOK_SECRET={secret}");
        }
        Registered::Updated { added } if added.is_empty() => {
            println!("Stripe sends events to {url} again: the endpoint was disabled.");
        }
        Registered::Updated { added } => println!("Stripe now also sends to {url}:\n{}", added.join("\n")),
        Registered::Unchanged => println!("Stripe already sends every handled event to {url}."),
        Registered::OtherVersion { id, version } => bail!(
            "the endpoint {id} uses {}, which cannot be changed: delete it in Stripe and register again",
            version.map_or_else(|| "the account's API version".to_owned(), |version| format!("API version {version}")),
        ),
    }
    Ok(())
}
