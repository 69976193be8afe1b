//! A file's items, imports and paths, for the import graph.
//!
//! The file is split into tokens, not parsed: `use`, `mod` and the names of items can be found in the
//! tokens alone, and a path inside a macro call counts like any other. Code under `#[cfg(test)]` is skipped.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::FromStr;

use anyhow::anyhow;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A file, or an inline module of one.
#[derive(Debug, Default)]
pub struct Source {
    /// The names of its items.
    pub items: BTreeSet<String>,
    /// Macros exported to the crate's root.
    pub exported_macros: BTreeSet<String>,
    /// Its `use` declarations, one for each name.
    pub imports: Vec<Import>,
    /// Its modules.
    pub children: Vec<Child>,
    /// The paths of two or more segments in its code.
    pub paths: BTreeSet<Vec<String>>,
    /// Every identifier in its code, except in `use` declarations.
    pub identifiers: BTreeSet<String>,
}

/// One name that a `use` declaration brings into scope.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// The path, without the `*` of a glob.
    pub path: Vec<String>,
    /// The name in scope; `None` for a glob.
    pub name: Option<String>,
    /// Whether the declaration has a visibility modifier, which makes it a re-export.
    pub is_public: bool,
}

/// A declared module.
#[derive(Debug)]
pub struct Child {
    pub name: String,
    /// Its content.
    pub body: Body,
}

/// The content of a module.
#[derive(Debug)]
pub enum Body {
    /// Between braces in the same file.
    Inline(Source),
    /// In a separate file, whose path an attribute may name.
    File(Option<String>),
}

impl Source {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("not Rust: {error}"))?;
        Ok(Self::of(tokens))
    }

    fn of(tokens: TokenStream) -> Self {
        let mut source = Self::default();
        let mut rest = tokens.into_iter().peekable();
        while rest.peek().is_some() {
            source.add(&Item::next(&mut rest));
        }
        source
    }

    fn add(&mut self, item: &Item) {
        if item.is_for_tests {
            return;
        }
        match item.keyword() {
            Some(("use", at)) => self.add_imports(&item.tokens[at + 1..], at > 0),
            Some(("mod", at)) => self.add_module(item, at),
            Some(("macro_rules", at)) => {
                let name = item.tokens.get(at + 2).map(ToString::to_string);
                if item.is_exported {
                    self.exported_macros.extend(name.clone());
                }
                self.items.extend(name);
                self.add_macro(&item.tokens);
            }
            Some((_, at)) => {
                self.items.extend(item.tokens.get(at + 1).and_then(identifier));
                self.add_code(&item.tokens);
            }
            None => self.add_code(&item.tokens),
        }
    }

    fn add_imports(&mut self, tree: &[TokenTree], is_public: bool) {
        let mut found = Vec::new();
        use_tree(tree, &[], &mut found);
        self.imports.extend(found.into_iter().map(|(path, name)| Import { path, name, is_public }));
    }

    fn add_module(&mut self, item: &Item, at: usize) {
        let Some(name) = item.tokens.get(at + 1).and_then(identifier) else { return };
        let body = match item.tokens.last() {
            Some(TokenTree::Group(group)) => Body::Inline(Self::of(group.stream())),
            _ => Body::File(item.path.clone()),
        };
        self.children.push(Child { name, body });
    }

    /// Adds a macro's paths from the crate root; other names are resolved where it is called.
    fn add_macro(&mut self, tokens: &[TokenTree]) {
        let mut text = Self::default();
        text.add_code(tokens);
        self.paths.extend(text.paths.into_iter().filter(|path| path[0] == "crate"));
    }

    /// Collects the paths and identifiers of code, and the `use` declarations inside its blocks.
    fn add_code(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let mut next = at + 1;
            match token {
                TokenTree::Group(group) => self.add_code(&group.stream().into_iter().collect::<Vec<_>>()),
                TokenTree::Ident(ident) if *ident == "use" && begins_statement(tokens, at) => {
                    let end =
                        tokens[at..].iter().position(|token| is_punct(token, ';')).map_or(tokens.len(), |n| at + n);
                    self.add_imports(&tokens[at + 1..end], false);
                    next = end;
                }
                TokenTree::Ident(_) => {
                    let path = path_at(tokens, at);
                    // Between segments are separators of two tokens each.
                    next = at + 1 + 3 * (path.len() - 1);
                    self.identifiers.extend(path.iter().cloned());
                    if path.len() > 1 && begins_path(tokens, at) {
                        self.paths.insert(path);
                    }
                }
                _ => {}
            }
            at = next;
        }
    }
}

