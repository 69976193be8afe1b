//! The built binary as a server to send requests to, on free ports and with its own database.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, bail};
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::header::AUTHORIZATION;

use crate::postgres::free_port;
use crate::process::{Group, interrupted};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Extra environment variables of a server.
pub type Environment = [(&'static str, OsString)];

/// A binary and its configuration.
pub struct Server {
    pub binary: PathBuf,
    /// The site folder; `None` if the site is embedded in the binary.
    pub site: Option<PathBuf>,
    /// Whether the binary contains the sandbox. If not, it gets placeholder keys.
    pub sandbox: bool,
}

/// A running server, stopped when dropped.
pub struct Running {
    /// The origin, such as `http://127.0.0.1:3000`.
    pub origin: String,
    /// The base URL of the sandbox's API, if the server has one.
    stripe: String,
    // Fields are dropped in this order: the server before its folder.
    _server: Group,
    _folder: TempDir,
}

impl Server {
    /// Starts the binary and waits until it is healthy.
    pub fn start(&self, environment: &Environment) -> anyhow::Result<Running> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let (port, sandbox_port) = (free_port()?, free_port()?);
        let origin = format!("http://127.0.0.1:{port}");
        let mut command = self.command(folder.path(), port, sandbox_port);
        command.envs(environment.iter().map(|(name, value)| (name, value)));

        let log = folder.path().join("log");
        let output = fs::File::create(&log).context("cannot create the log file")?;
        let mut server = Group::spawn(command.stdout(output.try_clone()?).stderr(output))?;
        wait_until_ready(&mut server, &format!("{origin}/healthz"))
            .with_context(|| format!("the server did not start:\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        Ok(Running { origin, stripe: format!("http://127.0.0.1:{sandbox_port}/v1"), _server: server, _folder: folder })
    }

    /// Returns the command, which runs outside the checkout so that its `.env` and `data/` are not used.
    fn command(&self, folder: &Path, port: u16, sandbox_port: u16) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("serve").current_dir(folder);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("STRIPE_") || name.starts_with("TOLLGATE_")) {
                command.env_remove(name);
            }
        }
        command
            .env("APP_ENV", "development")
            .env("APP_URL", format!("http://127.0.0.1:{port}"))
            .env("BIND_ADDR", format!("127.0.0.1:{port}"))
            .env("DATABASE_URL", format!("sqlite:{}", folder.join("report.db").display()));
        if let Some(site) = &self.site {
            command.env("TOLLGATE_SITE", site);
        }
        if self.sandbox {
            command.env("SANDBOX_ADDR", format!("127.0.0.1:{sandbox_port}"));
        } else {
            command
                .env("STRIPE_SECRET_KEY", "sk_test_placeholder")
                .env("STRIPE_WEBHOOK_SECRET", "whsec_placeholder")
                .env("STRIPE_API_BASE", format!("http://127.0.0.1:{sandbox_port}"))
                .env("STRIPE_PRO_PRICE_ID", "price_pro_placeholder")
                .env("STRIPE_ENTERPRISE_PRICE_ID", "price_enterprise_placeholder");
        }
        command
    }
}

impl Running {
    /// Cancels every subscription in the sandbox.
    pub fn end_subscriptions(&self) -> anyhow::Result<()> {
        let (agent, authorization) = (agent(), "Bearer sk_test_sandbox");
        let list = agent.get(format!("{}/subscriptions", self.stripe)).header(AUTHORIZATION, authorization).call()?;
        let list: serde_json::Value = serde_json::from_reader(list.into_body().into_reader())?;
        for subscription in list["data"].as_array().into_iter().flatten() {
            let url = format!("{}/subscriptions/{}", self.stripe, subscription["id"].as_str().unwrap_or_default());
            let response = agent.delete(&url).header(AUTHORIZATION, authorization).call()?;
            anyhow::ensure!(response.status() == 200, "DELETE {url} returned {}", response.status());
        }
        Ok(())
    }

    /// Returns the status of an API call with an API key.
    pub fn status_for(&self, key: &str) -> anyhow::Result<u16> {
        let call = agent().get(format!("{}/api/v1/usage", self.origin));
        Ok(call.header(AUTHORIZATION, format!("Bearer {key}")).call()?.status().as_u16())
    }
}

/// Creates an HTTP client that returns redirects and errors as they are.
pub fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into()
}

/// Waits until a server returns 200 at `url`.
pub fn wait_until_ready(server: &mut Group, url: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    let agent = agent();
    while !agent.get(url).call().is_ok_and(|response| response.status() == 200) {
        if interrupted() {
            bail!("interrupted");
        }
        if let Some(status) = server.ended()? {
            bail!("it exited with {status}");
        }
        if Instant::now() > deadline {
            bail!("{url} did not return 200 within {} s", START_TIMEOUT.as_secs());
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
