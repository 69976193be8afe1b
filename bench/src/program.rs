//! Server processes, stopped when dropped.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

use crate::load::{Connection, request};
use crate::response::Response;
use crate::signature::SECRET;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A server on a free port.
pub struct Program {
    /// The port on the loopback address.
    pub port: u16,
    /// The id of the process.
    pub process: u32,
    _child: Child,
}

impl Program {
    /// Starts the release binary on a database, with `stripe` in place of Stripe's API.
    pub async fn tollgate(binary: &Path, folder: &Path, database: &str, stripe: &str) -> anyhow::Result<Self> {
        let port = free_port()?;
        let log = File::create(folder.join("tollgate.log"))?;
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .current_dir(folder)
            .env("APP_ENV", "production")
            .env("APP_URL", format!("http://127.0.0.1:{port}"))
            .env("BIND_ADDR", format!("127.0.0.1:{port}"))
            .env("DATABASE_URL", database)
            .env("STRIPE_SECRET_KEY", "sk_test_sandbox")
            .env("STRIPE_WEBHOOK_SECRET", SECRET)
            .env("STRIPE_API_BASE", stripe)
            .env("API_CALLS_PER_SECOND", "unlimited")
            .env("USAGE_HISTORY_DAYS", "forever")
            .env("TOLLGATE_SITE", site(folder)?)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdout(Stdio::null())
            .stderr(log);
        start(command, port, &folder.join("tollgate.log")).await
    }

    /// Starts the baseline with the response that it sends.
    pub async fn baseline(folder: &Path, response: Option<&Response>) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["baseline", "--port", &port.to_string()]);
        if let Some(response) = response {
            let path = folder.join("response");
            std::fs::write(&path, response.to_bytes())?;
            command.arg("--response").arg(path);
        }
        start(command, port, Path::new("")).await
    }
}

async fn start(mut command: Command, port: u16, log: &Path) -> anyhow::Result<Program> {
    let mut child = command.kill_on_drop(true).stdin(Stdio::null()).spawn().context("cannot start the server")?;
    let deadline = Instant::now() + START_TIMEOUT;
    let health = request("GET", "/healthz", port, &[], b"");
    loop {
        if let Ok(mut connection) = Connection::open(port).await
            && connection.send(&health).await.is_ok_and(|status| status == 200)
        {
            return Ok(Program { port, process: child.id().unwrap_or_default(), _child: child });
        }
        if child.try_wait()?.is_some() || Instant::now() > deadline {
            bail!("the server did not start:\n{}", std::fs::read_to_string(log).unwrap_or_default());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Creates the site that the pages need: a manifest and a stylesheet.
fn site(folder: &Path) -> anyhow::Result<PathBuf> {
    let site = folder.join("site");
    std::fs::create_dir_all(site.join("pkg"))?;
    std::fs::write(site.join("manifest.json"), r#"{"script":"tollgate-0","style":"style-0.css"}"#)?;
    std::fs::write(site.join("pkg/style-0.css"), "body{}")?;
    Ok(site)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).context("no free port")?.local_addr()?.port())
}
