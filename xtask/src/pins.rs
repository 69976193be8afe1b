//! Checks that everything that others could replace under its name is pinned: images by digest, actions by
//! commit. Also checks that `.dockerignore` keeps `.env` files, and so their secrets, out of images.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// `.env` files in every folder, in the syntax of `.dockerignore`.
const ENV_FILES: &str = "**/.env*";

/// Checks every Dockerfile, compose file and workflow among `files`, and `.dockerignore`.
pub fn check(root: &Path, files: &[String]) -> anyhow::Result<()> {
    let mut found = String::new();
    for file in files {
        let unpinned: fn(&str) -> Vec<String> = match file.as_str() {
            "Dockerfile" => unpinned_bases,
            "compose.yaml" => |text| unpinned_values(text, "image:", is_digest),
            file if file.starts_with(".github/workflows/") => |text| unpinned_values(text, "uses:", is_commit),
            _ => continue,
        };
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        for name in unpinned(&text) {
            found += &format!("\n{file}: {name}");
        }
    }
    if !found.is_empty() {
        bail!("not pinned (an image by its digest, an action by its full commit):{found}");
    }
    let ignored = fs::read_to_string(root.join(".dockerignore")).context("cannot read .dockerignore")?;
    if !leaves_out_env_files(&ignored) {
        bail!(".dockerignore must leave out `{ENV_FILES}` and make no exceptions: these files contain secrets");
    }
    Ok(())
}

/// Whether `.dockerignore` leaves out every `.env` file. Any exception might add one again.
fn leaves_out_env_files(ignored: &str) -> bool {
    let mut lines = ignored.lines().map(str::trim);
    lines.clone().any(|line| line == ENV_FILES) && !lines.any(|line| line.starts_with('!'))
}

/// Returns the base images without a digest. An earlier stage of the same file needs none.
fn unpinned_bases(text: &str) -> Vec<String> {
    let mut stages = Vec::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--platform")).collect();
        let [from, image, rest @ ..] = words.as_slice() else { continue };
        if !from.eq_ignore_ascii_case("FROM") {
            continue;
        }
        if !is_digest(image) && !stages.contains(image) {
            found.push((*image).to_owned());
        }
        stages.extend(rest.get(1));
    }
    found
}

/// Returns the values of a key that are not pinned.
fn unpinned_values(text: &str, key: &str, is_pinned: fn(&str) -> bool) -> Vec<String> {
    let values = text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
    let values = values.filter_map(|value| value.split_whitespace().next());
    values.filter(|value| !value.starts_with("./") && !is_pinned(value)).map(str::to_owned).collect()
}

fn is_digest(image: &str) -> bool {
    image.split_once("@sha256:").is_some_and(|(_, digest)| is_hex(digest, 64))
}

fn is_commit(action: &str) -> bool {
    action.split_once('@').is_some_and(|(_, commit)| is_hex(commit, 40))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_image_needs_a_digest_unless_it_is_a_stage() {
        let digest = "a".repeat(64);
        let text = format!("FROM rust:1@sha256:{digest} AS build\nFROM build AS test\nFROM --platform=x debian:12\n");
        assert_eq!(unpinned_bases(&text), ["debian:12"]);
        assert_eq!(unpinned_bases("FROM debian@sha256:abc"), ["debian@sha256:abc"]);
    }

    #[test]
    fn env_files_are_left_out_of_images() {
        assert!(leaves_out_env_files(".git\n**/.env*\ntarget\n"));
        for ignored in ["", ".env*", "# **/.env*", "**/.env", "**/.env*\n!.env.production", "!app\n**/.env*"] {
            assert!(!leaves_out_env_files(ignored), "{ignored}");
        }
    }

    #[test]
    fn an_action_needs_a_whole_commit() {
        let commit = "b".repeat(40);
        let text = format!("- uses: a/b@{commit} # v1\n  uses: a/c@v4\n- uses: ./local\n- uses: a/d@{}", &commit[..7]);
        assert_eq!(unpinned_values(&text, "uses:", is_commit), ["a/c@v4", "a/d@bbbbbbb"]);
    }
}
