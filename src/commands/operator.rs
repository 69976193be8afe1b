//! `operator add|remove|list`.

use anyhow::{anyhow, bail};
use billing::email::Email;
use server::Tollgate;
use server::admin::OperatorPermit;
use server::admin::roles::{operators, set_role};
use server::config::Config;
use server::store::users::{self, Role, User};

use super::confirm::confirm;
use super::database::{open_to_read, open_to_write};
use crate::cli::OperatorCommand;

/// Manages operators.
pub async fn run(config: Config, command: OperatorCommand) -> anyhow::Result<()> {
    let tollgate = match command {
        OperatorCommand::List => open_to_read(config).await?,
        OperatorCommand::Add { .. } | OperatorCommand::Remove { .. } => open_to_write(config).await?,
    };
    let done = match command {
        OperatorCommand::Add { email, yes } => add(&tollgate, &email, yes).await,
        OperatorCommand::Remove { email } => remove(&tollgate, &email).await,
        OperatorCommand::List => list(&tollgate).await,
    };
    tollgate.db().close().await;
    done
}

/// Makes the user who is shown an operator, even if someone else has the address by the time of the answer.
async fn add(tollgate: &Tollgate, email: &Email, yes: bool) -> anyhow::Result<()> {
    let user = find(tollgate, email).await?;
    show(&user);
    if !yes && !confirm("Make this user an operator, who can see and repair everyone's billing?")? {
        bail!("{} was not made an operator", email.as_str());
    }
    set(tollgate, &user, Role::Operator).await?;
    println!("{} is an operator now.", email.as_str());
    Ok(())
}

async fn remove(tollgate: &Tollgate, email: &Email) -> anyhow::Result<()> {
    set(tollgate, &find(tollgate, email).await?, Role::Customer).await?;
    println!("{} is no longer an operator.", email.as_str());
    Ok(())
}

async fn find(tollgate: &Tollgate, email: &Email) -> anyhow::Result<User> {
    let user = users::by_login(tollgate.db(), &email.login_key()).await?;
    user.ok_or_else(|| anyhow!("no user has the e-mail address {}", email.as_str()))
}

/// Prints what is known of a user: an address alone does not say who has signed up with it.
fn show(user: &User) {
    println!("{}", user.email);
    println!("  user        {}", user.id);
    println!("  signed up   {}", user.created_at);
    println!("  verified    no: anyone can sign up with any address");
}

async fn set(tollgate: &Tollgate, user: &User, role: Role) -> anyhow::Result<()> {
    if !set_role(tollgate, &OperatorPermit::for_cli(), &user.id, role).await? {
        bail!("{} has closed the account in the meantime", user.email);
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
