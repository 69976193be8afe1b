//! Finding the statements of a crate's store in its source.

use std::collections::BTreeSet;
use std::path::Path;

/// Settings, which cannot be prepared.
const RUN_ON_EVERY_CONNECTION: &str = "USE_INDEXES";

/// The statements that the files of a folder run and that are not `listed`, with the number of all that they
/// run.
pub fn unlisted(folder: &Path, listed: &[(&str, &str)]) -> (usize, Vec<String>) {
    let listed: BTreeSet<&str> = listed.iter().map(|(name, _)| *name).collect();
    let (mut run, mut missing) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("the folder can be read").path();
        let source = std::fs::read_to_string(&path).expect("the file can be read");
        for name in run_in(&source).into_iter().chain(batches_in(&source)) {
            run += 1;
            if !listed.contains(name) && name != RUN_ON_EVERY_CONNECTION {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    (run, missing)
}

/// The constants in capitals that are given to a function that runs them, such as `tx.execute(INSERT, …)`.
fn run_in(source: &str) -> BTreeSet<&str> {
    const RUN: [&str; 5] = ["execute(", "fetch_all", "fetch_each", "fetch_one", "fetch_optional"];
    let calls =
        RUN.into_iter().flat_map(|call| source.match_indices(call).map(move |(at, _)| &source[at + call.len()..]));
    calls
        .filter_map(|rest| {
            let rest =
                if rest.starts_with("::<") { &rest[rest.find(">(")? + 2..] } else { rest.trim_start_matches('(') };
            let rest = rest.trim_start();
            let name = &rest[..rest.find(|c: char| !(c.is_ascii_uppercase() || c == '_'))?];
            (name.len() > 1).then_some(name)
        })
        .collect()
}

/// The batch statements.
fn batches_in(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let declared = code.split("static ").skip(1).filter_map(|rest| rest.split_once(": LazyLock<BatchStatement>"));
    declared.map(|(name, _)| name).collect()
}