/// The tokens of one item of a module, and its relevant attributes.
struct Item {
    tokens: Vec<TokenTree>,
    is_for_tests: bool,
    is_exported: bool,
    path: Option<String>,
}

impl Item {
    /// Takes the next item, up to a `;` or a block that ends it.
    fn next(rest: &mut Peekable<impl Iterator<Item = TokenTree>>) -> Self {
        let mut item = Self { tokens: Vec::new(), is_for_tests: false, is_exported: false, path: None };
        while let Some(token) = rest.next() {
            if item.tokens.is_empty() && is_punct(&token, '#') {
                rest.next_if(|token| is_punct(token, '!'));
                item.add_attribute(rest.next());
                continue;
            }
            let is_block = matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            let ends = is_punct(&token, ';') || is_block && !item.ends_with_semicolon();
            if !is_punct(&token, ';') {
                item.tokens.push(token);
            }
            if ends {
                break;
            }
        }
        item
    }

    fn add_attribute(&mut self, attribute: Option<TokenTree>) {
        let Some(TokenTree::Group(group)) = attribute else { return };
        let text = group.stream().to_string();
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        self.is_exported |= words[0] == "macro_export";
        self.is_for_tests |= words[0] == "cfg" && words.contains(&"test") && !words.contains(&"not");
        if words[0] == "path" {
            self.path = text.split('"').nth(1).map(str::to_owned);
        }
    }

    /// Returns the item's keyword and its position.
    fn keyword(&self) -> Option<(&'static str, usize)> {
        const KEYWORDS: [&str; 11] =
            ["use", "mod", "macro_rules", "fn", "struct", "enum", "union", "trait", "type", "const", "static"];
        for (at, token) in self.tokens.iter().enumerate() {
            let TokenTree::Ident(ident) = token else { continue };
            if *ident == "impl" {
                return None;
            }
            let is_const_fn = *ident == "const"
                && matches!(self.tokens.get(at + 1), Some(TokenTree::Ident(next)) if FN_QUALIFIERS.iter().any(|q| *next == q));
            if let Some(keyword) = KEYWORDS.iter().find(|keyword| *ident == **keyword && !is_const_fn) {
                return Some((*keyword, at));
            }
        }
        None
    }

    fn ends_with_semicolon(&self) -> bool {
        self.keyword().is_some_and(|(keyword, _)| matches!(keyword, "use" | "type" | "const" | "static"))
    }
}

/// Keywords that can follow `const` in the signature of a function.
const FN_QUALIFIERS: [&str; 4] = ["fn", "async", "unsafe", "extern"];

/// Flattens a `use` tree into a path and the name in scope for each import.
fn use_tree(tree: &[TokenTree], prefix: &[String], found: &mut Vec<(Vec<String>, Option<String>)>) {
    for branch in tree.split(|token| is_punct(token, ',')) {
        let mut path = prefix.to_vec();
        let mut tokens = branch.iter().filter(|token| !is_punct(token, ':'));
        let mut name = None;
        let mut is_group = false;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => {
                    use_tree(&group.stream().into_iter().collect::<Vec<_>>(), &path, found);
                    is_group = true;
                }
                TokenTree::Ident(ident) if *ident == "as" => name = tokens.next().and_then(identifier),
                TokenTree::Ident(ident) if *ident == "self" && !path.is_empty() => {}
                _ => path.extend(identifier(token)),
            }
        }
        if is_group || path.is_empty() {
            continue;
        }
        let is_glob = branch.last().is_some_and(|token| is_punct(token, '*'));
        let name = if is_glob { None } else { name.or_else(|| path.last().cloned()) };
        found.push((path, name));
    }
}

