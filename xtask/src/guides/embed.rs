//! `docs/EMBED.md`: checks that it documents the command that starts the example, and starts it.

use std::process::Command;

use anyhow::{Context, ensure};

use super::blocks::{self, Kind};
use crate::postgres::free_port;
use crate::process::{self, Group, step};
use crate::project::Project;
use crate::server;

const DOCUMENT: &str = "docs/EMBED.md";
/// The command that starts the example. The checks build the example with the features of the whole workspace,
/// so that no dependency is built twice, and start it on other ports.
const START: &str = "cargo run -p embed\n";

/// Starts the example and loads its first page.
pub fn follow(project: &Project) -> anyhow::Result<()> {
    step("Starting the example of docs/EMBED.md");
    let blocks = blocks::read(&project.root, DOCUMENT)?;
    let is_start = |block: &blocks::Block| matches!(block.kind, Kind::Commands { .. }) && block.text == START;
    ensure!(blocks.iter().any(is_start), "{DOCUMENT} does not say how to start the example");

    process::run(project.cargo().args(["build", "--workspace", "--features", "sandbox", "--bin", "embed"]))?;
    let (folder, port, sandbox_port) = (tempfile::tempdir()?, free_port()?, free_port()?);
    let mut command = Command::new(project.target.join("debug/embed"));
    command.args([port.to_string(), sandbox_port.to_string()]).current_dir(folder.path());
    let mut app = Group::spawn(&mut command)?;
    server::wait_until_ready(&mut app, &format!("http://127.0.0.1:{port}/")).context("the example did not start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_in_embed_md_is_quoted_from_the_example() {
        let example = [
            include_str!("../../../examples/embed/src/billing.rs"),
            include_str!("../../../examples/embed/src/main.rs"),
            include_str!("../../../examples/embed/plans.toml"),
        ]
        .concat();
        let project = Project::locate().expect("the tests run in the checkout");
        let blocks = blocks::read(&project.root, DOCUMENT).expect("the document can be read");
        let code = blocks.iter().filter(|block| block.kind == Kind::Shown && !block.text.starts_with("[dependencies]"));
        let mut found = 0;
        for block in code {
            assert!(example.contains(&block.text), "{} is not in examples/embed:\n{}", block.place, block.text);
            found += 1;
        }
        assert!(found > 8, "{DOCUMENT} shows {found} parts of the example");
    }
}
