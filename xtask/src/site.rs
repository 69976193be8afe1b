//! The files for the browser, in `target/site`.
//!
//! File names under `pkg/` contain a hash of the content and can be cached forever; `manifest.json` has
//! the current names and is written last.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::assets::{Site, fingerprint};
use crate::process::step;
use crate::project::Project;
use crate::{style, wasm};

/// Brings the site up to date and returns its folder. Files that have not changed are left alone.
pub fn build(project: &Project) -> anyhow::Result<PathBuf> {
    let mut site = Site::at(project.site());
    let script = wasm::place(project, &mut site)?;

    step("Copying the stylesheet and public files");
    let css = style::join(&project.root.join("style"))?;
    let style = format!("style-{}.css", fingerprint([css.as_bytes()]));
    site.place(&Path::new("pkg").join(&style), css.as_bytes())?;

    let immutable = names(&site);
    site.place_folder(&project.root.join("public"))?;
    // With all names, so that a binary with an embedded site is rebuilt when a file is added.
    let files = names(&site);
    site.finish(&json!({ "script": script, "style": style, "immutable": immutable, "files": files }))
}

fn names(site: &Site) -> Vec<String> {
    site.files().map(|path| path.to_string_lossy().into_owned()).collect()
}
