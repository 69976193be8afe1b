//! The binary: its commands, and the server with the sandbox inside.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::config::free_address;
use super::database::Database;
use super::wait::until;

/// The program in an empty environment and an empty folder.
pub fn tollgate(files: &TempDir, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.env_clear().current_dir(files.path()).envs(variables.iter().copied());
    command
}

/// The program, serving. Killed if a test fails before it is stopped.
pub struct Program {
    child: Child,
    pub url: String,
    log: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Program {
    /// Starts a server on a database and waits until it is ready.
    pub async fn start(database: &Database, variables: &[(&str, &str)]) -> Self {
        let program = Self::spawn(database, variables);
        until(async || program.ready().await.is_some_and(|(status, _)| status == 200)).await;
        program
    }

    /// Starts a server that may open this many file descriptors, and waits until it is ready.
    pub async fn start_with_descriptors(database: &Database, descriptors: u32) -> Self {
        let program = Self::spawn_after(&format!("ulimit -n {descriptors}"), database, &[]);
        until(async || program.ready().await.is_some_and(|(status, _)| status == 200)).await;
        program
    }

    /// Starts a server, which may fail.
    pub fn spawn(database: &Database, variables: &[(&str, &str)]) -> Self {
        // A write beyond the file size limit returns an error instead of killing the program.
        Self::spawn_after("trap '' XFSZ", database, variables)
    }

    /// Starts a server in a process that was set up by a shell command.
    fn spawn_after(setup: &str, database: &Database, variables: &[(&str, &str)]) -> Self {
        let site = database.files.path().join("site");
        std::fs::create_dir_all(&site).unwrap();
        std::fs::write(site.join("manifest.json"), r#"{"script": "s", "style": "s.css"}"#).unwrap();
        let address = free_address();
        let url = format!("http://{address}");
        let log = database.files.path().join(format!("log-{}", address.port()));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{setup}; exec \"$0\" serve"), env!("CARGO_BIN_EXE_tollgate")]);
        command
            .env_clear()
            .current_dir(database.files.path())
            .env("APP_URL", &url)
            .env("BIND_ADDR", address.to_string())
            .env("SANDBOX_ADDR", "127.0.0.1:0")
            .env("DATABASE_URL", &database.url)
            .env("TOLLGATE_SITE", &site)
            .envs(variables.iter().copied())
            .stderr(File::create(&log).unwrap())
            .stdout(Stdio::null());
        Self { child: command.spawn().unwrap(), url, log }
    }

    /// The status and body of `/readyz`; `None` when nothing responds.
    pub async fn ready(&self) -> Option<(u16, serde_json::Value)> {
        let response = reqwest::get(format!("{}/readyz", self.url)).await.ok()?;
        Some((response.status().as_u16(), response.json().await.ok()?))
    }

    /// The process id.
    pub fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Kills it in the middle of its work.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended by itself, and returns its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let child = std::sync::Mutex::new(&mut self.child);
        until(async || child.lock().unwrap().try_wait().unwrap().is_some()).await;
        self.child.wait().unwrap().code()
    }

    /// Stops it as a supervisor does, waits, and returns its log.
    pub async fn stop(&mut self) -> String {
        assert!(Command::new("kill").args(["-TERM", &self.id()]).status().unwrap().success());
        until(async || self.log().contains("INFO stopped\n")).await;
        assert!(self.child.wait().unwrap().success());
        self.log()
    }
}
