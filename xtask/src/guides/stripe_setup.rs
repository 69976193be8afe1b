//! `skills/stripe-setup/SKILL.md`: adds the engine to a small app (`xtask/scaffold`), starts it, and goes
//! through the verification checklist.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use super::blocks::{self, Block, Kind};
use super::shell::{Shell, without_settings};
use super::tree;
use crate::postgres::free_port;
use crate::process::{self, Group, step};
use crate::project::Project;
use crate::server;

const DOCUMENT: &str = "skills/stripe-setup/SKILL.md";
/// The app before the first step.
const SCAFFOLD: [&str; 3] = ["Cargo.toml", "src/main.rs", "src/users.rs"];
/// The command that starts the app. The commands after it use the running app.
const START: &str = "cargo run --features sandbox\n";
/// Makes `cargo run … -- ARGUMENTS` start the program that was built at [`START`].
const CARGO: &str =
    r#"while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done; [ $# -eq 0 ] || shift; "$ACME_PROGRAM" "$@""#;

/// Follows the whole guide.
pub fn follow(project: &Project) -> anyhow::Result<()> {
    step("Following the guide in skills/stripe-setup");
    let mut app = App::new(project)?;
    for block in blocks::read(&project.root, DOCUMENT)? {
        app.follow(&app.with_ports_of_block(block))?;
    }
    ensure!(app.running.is_some(), "{DOCUMENT} does not start the app with `{}`", START.trim());
    Ok(())
}

struct App<'a> {
    project: &'a Project,
    shell: Shell,
    port: u16,
    sandbox_port: u16,
    // Fields are dropped in this order: the app before its folder.
    running: Option<Group>,
    folder: TempDir,
}

impl<'a> App<'a> {
    /// Creates the scaffold next to a checkout of Tollgate, as a member of its workspace. That way, cargo
    /// enables the same features as for the tests, and builds only the app.
    fn new(project: &'a Project) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        tree::link(project, &folder.path().join("tollgate"), "../acme")?;
        let shell = Shell::new(&folder.path().join("acme"), CARGO, vec![("ACME_PROGRAM", program(project))])?;
        let app = Self { project, shell, port: free_port()?, sandbox_port: free_port()?, running: None, folder };
        for file in SCAFFOLD {
            let text = fs::read_to_string(project.root.join("xtask/scaffold").join(file)).context(file)?;
            let text = text.replacen("[package]\n", "[package]\nworkspace = \"../tollgate\"\n", 1);
            tree::write(&app.path(), file, &app.with_ports(&text), true)?;
        }
        Ok(app)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("acme")
    }

    /// Replaces the documented ports, which may be in use.
    fn with_ports(&self, text: &str) -> String {
        text.replace(":3000", &format!(":{}", self.port)).replace(":12111", &format!(":{}", self.sandbox_port))
    }

    fn with_ports_of_block(&self, block: Block) -> Block {
        let kind = match block.kind {
            Kind::Commands { is_repeated, output } => {
                Kind::Commands { is_repeated, output: output.map(|output| self.with_ports(&output)) }
            }
            kind => kind,
        };
        Block { kind, text: self.with_ports(&block.text), ..block }
    }

    fn follow(&mut self, block: &Block) -> anyhow::Result<()> {
        match &block.kind {
            Kind::File { path, is_whole } => tree::write(&self.path(), path, &block.text, *is_whole),
            Kind::Commands { .. } if block.text == START => {
                self.running = Some(self.start().with_context(|| block.place.clone())?);
                Ok(())
            }
            Kind::Commands { .. } => self.shell.follow(block),
            Kind::Shown => Ok(()),
        }
    }

    fn start(&self) -> anyhow::Result<Group> {
        let mut build = self.project.cargo();
        build.args(["build", "--offline", "--workspace", "--features", "sandbox", "--bin", "acme"]);
        process::run(build.current_dir(self.folder.path().join("tollgate")))?;
        let log = self.path().join("log");
        let output = fs::File::create(&log).context("cannot create the log file")?;
        let mut command = Command::new(program(self.project));
        command.current_dir(self.path()).stdout(output.try_clone()?).stderr(output);
        let mut app = Group::spawn(without_settings(&mut command))?;
        server::wait_until_ready(&mut app, &format!("http://127.0.0.1:{}/", self.port))
            .with_context(|| format!("the app did not start:\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        Ok(app)
    }
}

fn program(project: &Project) -> PathBuf {
    project.target.join("debug/acme")
}
