//! Processes under test, stopped when they are dropped.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

use crate::bare::SECRET;
use crate::load::{Answer, Connection};

/// A server on a port of its own.
pub struct Program {
    /// Where it listens on the loopback address.
    pub port: u16,
    _child: Child,
}

impl Program {
    /// The release binary on a database, with `stripe` in Stripe's place.
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

    /// The yardstick, with an answer to send.
    pub async fn bare(folder: &Path, answer: Option<&[u8]>) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bare", "--port", &port.to_string()]);
        if let Some(answer) = answer {
            let path = folder.join("answer");
            std::fs::write(&path, answer)?;
            command.arg("--answer").arg(path);
        }
        start(command, port, Path::new("")).await
    }
}

async fn start(mut command: Command, port: u16, log: &Path) -> anyhow::Result<Program> {
    let mut child = command.kill_on_drop(true).stdin(Stdio::null()).spawn().context("cannot start a program")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let health = request("GET", "/healthz", port, &[], b"");
    loop {
        if let Ok(mut connection) = Connection::open(port).await
            && connection.ask(&health).await.is_ok_and(|status| status == 200)
        {
            return Ok(Program { port, _child: child });
        }
        if child.try_wait()?.is_some() || Instant::now() > deadline {
            bail!("a program does not come up:\n{}", std::fs::read_to_string(log).unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, port: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// An answer as bytes that the yardstick can be given.
pub fn bytes_of(answer: &Answer) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in &answer.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&answer.body);
    bytes
}

/// The names of scripts and style are all that is needed of a site.
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
