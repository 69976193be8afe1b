//! The import graph: which file of a crate uses items of which other file.
//!
//! Two rules hold in every crate of the workspace: files do not depend on each other in a cycle, and a
//! parent module defines nothing that its children import. A parent that declares modules and re-exports
//! their items is fine, because a re-export stands for the file that defines the item.

mod check;
mod crates;
mod graph;
mod resolve;
mod scope;
mod source;

pub use check::check;
