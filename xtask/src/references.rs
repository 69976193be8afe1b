//! Checks that the files, functions and tests that the documentation names as proof exist.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// Documents that say where each rule is implemented, and which tests prove it.
const DOCUMENTS: [&str; 2] = ["docs/SECURITY.md", "docs/STRIPE.md"];

/// Checks the documents against `files`, all files of the checkout.
pub fn check(root: &Path, files: &[String]) -> anyhow::Result<()> {
    let read = |file: &str| fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"));
    let mut found = String::new();
    for document in DOCUMENTS {
        let text = read(document)?;
        for reference in references(&text, &|code| is_path(code, files)) {
            let named: Vec<&String> = files.iter().filter(|file| is_at(file, reference.path)).collect();
            let exists = match reference.name {
                None => !named.is_empty(),
                Some(name) => named.iter().any(|file| read(file).is_ok_and(|text| text.contains(name))),
            };
            if !exists {
                let name = reference.name.map(|name| format!(" `{name}`")).unwrap_or_default();
                found += &format!("\n{document}:{}: `{}`{name}", reference.line, reference.path);
            }
        }
    }
    if !found.is_empty() {
        bail!("the documentation refers to missing files, functions or tests:{found}");
    }
    Ok(())
}

/// Returns whether a file has this path, or is in the folder with this path.
fn is_at(file: &str, path: &str) -> bool {
    file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
}

/// A file or folder, and something that it contains.
#[derive(Debug, PartialEq)]
struct Reference<'a> {
    path: &'a str,
    name: Option<&'a str>,
    line: usize,
}

/// Returns every path in code spans, and with it each name that follows in the same paragraph, list item or
/// table cell.
fn references<'a>(text: &'a str, is_path: &dyn Fn(&str) -> bool) -> Vec<Reference<'a>> {
    let mut found = Vec::new();
    let mut path = None;
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with("- ") {
            path = None;
        }
        for (index, part) in line.split('`').enumerate() {
            let is_code = index % 2 == 1;
            if !is_code {
                if part.contains('|') {
                    path = None;
                }
                continue;
            }
            if is_path(part) {
                path = Some(part);
                found.push(Reference { path: part, name: None, line: number + 1 });
            } else if let Some(path) = path.filter(|path| is_name(part, path)) {
                found.push(Reference { path, name: Some(part), line: number + 1 });
            }
        }
    }
    found
}

/// Returns whether a code span is a path: a file of the checkout, or something in one of its folders.
fn is_path(code: &str, files: &[String]) -> bool {
    let folder = code.split_once('/').map(|(folder, _)| folder).filter(|_| !code.contains(' '));
    files.iter().any(|file| file == code || folder.is_some_and(|folder| is_at(file, folder)))
}

/// Returns whether a code span after a path names something in it: a function or a test. A single word may be
/// anything.
fn is_name(code: &str, path: &str) -> bool {
    let is_plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_plain && code.contains('_') || path.ends_with(".spec.ts") && code.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 3] = ["a/b.rs", "c/d.spec.ts", "plans.toml"];

    fn found(text: &str) -> Vec<(&str, Option<&str>)> {
        let files = FILES.map(str::to_owned);
        let references = references(text, &|code| is_path(code, &files));
        references.into_iter().map(|reference| (reference.path, reference.name)).collect()
    }

    #[test]
    fn names_belong_to_the_path_before_them_in_the_same_item() {
        let text = "Say `so_it_is`.\n\n- In `a/b.rs` (`is_e`),\n  `c/`\n- Of `is_e`\n";
        assert_eq!(found(text), [("a/b.rs", None), ("a/b.rs", Some("is_e")), ("c/", None)]);
        let expected = [("a/b.rs", None), ("c/d.spec.ts", None), ("c/d.spec.ts", Some("a name"))];
        assert_eq!(found("| `is_e` in `a/b.rs` | `is_f` | `c/d.spec.ts` `a name` |"), expected);
    }

    #[test]
    fn addresses_and_commands_are_not_paths_or_names() {
        assert_eq!(found("`/a/v1`, `GET /a/b`, `x/y`"), []);
        assert_eq!(found("`plans.toml` and `make run`, `b.rs`"), [("plans.toml", None)]);
    }

    #[test]
    fn a_folder_has_its_files() {
        assert!(is_at("a/b.rs", "a/") && is_at("a/b.rs", "a") && is_at("a/b.rs", "a/b.rs"));
        assert!(!is_at("ab/c.rs", "a") && !is_at("a/b.rs", "a/b"));
    }
}
