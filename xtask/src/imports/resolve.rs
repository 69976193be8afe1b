//! Resolves a path to the item's definition, through re-exports, renamed imports and globs.

use std::collections::BTreeSet;

use super::crates::{Crate, ModuleId, ROOT};
use super::source::Import;

/// The meaning of a name or a path, which can be both a module and an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meaning<'a> {
    /// A module of this crate.
    pub module: Option<ModuleId>,
    /// An item of this crate.
    pub item: Option<Item<'a>>,
}

/// An item, or a part of one, such as a variant or a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The module that defines it.
    pub module: ModuleId,
    /// The name that refers to it.
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

    /// Returns whether this crate defines nothing with the name.
    pub fn is_outside(self) -> bool {
        self == Self::default()
    }
}

impl Meaning<'static> {
    fn module(module: Option<ModuleId>) -> Self {
        Self { module, item: None }
    }
}

/// Names that are being looked up, to detect imports that refer to each other.
type InProgress = BTreeSet<(ModuleId, String)>;

/// Resolves a path as code in `module` would.
pub fn resolve<'a>(krate: &Crate, module: ModuleId, path: &'a [String]) -> Meaning<'a> {
    follow(krate, module, path, &mut InProgress::new())
}

fn follow<'a>(krate: &Crate, module: ModuleId, path: &'a [String], in_progress: &mut InProgress) -> Meaning<'a> {
    let Some((first, rest)) = path.split_first() else { return Meaning::default() };
    let mut meaning = match first.as_str() {
        "crate" => Meaning::module(Some(ROOT)),
        "self" => Meaning::module(Some(module)),
        "super" => Meaning::module(krate.modules[module].parent),
        name => lookup(krate, module, name, in_progress),
    };
    for segment in rest {
        let Some(inside) = meaning.module else { break };
        if segment == "super" {
            meaning = Meaning::module(krate.modules[inside].parent);
            continue;
        }
        let found = lookup(krate, inside, segment, in_progress);
        // A name that is not in the text of a module comes from a macro in it.
        let from_macro = Meaning { module: None, item: Some(Item { module: inside, name: segment }) };
        meaning = if found.is_outside() { from_macro } else { found };
    }
    meaning
}

/// Looks up a name in a module. Its own items and named imports shadow glob imports.
fn lookup<'a>(krate: &Crate, module: ModuleId, name: &'a str, in_progress: &mut InProgress) -> Meaning<'a> {
    if !in_progress.insert((module, name.to_owned())) {
        return Meaning::default();
    }
    let here = &krate.modules[module];
    let is_imported = here.imports.iter().any(|import| import.name.as_deref() == Some(name));
    let mut meaning = defined(krate, module, name);
    if is_imported {
        meaning = meaning.or(|| imported(krate, module, name, in_progress));
    } else if meaning.is_outside() {
        meaning = through_globs(krate, module, name, in_progress);
    }
    in_progress.remove(&(module, name.to_owned()));
    meaning
}

fn defined<'a>(krate: &Crate, module: ModuleId, name: &'a str) -> Meaning<'a> {
    let here = &krate.modules[module];
    let exported = krate.exported_macros.get(name).filter(|_| module == ROOT);
    let definer = if here.items.contains(name) { Some(module) } else { exported.copied() };
    let child = here.children.get(name).map(|modules| modules[0]);
    Meaning { module: child, item: definer.map(|module| Item { module, name }) }
}

fn imported<'a>(krate: &Crate, module: ModuleId, name: &'a str, in_progress: &mut InProgress) -> Meaning<'a> {
    let imports = krate.modules[module].imports.iter();
    let named = imports.filter(|import| import.name.as_deref() == Some(name));
    named.fold(Meaning::default(), |found, import| {
        found.or(|| {
            let Meaning { module: to, item } = follow(krate, module, &import.path, in_progress);
            Meaning { module: to, item: item.map(|item| Item { module: item.module, name }) }
        })
    })
}

fn through_globs<'a>(krate: &Crate, module: ModuleId, name: &'a str, in_progress: &mut InProgress) -> Meaning<'a> {
    globs(krate, module).fold(Meaning::default(), |found, glob| {
        found.or(|| {
            let from = follow(krate, module, &glob.path, in_progress).module.filter(|from| *from != module);
            from.map_or(Meaning::default(), |from| lookup(krate, from, name, in_progress))
        })
    })
}

fn globs(krate: &Crate, module: ModuleId) -> impl Iterator<Item = &Import> {
    krate.modules[module].imports.iter().filter(|import| import.name.is_none())
}
