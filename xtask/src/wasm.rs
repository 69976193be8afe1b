//! The browser side: cargo builds it, wasm-bindgen gives it its script.
//!
//! Both files carry one hash over the contents of both, because the page derives
//! their names from one. The script does not know its wasm by name; the page
//! passes the address.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::assets::{self, Site, fingerprint};
use crate::process::{self, step};
use crate::project::Project;

/// The target that browsers run.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What selects the browser side of the root package; clippy looks at the same.
pub const SELECTION: [&str; 8] =
    ["--package", "tollgate", "--lib", "--no-default-features", "--features", "hydrate", "--target", TARGET];

/// To be raised when this file makes something else out of the same wasm.
const RECIPE: &str = "1";

/// Builds the wasm, places it and its script, and returns their common name.
pub fn place(project: &Project, site: &mut Site) -> anyhow::Result<String> {
    let wasm = build(project)?;
    let optimizer = optimizer();
    let stamp = project.target.join("site.stamp");
    let inputs = fingerprint([
        &wasm[..],
        RECIPE.as_bytes(),
        optimizer.as_deref().unwrap_or(Path::new("")).as_os_str().as_encoded_bytes(),
    ]);
    if let Some(name) = unchanged(&stamp, &inputs, site) {
        return Ok(name);
    }

    step("Making the script for the pages' WebAssembly");
    let folder = tempfile::tempdir().context("no temporary folder")?;
    Bindgen::new()
        .input_bytes("tollgate", wasm)
        .web(true)
        .and_then(|bindgen| {
            bindgen
                .typescript(false)
                .omit_default_module_path(true)
                .remove_name_section(true)
                .remove_producers_section(true)
                .out_name("tollgate")
                .generate(folder.path())
        })
        .map_err(|error| anyhow::anyhow!("wasm-bindgen: {error:#}"))?;
    if let Some(optimizer) = optimizer {
        optimize(&optimizer, &folder.path().join("tollgate_bg.wasm"));
    }

    let files = assets::files_below(folder.path())?;
    let contents = files.iter().map(|file| fs::read(folder.path().join(file))).collect::<Result<Vec<_>, _>>()?;
    let name = format!("tollgate-{}", fingerprint(contents.iter().map(Vec::as_slice)));
    for (file, content) in files.iter().zip(&contents) {
        let place = match file.to_str() {
            Some("tollgate.js") => Path::new("pkg").join(format!("{name}.js")),
            Some("tollgate_bg.wasm") => Path::new("pkg").join(format!("{name}_bg.wasm")),
            // What the script imports by this very path.
            Some(snippet) if snippet.starts_with("snippets/") => Path::new("pkg").join(file),
            _ => bail!("wasm-bindgen made a file that nobody asked for: {}", file.display()),
        };
        site.place(&place, content)?;
    }
    let snippets = files.iter().any(|file| file.starts_with("snippets"));
    // Snippets are not in the stamp; with them every build makes the script anew.
    let stamped = if snippets { String::new() } else { format!("{inputs}\n{name}\n") };
    assets::write(&stamp, stamped.as_bytes())?;
    Ok(name)
}

/// The wasm as the compiler leaves it.
fn build(project: &Project) -> anyhow::Result<Vec<u8>> {
    let output = project.target.join(TARGET).join("wasm-release/tollgate.wasm");
    step(if output.exists() {
        "Building the pages' WebAssembly"
    } else {
        "Building the pages' WebAssembly (the first time takes 2 to 5 minutes)"
    });
    process::run(project.cargo().arg("build").args(SELECTION).args(["--profile", "wasm-release"]))?;
    fs::read(&output).with_context(|| format!("cargo left no {}", output.display()))
}

/// The name of the last build, when it had the same inputs and is still there.
fn unchanged(stamp: &Path, inputs: &str, site: &mut Site) -> Option<String> {
    let stamp = fs::read_to_string(stamp).ok()?;
    let (stamped, name) = stamp.trim().split_once('\n')?;
    let is_there = stamped == inputs
        && site.keep(&Path::new("pkg").join(format!("{name}.js")))
        && site.keep(&Path::new("pkg").join(format!("{name}_bg.wasm")));
    is_there.then(|| name.to_owned())
}

/// Binaryen's `wasm-opt`, where somebody has it. It saves one or two percent.
fn optimizer() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join("wasm-opt")).find(|path| path.is_file())
}

/// Shrinks the file in place; an optimizer that fails (an old one may not know all of wasm) changes nothing.
fn optimize(optimizer: &Path, wasm: &Path) {
    step("Shrinking it with wasm-opt");
    let smaller = wasm.with_extension("opt");
    // What rustc assumes of every browser.
    let features =
        ["bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext"];
    let result = process::run(
        Command::new(optimizer)
            .arg("-Oz")
            .args(features.map(|feature| format!("--enable-{feature}")))
            .arg(wasm)
            .arg("-o")
            .arg(&smaller),
    );
    let result = result.and_then(|()| fs::rename(&smaller, wasm).context("cannot move the result"));
    if let Err(error) = result {
        let _ = fs::remove_file(&smaller);
        eprintln!("           going on without wasm-opt: {error:#}");
    }
}
