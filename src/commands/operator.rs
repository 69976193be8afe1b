//! `operator add|remove|list`.

use anyhow::bail;
use billing::email::Email;
use server::Tollgate;
use server::admin::OperatorPermit;
use server::admin::roles::{operators, set_role};
use server::config::Config;
use server::store::users::Role;

use super::database::{open_to_read, open_to_write};
use crate::cli::OperatorCommand;

/// Manages operators.
pub async fn run(config: Config, command: OperatorCommand) -> anyhow::Result<()> {
    match command {
        OperatorCommand::Add { email } => {
            set(&open_to_write(config).await?, &email, Role::Operator).await?;
            println!("{} is an operator now.", email.as_str());
        }
        OperatorCommand::Remove { email } => {
            set(&open_to_write(config).await?, &email, Role::Customer).await?;
            println!("{} is no longer an operator.", email.as_str());
        }
        OperatorCommand::List => list(&open_to_read(config).await?).await?,
    }
    Ok(())
}

async fn set(tollgate: &Tollgate, email: &Email, role: Role) -> anyhow::Result<()> {
    let is_set = set_role(tollgate, &OperatorPermit::for_cli(), email, role).await?;
    tollgate.db().close().await;
    if !is_set {
        bail!("no user has the e-mail address {}", email.as_str());
    }
    Ok(())
}

async fn list(tollgate: &Tollgate) -> anyhow::Result<()> {
    let operators = operators(tollgate, &OperatorPermit::for_cli()).await?;
    if operators.is_empty() {
        println!("There are no operators. Add one with `tollgate operator add EMAIL`.");
    }
    for operator in operators {
        println!("{operator}");
    }
    Ok(())
}
