//! `catalog plan` and `catalog apply`.

use engine::catalog::{self, Change};
use server::config::Config;

use super::database::open_unchecked;
use crate::cli::CatalogCommand;

/// Compares Stripe's products and prices with `plans.toml`, or updates them.
pub async fn run(config: Config, command: CatalogCommand) -> anyhow::Result<()> {
    let tollgate = open_unchecked(config).await?;
    let changes = catalog::plan(tollgate.gateway(), tollgate.catalog()).await?;
    match command {
        CatalogCommand::Plan => plan(&changes),
        CatalogCommand::Apply => {
            for change in &changes {
                catalog::apply(tollgate.gateway(), change).await?;
                println!("done: {change}");
            }
            println!("Stripe matches plans.toml.");
        }
    }
    Ok(())
}

fn plan(changes: &[Change]) {
    for change in changes {
        println!("would {change}");
    }
    if changes.is_empty() {
        println!("Stripe matches plans.toml.");
    } else {
        println!("Nothing was changed. Run `tollgate catalog apply` to apply these changes.");
    }
}
