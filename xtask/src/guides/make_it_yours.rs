//! `docs/MAKE-IT-YOURS.md`: runs its steps on a copy of the checkout, which must compile afterwards.

use std::process::Command;

use anyhow::Context;

use super::blocks::{self, Kind};
use super::shell::Shell;
use super::tree;
use crate::process::{self, step};
use crate::project::Project;

const DOCUMENT: &str = "docs/MAKE-IT-YOURS.md";

/// Runs every command of the document.
pub fn follow(project: &Project) -> anyhow::Result<()> {
    step("Following docs/MAKE-IT-YOURS.md on a copy of the checkout");
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    tree::copy(project, folder.path())?;
    for arguments in [["init", "--quiet"], ["add", "--all"]] {
        process::run(Command::new("git").args(arguments).current_dir(folder.path()))?;
    }
    let cargo = project.cargo().get_program().into();
    let environment = vec![
        ("CARGO_PROGRAM", cargo),
        ("CARGO_TARGET_DIR", project.target.clone()),
        // Everything has already been downloaded for the tests.
        ("CARGO_NET_OFFLINE", "true".into()),
    ];
    let shell = Shell::new(folder.path(), r#"command "$CARGO_PROGRAM" "$@""#, environment)?;
    for block in blocks::read(&project.root, DOCUMENT)? {
        match &block.kind {
            Kind::File { path, is_whole } => tree::write(folder.path(), path, &block.text, *is_whole)?,
            Kind::Commands { .. } => shell.follow(&block)?,
            Kind::Shown => {}
        }
    }
    Ok(())
}
