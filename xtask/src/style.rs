//! One stylesheet out of `style/`: the imports of `main.css`, in their order, made small.
//!
//! Smaller here means no comments and no idle whitespace, and nothing cleverer:
//! strings, `url(…)` and the spaces that separate selectors stay as they are.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// Reads `main.css` in `folder`, puts each imported file in the place of its `@import`, and shrinks the result.
pub fn bundle(folder: &Path) -> anyhow::Result<String> {
    let main = read(&folder.join("main.css"))?;
    let mut whole = String::new();
    for (number, line) in main.lines().enumerate() {
        match import(line).with_context(|| format!("style/main.css:{}", number + 1))? {
            None => whole.push_str(line),
            Some(Import { file, layer: None }) => whole.push_str(&read(&folder.join(file))?),
            Some(Import { file, layer: Some(layer) }) => {
                whole.push_str(&format!("@layer {layer} {{\n{}\n}}", read(&folder.join(file))?));
            }
        }
        whole.push('\n');
    }
    Ok(shrink(&whole))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[derive(Debug, PartialEq)]
struct Import<'a> {
    file: &'a str,
    layer: Option<&'a str>,
}

/// `@import "file.css";`, with or without `url(…)` and `layer(name)`; `None` for any other line.
fn import(line: &str) -> anyhow::Result<Option<Import<'_>>> {
    let Some(rest) = line.trim().strip_prefix("@import") else { return Ok(None) };
    let rest = rest.trim().strip_suffix(';').context("an @import ends in `;` on its own line")?.trim();
    let rest = rest.strip_prefix("url(").map_or(rest, |inner| inner.trim());
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'')).context("an @import names a quoted file")?;
    let (file, rest) = rest[1..].split_once(quote).context("an @import closes its quotes")?;
    let rest = rest.trim().trim_start_matches(')').trim();
    let layer = match rest.strip_prefix("layer(").and_then(|inner| inner.strip_suffix(')')) {
        Some(layer) => Some(layer),
        None if rest.is_empty() => None,
        None => bail!("an @import takes a file and layer(…) here, not `{rest}`"),
    };
    Ok(Some(Import { file: file.strip_prefix("./").unwrap_or(file), layer }))
}

/// Drops comments and whitespace that separates nothing.
fn shrink(css: &str) -> String {
    let mut small = String::with_capacity(css.len());
    let mut rest = css;
    let mut gap = false;
    while let Some(next) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
            gap = true;
            continue;
        }
        if next.is_ascii_whitespace() {
            rest = &rest[1..];
            gap = true;
            continue;
        }
        let token = &rest[..token_length(rest)];
        if std::mem::take(&mut gap) && !small.is_empty() && !hugs(next) && !small.ends_with(hugs) {
            small.push(' ');
        }
        if next == '}' && small.ends_with(';') {
            small.pop();
        }
        small.push_str(token);
        rest = &rest[token.len()..];
    }
    small
}

/// Characters that need no space on either side.
fn hugs(c: char) -> bool {
    matches!(c, '{' | '}' | ';' | ',')
}

/// The length of what must stay together: a string, an unquoted `url(…)`, an escape, or one character.
fn token_length(text: &str) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    match text.as_bytes()[0] {
        quote @ (b'"' | b'\'') => {
            let mut escaped = false;
            let end = text.bytes().skip(1).position(|byte| {
                let closes = byte == quote && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            });
            end.map_or(text.len(), |inner| inner + 2)
        }
        b'u' if text.starts_with("url(") && !text[4..].trim_start().starts_with(['"', '\'']) => {
            text.find(')').map_or(text.len(), |end| end + 1)
        }
        b'\\' => first + text[first..].chars().next().map_or(0, char::len_utf8),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_idle_space_go_and_nothing_else() {
        let css = "/* tokens */\n:root {\n  --gap : 4px;\n  --empty: ;\n}\n\na  :hover,\nb > c { margin : 0 auto; content: \"a  /* b */ ;\"; }\n";
        assert_eq!(shrink(css), ":root{--gap : 4px;--empty:}a :hover,b > c{margin : 0 auto;content: \"a  /* b */ ;\"}");
    }

    #[test]
    fn unquoted_urls_are_left_alone() {
        let css = "a { background: url(data:image/svg+xml;a, b{/*c*/}) ; }";
        assert_eq!(shrink(css), "a{background: url(data:image/svg+xml;a, b{/*c*/})}");
    }

    #[test]
    fn calc_keeps_the_spaces_that_it_needs() {
        assert_eq!(
            shrink("a { width: calc( 100% - 2 * var( --gap ) ); }"),
            "a{width: calc( 100% - 2 * var( --gap ) )}"
        );
    }

    #[test]
    fn imports_come_in_their_order_and_in_their_layers() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it can be written");
        write(
            "main.css",
            "@layer base, page;\n@import \"b.css\";\n@import url(\"./a.css\") layer(page);\nbody { margin: 0 }\n",
        );
        write("a.css", "a { color: red }");
        write("b.css", "b { color: blue }");
        let css = bundle(folder.path()).expect("it can be bundled");
        assert_eq!(css, "@layer base,page;b{color: blue}@layer page{a{color: red}}body{margin: 0}");
    }

    #[test]
    fn an_import_that_is_not_understood_is_an_error() {
        assert!(import("@import \"print.css\" print;").is_err());
        assert!(import("@import url(a.css);").is_err());
    }
}
