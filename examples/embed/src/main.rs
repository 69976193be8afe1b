//! Starts the app with the sandbox in place of Stripe.

use std::net::Ipv4Addr;

use embed::{billing, host};
use engine::{DatabaseUrl, Urls, catalog};
use tokio_util::sync::CancellationToken;
use url::Url;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Other ports than 3000 and 12111: `cargo run -p embed -- 4000 4001`.
    let mut ports = std::env::args().skip(1).map(|port| port.parse::<u16>());
    let (port, sandbox_port) = (ports.next().unwrap_or(Ok(3000))?, ports.next().unwrap_or(Ok(12_111))?);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let home: Url = format!("http://localhost:{port}").parse()?;
    std::fs::create_dir_all("data")?;
    let users = host::Users::connect("sqlite:data/embed.db?mode=rwc").await?;

    let urls = Urls { upgrade: home.join("/pricing")?, ..Urls::at(&home) };
    let (_sandbox, stripe) = billing::sandbox((Ipv4Addr::LOCALHOST, sandbox_port).into(), &urls).await?;
    let engine = billing::engine(DatabaseUrl::parse("sqlite:data/embed-billing.db")?, stripe, urls).await?;
    catalog::apply_all(engine.gateway(), engine.catalog()).await?;
    engine.spawn(&CancellationToken::new());
    let app = billing::add(host::router(users.clone()), &engine, users)?;

    println!("{home}");
    Ok(axum::serve(listener, app).await?)
}