/// Returns the path that starts at this token, of one segment if no `::` follows.
fn path_at(tokens: &[TokenTree], at: usize) -> Vec<String> {
    let mut path: Vec<String> = tokens.get(at).and_then(identifier).into_iter().collect();
    let mut next = at + 1;
    while is_separator(tokens, next)
        && let Some(segment) = tokens.get(next + 2).and_then(identifier)
    {
        path.push(segment);
        next += 3;
    }
    path
}

/// Returns whether the identifier at this token starts a path: it is not a field, a method or a later segment.
fn begins_path(tokens: &[TokenTree], at: usize) -> bool {
    let is_before = |distance: usize, c| at >= distance && is_punct(&tokens[at - distance], c);
    let is_field = is_before(1, '.') && !is_before(2, '.');
    let follows_separator = is_before(1, ':') && is_before(2, ':');
    !is_field && !follows_separator
}

fn begins_statement(tokens: &[TokenTree], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| &tokens[before]) else { return true };
    is_punct(before, ';') || matches!(before, TokenTree::Group(_))
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| is_punct(token, ':'))
        && tokens.get(at + 1).is_some_and(|token| is_punct(token, ':'))
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

fn identifier(token: &TokenTree) -> Option<String> {
    let TokenTree::Ident(ident) = token else { return None };
    let ident = ident.to_string();
    Some(ident.strip_prefix("r#").map_or(ident.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Source {
        Source::parse(text).expect("valid tokens")
    }

    fn names(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn items_are_found_after_any_modifiers() {
        let source = parse(
            "#![allow(x)] pub(crate) const fn a() {} pub async fn b<T: B>(c: C) -> D { fn inner() {} } struct E(F);
             const G: [u8; 2] = { [1, 2] }; static H: I = I { j: 1 }; macro_rules! k { () => {} } impl L for M { fn n() {} }
             pub enum O { P } trait Q { type R; } type S = T; const unsafe extern \"C\" fn u() {}",
        );
        assert_eq!(names(&source.items), ["E", "G", "H", "O", "Q", "S", "a", "b", "k", "u"]);
    }

    #[test]
    fn a_use_tree_yields_one_import_per_name() {
        let source = parse("pub use crate::{a::{self, B as C}, d::*}; use ::e::f;");
        let found: Vec<_> = source
            .imports
            .iter()
            .map(|import| (import.path.join("::"), import.name.as_deref().unwrap_or("*"), import.is_public))
            .collect();
        let expected =
            [("crate::a", "a", true), ("crate::a::B", "C", true), ("crate::d", "*", true), ("e::f", "f", false)];
        assert_eq!(found, expected.map(|(path, name, public)| (path.to_owned(), name, public)));
    }

    #[test]
    fn paths_are_found_in_bodies_signatures_and_macro_calls() {
        let source = parse("fn a(b: crate::c::D) { e.f::<G>(); h!(super::i::J, 1..k::L); <M as n::O>::p(); }");
        let found: Vec<String> = source.paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(found, ["crate::c::D", "k::L", "n::O", "super::i::J"]);
    }

    #[test]
    fn only_paths_from_the_root_count_in_a_macro() {
        let source =
            parse("macro_rules! a { ($b:ident) => { use super::*; super::c::$b(crate::d::E, $crate::f::G) } }");
        let found: Vec<String> = source.paths.iter().map(|path| path.join("::")).collect();
        assert_eq!((found, source.imports), (vec!["crate::d::E".to_owned(), "crate::f::G".to_owned()], vec![]));
    }

    #[test]
    fn imports_inside_functions_count() {
        let source = parse("fn a() { let b = 1; use crate::c::D; }");
        assert_eq!(source.imports[0].path, ["crate", "c", "D"]);
    }

    #[test]
    fn test_modules_are_skipped() {
        let source =
            parse("#[cfg(test)] mod tests { use super::*; } #[cfg(test)] use a::B; mod c; #[cfg(not(test))] mod d {}");
        assert!(source.imports.is_empty());
        assert_eq!(source.children.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(), ["c", "d"]);
    }

    #[test]
    fn a_path_attribute_specifies_the_file() {
        let source = parse("#[path = \"../support/mod.rs\"] mod support;");
        assert!(matches!(&source.children[0].body, Body::File(Some(path)) if path == "../support/mod.rs"));
    }
}
