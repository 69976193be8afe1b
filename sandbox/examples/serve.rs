//! Runs a standalone sandbox until Ctrl-C: `cargo run -p sandbox --example serve [PORT]`.

use sandbox::Config;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::development();
    if let Some(port) = std::env::args().nth(1) {
        config.addr.set_port(port.parse()?);
    }
    let sandbox = sandbox::start(config).await?;
    println!("STRIPE_API_BASE={}", sandbox.url());
    println!("STRIPE_SECRET_KEY=sk_test_sandbox");
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown().await;
    Ok(())
}
