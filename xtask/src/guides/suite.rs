//! The suite: all documents in turn.

use super::{embed, make_it_yours, stripe_setup};
use crate::project::Project;

/// Follows all documents, and fails at the first step that does not work as written.
pub fn run(project: &Project) -> anyhow::Result<()> {
    embed::follow(project)?;
    stripe_setup::follow(project)?;
    make_it_yours::follow(project)
}
