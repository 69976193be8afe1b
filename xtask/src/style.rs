//! The stylesheet: the files of `style/`, joined in the order in which `main.css` imports them.
//!
//! Comments and indentation are removed and nothing else, because a minifier would save nothing more once
//! the result is compressed.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// Joins the files that `main.css` in `folder` imports.
pub fn join(folder: &Path) -> anyhow::Result<String> {
    let mut style = String::new();
    for import in lines(&folder.join("main.css"))? {
        let name = import.strip_prefix("@import \"").and_then(|rest| rest.strip_suffix("\";"));
        let name = name.with_context(|| format!("main.css may only contain `@import \"FILE\";`, not `{import}`"))?;
        for line in lines(&folder.join(name))? {
            style.push_str(&line);
            // Otherwise the line break may separate two values.
            if !line.ends_with(['{', '}', ';', ',']) {
                style.push('\n');
            }
        }
    }
    Ok(style)
}

/// Returns the lines of a file without indentation and comments.
fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    code_lines(&text).with_context(|| path.display().to_string())
}

/// Returns the lines of code. Code on the same line as a comment would be lost, so it is an error.
fn code_lines(text: &str) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut is_comment = false;
    for line in text.lines().map(str::trim) {
        is_comment |= line.starts_with("/*");
        let (begins, ends) = (line.rfind("/*").unwrap_or(0), line.find("*/").map_or(line.len(), |at| at + 2));
        if begins != 0 || ends != line.len() {
            bail!("a comment must be on its own lines: `{line}`");
        }
        if !is_comment && !line.is_empty() {
            lines.push(line.to_owned());
        }
        is_comment &= !line.ends_with("*/");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(files: &[(&str, &str)]) -> anyhow::Result<String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("it can be written");
        }
        join(folder.path())
    }

    #[test]
    fn files_are_joined_in_the_order_of_their_imports() {
        let style = joined(&[
            ("main.css", "/* The order counts. */\n@import \"b.css\";\n@import \"a.css\";\n"),
            ("a.css", "a { color: red }\n"),
            ("b.css", "b,\ni {\n  color: blue;\n}\n"),
        ]);
        assert_eq!(style.expect("it can be joined"), "b,i {color: blue;}a { color: red }");
    }

    #[test]
    fn a_line_break_between_values_stays() {
        let style = joined(&[("main.css", "@import \"a.css\";"), ("a.css", "a {\n  grid:\n    1fr\n    / 2fr;\n}\n")]);
        assert_eq!(style.expect("it can be joined"), "a {grid:\n1fr\n/ 2fr;}");
    }

    #[test]
    fn comments_are_removed() {
        let lines =
            code_lines("/* One\n   a { color: red }\n   two */\nb {\n  /* three */\n}\n").expect("plain comments");
        assert_eq!(lines, ["b {", "}"]);
    }

    #[test]
    fn code_next_to_a_comment_is_an_error() {
        assert!(code_lines("a { color: red } /* red */").is_err());
        assert!(code_lines("/* red */ a { color: red }").is_err());
        assert!(code_lines("/* red */ a { color: red } /* blue */").is_err());
    }

    #[test]
    fn main_css_may_only_contain_imports() {
        assert!(joined(&[("main.css", "body { margin: 0 }")]).is_err());
    }
}
