//! Dependencies between the files of a crate, and violations of the rules about them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// For each file, the files whose items it uses, with the names of those items.
#[derive(Default)]
pub struct Graph {
    uses: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>,
    /// Parent files whose items a child imports, with the children and the names.
    parents: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>,
}

impl Graph {
    /// Records that a file uses an item of another; `is_parent` if the other file contains a parent module.
    pub fn add(&mut self, file: &Path, uses: &Path, name: &str, is_parent: bool) {
        if file == uses {
            return;
        }
        let names = self.uses.entry(file.to_owned()).or_default().entry(uses.to_owned()).or_default();
        names.insert(name.to_owned());
        if is_parent {
            let children = self.parents.entry(uses.to_owned()).or_default();
            children.entry(file.to_owned()).or_default().insert(name.to_owned());
        }
    }

    /// Describes each cycle, and each parent that its children import.
    pub fn violations(&self) -> Vec<String> {
        let cycles = self.cycles().into_iter().map(|files| self.describe_cycle(&files));
        let parents = self.parents.iter().map(|(parent, children)| describe_parent(parent, children));
        cycles.chain(parents).collect()
    }

    /// Returns the groups of files that all depend on each other.
    fn cycles(&self) -> Vec<BTreeSet<&Path>> {
        let reachable: BTreeMap<&Path, BTreeSet<&Path>> =
            self.uses.keys().map(|file| (file.as_path(), self.reachable(file))).collect();
        let reaches = |from: &Path, to: &Path| reachable.get(from).is_some_and(|files| files.contains(to));
        let mut cycles: Vec<BTreeSet<&Path>> = Vec::new();
        for file in reachable.keys().filter(|file| reaches(file, file)) {
            if cycles.iter().all(|cycle| !cycle.contains(*file)) {
                let members = reachable[*file].iter().filter(|other| reaches(other, file));
                cycles.push(members.copied().collect());
            }
        }
        cycles
    }

    /// Returns every file that this one depends on, directly or indirectly.
    fn reachable(&self, file: &Path) -> BTreeSet<&Path> {
        let mut found = BTreeSet::new();
        let mut pending: Vec<&Path> = self.dependencies(file).collect();
        while let Some(next) = pending.pop() {
            if found.insert(next) {
                pending.extend(self.dependencies(next));
            }
        }
        found
    }

    fn dependencies(&self, file: &Path) -> impl Iterator<Item = &Path> {
        self.uses.get(file).into_iter().flat_map(BTreeMap::keys).map(PathBuf::as_path)
    }

    fn describe_cycle(&self, files: &BTreeSet<&Path>) -> String {
        let shortest =
            files.iter().filter_map(|file| self.shortest_cycle(file)).min_by_key(Vec::len).unwrap_or_default();
        let mut text = format!("{} files depend on each other in a cycle:", files.len());
        for (number, file) in shortest.iter().enumerate() {
            let next = shortest[(number + 1) % shortest.len()];
            let names = &self.uses[*file][next];
            let _ = write!(text, "\n    {} uses {} of {}", file.display(), listed(names), next.display());
        }
        let others: Vec<String> =
            files.iter().filter(|file| !shortest.contains(file)).map(|file| file.display().to_string()).collect();
        if !others.is_empty() {
            let _ = write!(text, "\n    and, in longer cycles with these: {}", others.join(", "));
        }
        text
    }

    /// Returns the shortest path from a file back to itself, without the last step.
    fn shortest_cycle(&self, file: &Path) -> Option<Vec<&Path>> {
        let (start, _) = self.uses.get_key_value(file)?;
        let mut pending = VecDeque::from([vec![start.as_path()]]);
        let mut seen = BTreeSet::new();
        while let Some(path) = pending.pop_front() {
            for next in self.dependencies(path.last()?) {
                if next == file {
                    return Some(path);
                }
                if seen.insert(next) {
                    pending.push_back([&path[..], &[next]].concat());
                }
            }
        }
        None
    }
}

fn describe_parent(parent: &Path, children: &BTreeMap<PathBuf, BTreeSet<String>>) -> String {
    let mut text = format!("{} defines items that its children import:", parent.display());
    for (child, names) in children {
        let _ = write!(text, "\n    {} uses {}", child.display(), listed(names));
    }
    text
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
