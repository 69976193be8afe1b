//! Running the commands of a document.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::blocks::{Block, Kind};
use crate::process::Group;

/// The time for which commands that wait for a webhook are retried.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A shell in a folder, with a function in place of `cargo`.
pub struct Shell {
    folder: PathBuf,
    /// The body of the function `cargo`.
    cargo: String,
    environment: Vec<(&'static str, PathBuf)>,
    output: TempDir,
}

impl Shell {
    /// Creates a shell in `folder`. `cargo` is the body of the function that replaces it.
    pub fn new(folder: &Path, cargo: &str, environment: Vec<(&'static str, PathBuf)>) -> anyhow::Result<Self> {
        let output = tempfile::tempdir().context("cannot create a temporary folder")?;
        Ok(Self { folder: folder.to_owned(), cargo: cargo.to_owned(), environment, output })
    }

    /// Runs the commands of a block, if it has any, and compares their output with the documented output.
    pub fn follow(&self, block: &Block) -> anyhow::Result<()> {
        let Kind::Commands { is_repeated, output } = &block.kind else { return Ok(()) };
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let printed = self.run(&block.text).with_context(|| block.place.clone())?;
            match output {
                Some(documented) if *documented != printed => {
                    if !is_repeated || Instant::now() > deadline {
                        bail!("{}: expected output:\n{documented}\nactual output:\n{printed}", block.place);
                    }
                }
                _ => return Ok(()),
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Runs commands until one fails, and returns their output.
    fn run(&self, commands: &str) -> anyhow::Result<String> {
        let file = |name| self.output.path().join(name);
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &format!("cargo() {{ {}; }}\n{commands}", self.cargo)]).current_dir(&self.folder);
        shell.stdout(fs::File::create(file("stdout"))?).stderr(fs::File::create(file("stderr"))?);
        let status = Group::spawn(without_settings(&mut shell).envs(self.environment.iter().cloned()))?.wait()?;
        let printed = fs::read_to_string(file("stdout"))?;
        if !status.success() {
            let errors = fs::read_to_string(file("stderr"))?;
            bail!("{status} of\n{commands}\n{printed}{errors}");
        }
        Ok(printed)
    }
}

/// Removes the environment variables that the documents set or the app reads.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let is_setting = |name: &str| {
            ["STRIPE_", "TOLLGATE_"].iter().any(|prefix| name.starts_with(prefix))
                || ["APP_URL", "DATABASE_URL"].contains(&name)
        };
        if name.to_str().is_some_and(is_setting) {
            command.env_remove(name);
        }
    }
    command
}
