//! The dependencies of each module, from its imports and the paths in its code.

use std::path::PathBuf;

use super::crates::{Crate, Module, ModuleId};
use super::graph::Graph;
use super::resolve::{Meaning, resolve};
use super::source::Import;

/// Builds the import graph of a crate.
pub fn graph(krate: &Crate) -> Graph {
    let mut graph = Graph::default();
    for id in 0..krate.modules.len() {
        let module = &krate.modules[id];
        for import in &module.imports {
            match &import.name {
                Some(name) if import.is_public && !module.identifiers.contains(name) => {}
                Some(_) => add(&mut graph, krate, id, &import.path),
                None => add_glob(&mut graph, krate, id, import),
            }
        }
        for path in &module.paths {
            add(&mut graph, krate, id, path);
        }
    }
    graph
}

/// Adds the dependency of a path. A path to a module is not one; the use of its items is.
fn add(graph: &mut Graph, krate: &Crate, module: ModuleId, path: &[String]) {
    if let Meaning { item: Some(item), .. } = resolve(krate, module, path) {
        let (file, uses) = (&krate.modules[module].file, &krate.modules[item.module].file);
        graph.add(file, uses, item.name, is_parent_file(krate, module, uses));
    }
}

/// Adds the dependencies of a glob import, on each name that the module's code mentions. A glob re-export
/// is not a dependency.
fn add_glob(graph: &mut Graph, krate: &Crate, module: ModuleId, import: &Import) {
    let meaning = resolve(krate, module, &import.path);
    if meaning.module.is_none() {
        // The variants of an enum.
        add(graph, krate, module, &import.path);
    }
    let Some(from) = meaning.module.filter(|from| *from != module) else { return };
    for name in &krate.modules[module].identifiers {
        let is_own = |module: &Module| module.items.contains(name) || module.children.contains_key(name);
        if !is_own(&krate.modules[module]) && !resolve(krate, from, std::slice::from_ref(name)).is_outside() {
            add(graph, krate, module, &[&import.path[..], std::slice::from_ref(name)].concat());
        }
    }
}

/// Returns whether a file contains a parent of this module, but not the module itself.
fn is_parent_file(krate: &Crate, module: ModuleId, file: &PathBuf) -> bool {
    krate.modules[module].file != *file && krate.ancestors(module).any(|ancestor| krate.modules[ancestor].file == *file)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Returns the violations in a crate with these files; the first is its root.
    fn violations(files: &[(&str, &str)]) -> Vec<String> {
        let read =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        graph(&Crate::load(Path::new(files[0].0), &read).expect("a crate")).violations()
    }

    #[test]
    fn a_cycle_is_reported_with_the_names_that_cause_it() {
        let found = violations(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B; fn f() { crate::c::c() }"),
            ("c.rs", "pub fn c() { super::a::A::new() }"),
        ]);
        assert_eq!(
            found,
            [
                "3 files depend on each other in a cycle:\n    a.rs uses B of b.rs\n    b.rs uses c of c.rs\n    c.rs uses A of a.rs"
            ]
        );
    }

    #[test]
    fn a_parent_that_only_re_exports_is_allowed() {
        let found = violations(&[
            ("lib.rs", "mod store; pub use store::Db;"),
            ("store/mod.rs", "mod db; mod row; pub use db::Db; pub(crate) use row::*;"),
            ("store/db.rs", "use super::Row; pub struct Db(Row);"),
            ("store/row.rs", "pub struct Row;"),
        ]);
        assert_eq!(found, [] as [String; 0]);
    }

    #[test]
    fn a_parent_with_items_that_its_children_import_is_a_violation() {
        let found = violations(&[
            ("lib.rs", "mod store;"),
            ("store.rs", "mod db; pub struct StoreError;"),
            ("store/db.rs", "fn open() -> Result<(), super::StoreError> {}"),
        ]);
        assert_eq!(found, ["store.rs defines items that its children import:\n    store/db.rs uses StoreError"]);
    }

    #[test]
    fn a_cycle_through_a_re_export_names_the_defining_files() {
        let found = violations(&[
            ("lib.rs", "mod a; mod store;"),
            ("a.rs", "use crate::store::Db; pub struct A;"),
            ("store/mod.rs", "mod db; pub use db::Db as Database; pub use self::Database as Db;"),
            ("store/db.rs", "use crate::a::A; pub struct Db;"),
        ]);
        assert_eq!(
            found,
            [
                "2 files depend on each other in a cycle:\n    a.rs uses Db of store/db.rs\n    store/db.rs uses A of a.rs"
            ]
        );
    }

    #[test]
    fn items_of_an_imported_module_count_where_they_are_used() {
        let found = violations(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b; pub fn a() { b::f() }"),
            ("b.rs", "use crate::a; pub fn f() {}"),
        ]);
        assert_eq!(found, [] as [String; 0], "b.rs imports a.rs and uses none of its items");
    }

    #[test]
    fn items_made_by_a_macro_belong_to_the_calling_file() {
        let found = violations(&[
            ("lib.rs", "mod a; mod b; mod macros;"),
            ("a.rs", "crate::macros::closed_set! { Made } use crate::b::B;"),
            ("b.rs", "use crate::a::Made; crate::exported!(); pub struct B;"),
            (
                "macros.rs",
                "macro_rules! closed_set { () => {} } pub(crate) use closed_set; #[macro_export] macro_rules! exported {}",
            ),
        ]);
        assert_eq!(
            found,
            ["2 files depend on each other in a cycle:\n    a.rs uses B of b.rs\n    b.rs uses Made of a.rs"]
        );
    }

    #[test]
    fn a_glob_import_counts_for_the_names_that_are_used() {
        let found = violations(&[
            ("lib.rs", "mod store;"),
            ("store/mod.rs", "mod db; mod row; pub struct Unused; pub struct Limit;"),
            ("store/db.rs", "use super::*; fn f(limit: Limit) {}"),
            ("store/row.rs", "use super::*; fn f() {}"),
        ]);
        assert_eq!(found, ["store/mod.rs defines items that its children import:\n    store/db.rs uses Limit"]);
    }

    #[test]
    fn inline_tests_and_modules_are_not_dependencies() {
        let found = violations(&[
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod tests { use super::*; use crate::a::A; }"),
            ("a.rs", "pub struct A; mod inner { use super::A; } #[cfg(test)] mod tests { use crate::b::B; }"),
            ("b.rs", "use crate::a::A; pub struct B(A);"),
        ]);
        assert_eq!(found, [] as [String; 0]);
    }

    #[test]
    fn other_crates_are_ignored() {
        let found = violations(&[
            ("lib.rs", "mod time; mod a;"),
            ("time.rs", "use time::OffsetDateTime; use a::A; use std::fmt; impl fmt::Display for B {}"),
            ("a.rs", "use time::Date; fn f() { serde::de::x() }"),
        ]);
        assert_eq!(found, [] as [String; 0]);
    }
}
