//! All that the browser loads, under `target/site`.
//!
//! Names under `pkg/` carry a hash of their content and may be cached for ever;
//! `manifest.json` tells the server which they are. It is written last.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::assets::{Site, fingerprint};
use crate::process::step;
use crate::project::Project;
use crate::{style, wasm};

/// Brings the site up to date and returns its folder. Does nothing where nothing changed.
pub fn build(project: &Project) -> anyhow::Result<PathBuf> {
    let mut site = Site::at(project.site());
    let script = wasm::place(project, &mut site)?;

    step("Gathering style and public files");
    let css = style::bundle(&project.root.join("style"))?;
    let style = format!("style-{}.css", fingerprint([css.as_bytes()]));
    site.place(&Path::new("pkg").join(&style), css.as_bytes())?;

    let immutable = names(&site);
    site.place_folder(&project.root.join("public"))?;
    // All names, so that a binary with the site inside is built again when a file is added.
    let files = names(&site);
    site.finish(&json!({ "script": script, "style": style, "immutable": immutable, "files": files }))
}

fn names(site: &Site) -> Vec<String> {
    site.files().map(|path| path.to_string_lossy().into_owned()).collect()
}
