//! Copies of the checkout for a document to work on.
//!
//! Cargo identifies a package by its path in the workspace and the modification times of its files. So a copy
//! with the same times, or with links instead of files, reuses the build of everything that it does not
//! change.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::project::Project;

/// Creates a workspace of links to the checkout's files, with one more member.
pub fn link(project: &Project, folder: &Path, member: &str) -> anyhow::Result<()> {
    fs::create_dir(folder).context("cannot create a workspace")?;
    let entries: BTreeSet<_> =
        project.files()?.iter().filter_map(|file| file.split('/').next()).map(str::to_owned).collect();
    for entry in entries.iter().filter(|entry| !["Cargo.toml", "Cargo.lock"].contains(&entry.as_str())) {
        symlink(project.root.join(entry), folder.join(entry)).with_context(|| format!("cannot link {entry}"))?;
    }
    let manifest = fs::read_to_string(project.root.join("Cargo.toml")).context("Cargo.toml")?;
    let (members, with_member) = ("members = [", format!("members = [\"{member}\", "));
    ensure!(manifest.contains(members), "the workspace's Cargo.toml has no `{members}`");
    fs::write(folder.join("Cargo.toml"), manifest.replacen(members, &with_member, 1))?;
    // Cargo adds the member.
    fs::copy(project.root.join("Cargo.lock"), folder.join("Cargo.lock")).context("Cargo.lock")?;
    Ok(())
}

/// Copies the checkout's files, with their modification times.
pub fn copy(project: &Project, folder: &Path) -> anyhow::Result<()> {
    for file in project.files()? {
        let (from, to) = (project.root.join(&file), folder.join(&file));
        copy_file(&from, &to).with_context(|| format!("cannot copy {file}"))?;
    }
    Ok(())
}

/// Adds text to the end of a file, or replaces the whole file.
pub fn write(folder: &Path, file: &str, text: &str, is_whole: bool) -> anyhow::Result<()> {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    let mut options = File::options();
    let options = if is_whole { options.write(true).truncate(true) } else { options.append(true) };
    let mut opened = options.create(true).open(path).with_context(|| format!("cannot write {file}"))?;
    opened.write_all(text.as_bytes()).with_context(|| format!("cannot write {file}"))
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(from, to)?;
    let modified = fs::metadata(from)?.modified()?;
    File::options().write(true).open(to)?.set_modified(modified)?;
    Ok(())
}
