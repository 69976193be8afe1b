//! From a path to the file that defines the item, through re-exports, renamed imports and globs.

use std::collections::BTreeSet;

use super::crates::{Crate, ModuleId, ROOT};
use super::source::Import;

/// What a name or a path stands for: one can be a module and an item at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meaning<'a> {
    /// A module of this crate.
    pub module: Option<ModuleId>,
    /// An item of this crate.
    pub item: Option<Item<'a>>,
}

/// An item, or what is inside of one, such as a variant or a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The module that defines it.
    pub module: ModuleId,
    /// The name it is used by.
    pub name: &'a str,
}

impl Meaning<'_> {
    fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self.module.is_some() && self.item.is_some() {
            return self;
        }
        let other = other();
        Self { module: self.module.or(other.module), item: self.item.or(other.item) }
    }

    /// Whether this crate has nothing of the name.
    pub fn is_outside(self) -> bool {
        self == Self::default()
    }
}

impl Meaning<'static> {
    fn module(module: Option<ModuleId>) -> Self {
        Self { module, item: None }
    }
}

/// Names that are being looked up, so that imports which refer to each other end.
type Open = BTreeSet<(ModuleId, String)>;

/// Resolves a path as code in `module` would.
pub fn resolve<'a>(whole: &Crate, module: ModuleId, path: &'a [String]) -> Meaning<'a> {
    follow(whole, module, path, &mut Open::new())
}

fn follow<'a>(whole: &Crate, module: ModuleId, path: &'a [String], open: &mut Open) -> Meaning<'a> {
    let Some((first, rest)) = path.split_first() else { return Meaning::default() };
    let mut meaning = match first.as_str() {
        "crate" => Meaning::module(Some(ROOT)),
        "self" => Meaning::module(Some(module)),
        "super" => Meaning::module(whole.modules[module].parent),
        name => lookup(whole, module, name, open),
    };
    for segment in rest {
        let Some(inside) = meaning.module else { break };
        if segment == "super" {
            meaning = Meaning::module(whole.modules[inside].parent);
            continue;
        }
        let found = lookup(whole, inside, segment, open);
        // What is not in the text of a module is made by a macro in it.
        let made = Meaning { module: None, item: Some(Item { module: inside, name: segment }) };
        meaning = if found.is_outside() { made } else { found };
    }
    meaning
}

/// What a name means in a module. Its own items and named imports hide what comes through globs.
fn lookup<'a>(whole: &Crate, module: ModuleId, name: &'a str, open: &mut Open) -> Meaning<'a> {
    if !open.insert((module, name.to_owned())) {
        return Meaning::default();
    }
    let here = &whole.modules[module];
    let is_imported = here.imports.iter().any(|import| import.name.as_deref() == Some(name));
    let mut meaning = defined(whole, module, name);
    if is_imported {
        meaning = meaning.or(|| imported(whole, module, name, open));
    } else if meaning.is_outside() {
        meaning = through_globs(whole, module, name, open);
    }
    open.remove(&(module, name.to_owned()));
    meaning
}

fn defined<'a>(whole: &Crate, module: ModuleId, name: &'a str) -> Meaning<'a> {
    let here = &whole.modules[module];
    let exported = whole.exported_macros.get(name).filter(|_| module == ROOT);
    let definer = if here.items.contains(name) { Some(module) } else { exported.copied() };
    let child = here.children.get(name).map(|modules| modules[0]);
    Meaning { module: child, item: definer.map(|module| Item { module, name }) }
}

fn imported<'a>(whole: &Crate, module: ModuleId, name: &'a str, open: &mut Open) -> Meaning<'a> {
    let imports = whole.modules[module].imports.iter();
    let named = imports.filter(|import| import.name.as_deref() == Some(name));
    named.fold(Meaning::default(), |found, import| {
        found.or(|| {
            let Meaning { module: to, item } = follow(whole, module, &import.path, open);
            Meaning { module: to, item: item.map(|item| Item { module: item.module, name }) }
        })
    })
}

fn through_globs<'a>(whole: &Crate, module: ModuleId, name: &'a str, open: &mut Open) -> Meaning<'a> {
    globs(whole, module).fold(Meaning::default(), |found, glob| {
        found.or(|| {
            let from = follow(whole, module, &glob.path, open).module.filter(|from| *from != module);
            from.map_or(Meaning::default(), |from| lookup(whole, from, name, open))
        })
    })
}

fn globs(whole: &Crate, module: ModuleId) -> impl Iterator<Item = &Import> {
    whole.modules[module].imports.iter().filter(|import| import.name.is_none())
}
