//! `operator add|remove|list`.

use anyhow::{anyhow, bail};
use billing::email::Email;
use server::Tollgate;
use server::admin::OperatorPermit;
use server::admin::roles::{operators, set_role};
use server::config::Config;
use server::store::users::{self, Role};

use super::confirm::confirm;
use super::database::{open_to_read, open_to_write};
use crate::cli::OperatorCommand;

/// Manages operators.
pub async fn run(config: Config, command: OperatorCommand) -> anyhow::Result<()> {
    match command {
        OperatorCommand::Add { email, yes } => {
            let tollgate = open_to_write(config).await?;
            show(&tollgate, &email).await?;
            if !yes && !confirm("Make this user an operator, who can see and repair everyone's billing?")? {
                bail!("{} was not made an operator", email.as_str());
            }
            set(&tollgate, &email, Role::Operator).await?;
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

/// Prints what is known of a user: an address alone does not say who has signed up with it.
async fn show(tollgate: &Tollgate, email: &Email) -> anyhow::Result<()> {
    let Some(user) = users::by_login(tollgate.db(), &email.login_key()).await? else { return Err(unknown(email)) };
    println!("{}", user.email);
    println!("  user        {}", user.id);
    println!("  signed up   {}", user.created_at);
    println!("  verified    no: anyone can sign up with any address");
    Ok(())
}

fn unknown(email: &Email) -> anyhow::Error {
    anyhow!("no user has the e-mail address {}", email.as_str())
}

async fn set(tollgate: &Tollgate, email: &Email, role: Role) -> anyhow::Result<()> {
    let is_set = set_role(tollgate, &OperatorPermit::for_cli(), email, role).await?;
    tollgate.db().close().await;
    if !is_set {
        return Err(unknown(email));
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
