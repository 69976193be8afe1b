//! Paths and programs: the checkout, cargo's target folder, and cargo itself.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

/// A checkout and its target folder.
pub struct Project {
    /// The workspace's root.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Project {
    /// Finds the checkout that contains the current folder, and the target folder that contains this
    /// program. Several checkouts can share a target folder.
    pub fn locate() -> anyhow::Result<Self> {
        let here = env::current_dir().context("cannot find the current folder")?;
        let root = here
            .ancestors()
            .find(|folder| folder.join("xtask/Cargo.toml").is_file())
            .context("the current folder is not in a checkout of Tollgate")?;
        let program = env::current_exe().context("xtask cannot find itself")?;
        let target = program.ancestors().nth(2).context("xtask is not in a target folder")?;
        Ok(Self { root: root.to_owned(), target: target.to_owned() })
    }

    /// Returns the folder of the built site.
    pub fn site(&self) -> PathBuf {
        self.target.join("site")
    }

    /// Returns the files of the checkout, relative to its root, except those that git ignores.
    pub fn files(&self) -> anyhow::Result<Vec<String>> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&self.root);
        let output = git.output().context("cannot start git")?;
        ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
        let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        // A deleted file stays in the index until the deletion is staged.
        Ok(names.split_terminator('\0').filter(|name| self.root.join(name).is_file()).map(str::to_owned).collect())
    }

    /// Returns a command for the cargo that the setup selected, run in the checkout.
    pub fn cargo(&self) -> Command {
        self.tool("cargo")
    }

    /// Returns `cargo NAME`, from the same toolchain as the compiler. The setup sets `CARGO_CLIPPY` and
    /// `CARGO_FMT` if cargo would run a different one.
    pub fn cargo_plugin(&self, name: &str) -> Command {
        let mut command = match env::var_os(format!("CARGO_{}", name.to_uppercase())) {
            Some(plugin) => Command::new(plugin),
            None => self.cargo(),
        };
        command.arg(name).current_dir(&self.root);
        command
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(env::var_os(name.to_uppercase()).unwrap_or_else(|| name.into()));
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}
