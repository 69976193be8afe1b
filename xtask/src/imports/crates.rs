//! A crate as a tree of modules, each with its file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::Context;

use super::source::{Body, Import, Source};

/// The index of a module in [`Crate::modules`].
pub type ModuleId = usize;

/// The module of the crate's root file.
pub const ROOT: ModuleId = 0;

/// The modules of a library, a program or a test program.
pub struct Crate {
    /// Parents precede their children; the root comes first.
    pub modules: Vec<Module>,
    /// The macros exported to the root, with the modules that define them.
    pub exported_macros: BTreeMap<String, ModuleId>,
}

/// A module, in a separate file or inline.
pub struct Module {
    /// The file, relative to the workspace.
    pub file: PathBuf,
    /// `None` for the root.
    pub parent: Option<ModuleId>,
    /// Child modules by name: several, where features choose between them.
    pub children: BTreeMap<String, Vec<ModuleId>>,
    /// The names of its items.
    pub items: BTreeSet<String>,
    pub imports: Vec<Import>,
    /// The paths in its code.
    pub paths: BTreeSet<Vec<String>>,
    /// The identifiers in its code.
    pub identifiers: BTreeSet<String>,
}

/// A module that has not been added yet, and the folder with the files of its children.
struct Pending {
    file: PathBuf,
    folder: PathBuf,
    parent: Option<ModuleId>,
    name: String,
    source: Source,
}

impl Crate {
    /// Reads the crate whose root file is `root`; `read` returns the text of a file, if it exists.
    pub fn load(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> anyhow::Result<Self> {
        let mut krate = Self { modules: Vec::new(), exported_macros: BTreeMap::new() };
        let mut pending = vec![Pending {
            file: root.to_owned(),
            folder: folder_of(root),
            parent: None,
            name: "crate".to_owned(),
            source: parse(root, read)?,
        }];
        while let Some(next) = pending.pop() {
            krate.add(next, read, &mut pending)?;
        }
        Ok(krate)
    }

    /// Returns the modules that contain a module, innermost first.
    pub fn ancestors(&self, module: ModuleId) -> impl Iterator<Item = ModuleId> {
        std::iter::successors(self.modules[module].parent, |parent| self.modules[*parent].parent)
    }

    fn add(
        &mut self,
        module: Pending,
        read: &dyn Fn(&Path) -> Option<String>,
        pending: &mut Vec<Pending>,
    ) -> anyhow::Result<()> {
        let Pending { file, folder, parent, name, source } = module;
        let id = self.modules.len();
        if let Some(parent) = parent {
            self.modules[parent].children.entry(name).or_default().push(id);
        }
        for child in source.children {
            let inner = folder.join(&child.name);
            let (file, folder, source) = match child.body {
                Body::Inline(source) => (file.clone(), inner, source),
                Body::File(path) => {
                    let (child_file, child_folder) = find(&file, &inner, path.as_deref(), read)
                        .with_context(|| format!("{}: `mod {}` has no file", file.display(), child.name))?;
                    let source = parse(&child_file, read)?;
                    (child_file, child_folder, source)
                }
            };
            pending.push(Pending { file, folder, parent: Some(id), name: child.name, source });
        }
        self.modules.push(Module {
            file,
            parent,
            children: BTreeMap::new(),
            items: source.items,
            imports: source.imports,
            paths: source.paths,
            identifiers: source.identifiers,
        });
        self.exported_macros.extend(source.exported_macros.into_iter().map(|name| (name, id)));
        Ok(())
    }
}

fn parse(file: &Path, read: &dyn Fn(&Path) -> Option<String>) -> anyhow::Result<Source> {
    let text = read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Source::parse(&text).with_context(|| file.display().to_string())
}

/// Finds the file of a declared module and the folder of its children. Both are at `inner` by default.
fn find(
    declared_in: &Path,
    inner: &Path,
    path: Option<&str>,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<(PathBuf, PathBuf)> {
    if let Some(path) = path {
        let file = normalized(&folder_of(declared_in).join(path));
        let folder = folder_of(&file);
        return Some((file, folder));
    }
    let candidates = [inner.with_extension("rs"), inner.join("mod.rs")];
    let file = candidates.into_iter().find(|file| read(file).is_some())?;
    Some((file, inner.to_owned()))
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_owned()
}

/// Resolves `..` in a path.
fn normalized(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, component| {
        if component == Component::ParentDir {
            path.pop();
        } else {
            path.push(component);
        }
        path
    })
}
