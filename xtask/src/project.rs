//! Where things lie: the checkout, cargo's target folder, and cargo itself.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

/// A checkout and the folder its builds go to.
pub struct Project {
    /// The workspace's root.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Project {
    /// The checkout is the one around the current folder, the target folder the one that this
    /// very program lies in: several checkouts may share it.
    pub fn locate() -> anyhow::Result<Self> {
        let here = env::current_dir().context("there is no current folder")?;
        let root = here
            .ancestors()
            .find(|folder| folder.join("xtask/Cargo.toml").is_file())
            .context("the current folder is in no checkout of Tollgate")?;
        let program = env::current_exe().context("xtask cannot find itself")?;
        let target = program.ancestors().nth(2).context("xtask does not lie in a target folder")?;
        Ok(Self { root: root.to_owned(), target: target.to_owned() })
    }

    /// The finished site: `pkg/`, public files, and `manifest.json`.
    pub fn site(&self) -> PathBuf {
        self.target.join("site")
    }

    /// The cargo that the set-up chose, in the checkout.
    pub fn cargo(&self) -> Command {
        self.tool("cargo")
    }

    /// `cargo NAME`, from the same toolchain as the compiler (`CARGO_CLIPPY`, `CARGO_FMT`
    /// name it where cargo itself would pick another one).
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
