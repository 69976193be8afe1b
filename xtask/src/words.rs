//! Words to avoid (`words.toml`) in code, comments, names and documentation.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

const EXTENSIONS: [&str; 10] = ["css", "md", "params", "rs", "sh", "sql", "toml", "ts", "yaml", "yml"];
/// Files without one of these extensions.
const NAMES: [&str; 3] = [".env.example", "Dockerfile", "Makefile"];
/// The list itself.
const LIST: &str = "xtask/words.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    words: Vec<Words>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    phrases: Vec<String>,
    instead: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    file: String,
    phrase: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the list"))]
    reason: String,
}

/// Checks the given files of the workspace, and fails if one contains a word to avoid.
pub fn check(workspace: &Path, files: &[String]) -> anyhow::Result<()> {
    let list: List = toml::from_str(include_str!("../words.toml")).context(LIST)?;
    let mut failures = String::new();
    for file in files.iter().filter(|file| is_checked(file)) {
        let text = fs::read_to_string(workspace.join(file)).with_context(|| format!("cannot read {file}"))?;
        for Finding { line, phrase, words } in list.find(file, &text) {
            let _ = write!(failures, "\n{file}:{line}: \"{phrase}\": {}", words.instead);
        }
    }
    if !failures.is_empty() {
        bail!("words to replace, or to add to the exceptions in {LIST}:{failures}");
    }
    Ok(())
}

fn is_checked(file: &str) -> bool {
    let path = Path::new(file);
    let is_one_of = |part: Option<&OsStr>, list: &[&str]| part.is_some_and(|part| list.iter().any(|one| part == *one));
    (is_one_of(path.extension(), &EXTENSIONS) || is_one_of(path.file_name(), &NAMES)) && file != LIST
}

struct Finding<'a> {
    line: usize,
    phrase: &'a str,
    words: &'a Words,
}

impl List {
    fn find<'a>(&'a self, file: &str, text: &str) -> Vec<Finding<'a>> {
        let words = split(text, file.ends_with(".md"));
        let excepted: BTreeSet<&str> = self
            .exceptions
            .iter()
            .filter(|exception| exception.file == file)
            .map(|exception| &*exception.phrase)
            .collect();
        let phrases =
            self.words.iter().flat_map(|words| words.phrases.iter().map(move |phrase| (phrase.as_str(), words)));
        let mut findings = Vec::new();
        for (phrase, list) in phrases.filter(|(phrase, _)| !excepted.contains(phrase)) {
            let wanted: Vec<&str> = phrase.split(' ').collect();
            let places = words.windows(wanted.len()).filter(|place| is_phrase(place, &wanted));
            findings.extend(places.map(|place| Finding { line: place[0].line, phrase, words: list }));
        }
        findings.sort_by_key(|finding| finding.line);
        findings
    }
}

/// A word in lower case.
struct Word {
    text: String,
    line: usize,
    /// Whether only space separates it from the previous word.
    follows: bool,
}

fn is_phrase(place: &[Word], wanted: &[&str]) -> bool {
    place.iter().zip(wanted).all(|(word, wanted)| word.text == *wanted) && place[1..].iter().all(|word| word.follows)
}

/// Splits text into words, and names into their parts. Code in Markdown is skipped.
fn split(text: &str, is_markdown: bool) -> Vec<Word> {
    let mut words = Vec::new();
    let mut is_fenced = false;
    let mut is_code = false;
    for (number, line) in text.lines().enumerate() {
        // A code span ends with its paragraph at the latest.
        is_code &= !line.is_empty();
        if is_markdown && line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            split_line(line, number + 1, is_markdown.then_some(&mut is_code), &mut words);
        }
    }
    words
}

/// `is_code` is kept across lines, because a code span may continue on the next one.
fn split_line(line: &str, number: usize, mut is_code: Option<&mut bool>, words: &mut Vec<Word>) {
    let mut follows = true;
    let mut in_word = false;
    let mut before = ' ';
    for c in line.chars() {
        if let Some(is_code) = is_code.as_deref_mut().filter(|_| c == '`') {
            *is_code = !*is_code;
        }
        let is_hidden = is_code.as_deref().is_some_and(|is_code| *is_code);
        let is_letter = c.is_ascii_alphabetic() && !is_hidden;
        let begins = is_letter && (!in_word || before.is_ascii_lowercase() && c.is_ascii_uppercase());
        if begins {
            words.push(Word { text: String::new(), line: number, follows });
            follows = true;
        }
        if let Some(word) = words.last_mut().filter(|_| is_letter) {
            word.text.push(c.to_ascii_lowercase());
        }
        follows &= is_letter || matches!(c, ' ' | '_' | '/' | '!' | '*' | '#' | '-');
        in_word = is_letter;
        before = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        words = [
            { phrases = ["utilize", "utilizes"], instead = "use" },
            { phrases = ["in order to"], instead = "to" },
        ]
        exceptions = [{ file = "quoted.rs", phrase = "utilize", reason = "a quotation" }]
    "#;

    fn found(file: &str, text: &str) -> Vec<(usize, String)> {
        let list: List = toml::from_str(LIST).expect("a list");
        list.find(file, text).into_iter().map(|finding| (finding.line, finding.phrase.to_owned())).collect()
    }

    fn expected(findings: &[(usize, &str)]) -> Vec<(usize, String)> {
        findings.iter().map(|(line, phrase)| (*line, (*phrase).to_owned())).collect()
    }

    #[test]
    fn words_are_found_in_comments_strings_and_names() {
        let text = "/// Utilize it\nfn acts_in_order_to_pass() { Step::Utilizes }\nlet underutilize = \"utilized\";";
        assert_eq!(found("a.rs", text), expected(&[(1, "utilize"), (2, "utilizes"), (2, "in order to")]));
    }

    #[test]
    fn a_phrase_may_break_across_lines_of_a_comment() {
        assert_eq!(found("a.rs", "// It is done in order\n// to pass."), expected(&[(1, "in order to")]));
        assert_eq!(found("a.rs", "// All is in order. To pass, go on."), expected(&[]));
    }

    #[test]
    fn code_in_markdown_is_skipped() {
        let text = "The name `utilize`, or\n`utilize\nit`.\n\n```sh\nutilize\n```\n\nUtilize.";
        assert_eq!(found("a.md", text), expected(&[(9, "utilize")]));
    }

    #[test]
    fn an_exception_applies_only_to_its_file() {
        assert_eq!(found("quoted.rs", "utilize"), expected(&[]));
        assert_eq!(found("other.rs", "utilize"), expected(&[(1, "utilize")]));
    }

    #[test]
    fn settings_and_build_files_are_checked_too() {
        for file in ["compose.yaml", ".github/workflows/ci.yml", "Makefile", "Dockerfile", ".env.example", "plans.toml"]
        {
            assert!(is_checked(file), "{file}");
        }
        for file in ["xtask/words.toml", "public/favicon.svg", "end2end/package-lock.json"] {
            assert!(!is_checked(file), "{file}");
        }
    }

    #[test]
    fn the_list_can_be_read() {
        let list: List = toml::from_str(include_str!("../words.toml")).expect("a list");
        assert!(list.exceptions.iter().all(|exception| !exception.reason.is_empty()));
    }
}
