//! The code blocks of a Markdown document, and what to do with them.
//!
//! | info string | meaning |
//! |---|---|
//! | `sh` | commands to run |
//! | `sh eventually` | commands to repeat until they print what is documented: a webhook has to arrive first |
//! | `sh live` | commands that need a Stripe account, and are not run |
//! | `text` | what the commands before it print |
//! | `rust src/main.rs` | to be added to the end of this file |
//! | `rust src/main.rs replace` | the whole file |
//!
//! Anything else is only shown.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// A code block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it is, such as `docs/EMBED.md:12`.
    pub place: String,
    /// What to do with it.
    pub kind: Kind,
    /// The lines between the fences.
    pub text: String,
}

/// What to do with a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Run it, and compare with the documented output, if there is one.
    Commands {
        /// Whether to repeat it until it prints what is documented.
        is_repeated: bool,
        /// The documented output.
        output: Option<String>,
    },
    /// Write it to a file.
    File {
        /// The file, relative to the app.
        path: String,
        /// Whether it is the whole file, and not an addition.
        is_whole: bool,
    },
    /// Nothing: it is only shown.
    Shown,
}

/// Reads the blocks of a document of the checkout.
pub fn read(root: &Path, document: &str) -> anyhow::Result<Vec<Block>> {
    let text = fs::read_to_string(root.join(document)).with_context(|| format!("cannot read {document}"))?;
    parse(document, &text)
}

fn parse(document: &str, markdown: &str) -> anyhow::Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = markdown.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let place = format!("{document}:{number}");
        let mut text = String::new();
        loop {
            match lines.next() {
                Some(("```", _)) => break,
                Some((line, _)) => text += &format!("{line}\n"),
                None => bail!("{place}: this block has no end"),
            }
        }
        if info == "text" {
            let commands = blocks.last_mut().map(|block| &mut block.kind);
            let Some(Kind::Commands { output: output @ None, .. }) = commands else {
                bail!("{place}: an output needs commands before it");
            };
            *output = Some(text);
        } else {
            let kind = kind(info).with_context(|| format!("{place}: `{info}` has no meaning"))?;
            blocks.push(Block { place, kind, text });
        }
    }
    let unmet = |block: &&Block| matches!(block.kind, Kind::Commands { is_repeated: true, output: None });
    if let Some(Block { place, .. }) = blocks.iter().find(unmet) {
        bail!("{place}: commands that are repeated need an output");
    }
    ensure!(!blocks.is_empty(), "{document} has no code blocks");
    Ok(blocks)
}

fn kind(info: &str) -> Option<Kind> {
    let words: Vec<&str> = info.split_whitespace().collect();
    let file = |path: &str, is_whole| Some(Kind::File { path: path.to_owned(), is_whole });
    match words[..] {
        ["sh"] => Some(Kind::Commands { is_repeated: false, output: None }),
        ["sh", "eventually"] => Some(Kind::Commands { is_repeated: true, output: None }),
        [] | [_] | ["sh", "live"] => Some(Kind::Shown),
        [_, path] => file(path, false),
        [_, path, "replace"] => file(path, true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(is_repeated: bool, output: Option<&str>) -> Kind {
        Kind::Commands { is_repeated, output: output.map(str::to_owned) }
    }

    #[test]
    fn a_block_is_what_its_info_string_says() {
        let markdown = "Text\n\n```rust src/a.rs\nfn a() {}\n```\n\n```sh live\nstripe login\n```\n```sh\nls\n```\n\n\
            ```text\na\n```\n```rust src/a.rs replace\n```\n";
        let blocks = parse("a.md", markdown).expect("the document has no errors");
        let file = |is_whole| Kind::File { path: "src/a.rs".to_owned(), is_whole };
        let kinds: Vec<&Kind> = blocks.iter().map(|block| &block.kind).collect();
        assert_eq!(kinds, [&file(false), &Kind::Shown, &commands(false, Some("a\n")), &file(true)]);
        assert_eq!((blocks[2].place.as_str(), blocks[2].text.as_str()), ("a.md:10", "ls\n"));
    }

    #[test]
    fn what_cannot_be_followed_is_an_error() {
        for (markdown, error) in [
            ("```sh\nls\n", "a.md:1: this block has no end"),
            ("```text\na\n```\n", "a.md:1: an output needs commands before it"),
            ("```sh eventually\nls\n```\n", "a.md:1: commands that are repeated need an output"),
            ("```rust src/a.rs twice\n```\n", "a.md:1: `rust src/a.rs twice` has no meaning"),
            ("Text\n", "a.md has no code blocks"),
        ] {
            assert_eq!(parse("a.md", markdown).expect_err(markdown).to_string(), error);
        }
    }
}
