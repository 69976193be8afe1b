//! Starts the app with the sandbox in place of Stripe.

use embed::{billing, host};
use engine::{DatabaseUrl, Urls, catalog};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    std::fs::create_dir_all("data")?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let users = host::Users::connect("sqlite:data/embed.db?mode=rwc").await?;

    let urls = Urls::at(&"http://localhost:3000".parse()?);
    let (_sandbox, stripe) = billing::sandbox("127.0.0.1:12111".parse()?, &urls).await?;
    let engine = billing::engine(DatabaseUrl::parse("sqlite:data/embed-billing.db")?, stripe, urls).await?;
    catalog::apply_all(engine.gateway(), engine.catalog()).await?;
    engine.spawn(&CancellationToken::new());
    let app = billing::add(host::router(users.clone()), &engine, users)?;

    println!("http://localhost:3000");
    Ok(axum::serve(listener, app).await?)
}
