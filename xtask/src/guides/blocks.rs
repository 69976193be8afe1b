//! The code blocks of a Markdown document, and their meaning.
//!
//! | info string | meaning |
//! |---|---|
//! | `sh` | commands to run |
//! | `sh eventually` | commands to retry until they print the documented output, because they wait for a webhook |
//! | `sh live` | commands that need a Stripe account, and are not run |
//! | `text` | the output of the preceding commands |
//! | `rust src/main.rs` | text to append to the file |
//! | `rust src/main.rs replace` | the complete file |
//!
//! Other blocks are ignored.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// A code block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The location, such as `docs/EMBED.md:12`.
    pub place: String,
    /// The meaning of the block.
    pub kind: Kind,
    /// The lines between the fences.
    pub text: String,
}

/// The meaning of a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands to run. Their output is compared with the documented one, if any.
    Commands {
        /// Whether to retry until the output matches.
        is_repeated: bool,
        /// The documented output.
        output: Option<String>,
    },
    /// Text to write to a file.
    File {
        /// The file, relative to the app.
        path: String,
        /// Whether the text replaces the file instead of being appended.
        is_whole: bool,
    },
    /// A block that is ignored.
    Shown,
}

/// Reads the blocks of a document in the checkout.
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
                None => bail!("{place}: this block is not closed"),
            }
        }
        if info == "text" {
            let commands = blocks.last_mut().map(|block| &mut block.kind);
            let Some(Kind::Commands { output: output @ None, .. }) = commands else {
                bail!("{place}: a `text` block must follow commands");
            };
            *output = Some(text);
        } else {
            let kind = kind(info).with_context(|| format!("{place}: unknown info string `{info}`"))?;
            blocks.push(Block { place, kind, text });
        }
    }
    let unmet = |block: &&Block| matches!(block.kind, Kind::Commands { is_repeated: true, output: None });
    if let Some(Block { place, .. }) = blocks.iter().find(unmet) {
        bail!("{place}: commands to retry need a `text` block");
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
    fn the_info_string_determines_the_meaning() {
        let markdown = "Text\n\n```rust src/a.rs\nfn a() {}\n```\n\n```sh live\nstripe login\n```\n```sh\nls\n```\n\n\
            ```text\na\n```\n```rust src/a.rs replace\n```\n";
        let blocks = parse("a.md", markdown).expect("the document has no errors");
        let file = |is_whole| Kind::File { path: "src/a.rs".to_owned(), is_whole };
        let kinds: Vec<&Kind> = blocks.iter().map(|block| &block.kind).collect();
        assert_eq!(kinds, [&file(false), &Kind::Shown, &commands(false, Some("a\n")), &file(true)]);
        assert_eq!((blocks[2].place.as_str(), blocks[2].text.as_str()), ("a.md:10", "ls\n"));
    }

    #[test]
    fn malformed_documents_are_rejected() {
        for (markdown, error) in [
            ("```sh\nls\n", "a.md:1: this block is not closed"),
            ("```text\na\n```\n", "a.md:1: a `text` block must follow commands"),
            ("```sh eventually\nls\n```\n", "a.md:1: commands to retry need a `text` block"),
            ("```rust src/a.rs twice\n```\n", "a.md:1: unknown info string `rust src/a.rs twice`"),
            ("Text\n", "a.md has no code blocks"),
        ] {
            assert_eq!(parse("a.md", markdown).expect_err(markdown).to_string(), error);
        }
    }
}
