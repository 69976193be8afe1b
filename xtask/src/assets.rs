//! The site folder: files with their compressed variants, and nothing else.
//!
//! A file is written after its `.br` and `.gz`, and each is renamed into place, so that a server never
//! reads a partial file. A file that is up to date is not compressed again.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

const COMPRESSIBLE: [&str; 8] = ["css", "html", "js", "json", "svg", "txt", "wasm", "xml"];

/// The site folder during a build.
pub struct Site {
    root: PathBuf,
    placed: BTreeSet<PathBuf>,
}

impl Site {
    /// Opens the site at `root`, which may contain an older build.
    pub fn at(root: PathBuf) -> Self {
        Self { root, placed: BTreeSet::new() }
    }

    /// Writes a file and its compressed variants. `path` is relative to the site.
    pub fn place(&mut self, path: &Path, content: &[u8]) -> anyhow::Result<()> {
        let compressible = path.extension().is_some_and(|kind| COMPRESSIBLE.iter().any(|known| kind == *known));
        let variants = if compressible { vec![with_suffix(path, "br"), with_suffix(path, "gz")] } else { Vec::new() };

        let is_up_to_date = fs::read(self.root.join(path)).is_ok_and(|old| old == content)
            && variants.iter().all(|variant| self.root.join(variant).is_file());
        if !is_up_to_date {
            if compressible {
                write(&self.root.join(&variants[0]), &brotli(content)?)?;
                write(&self.root.join(&variants[1]), &gzip(content)?)?;
            }
            write(&self.root.join(path), content)?;
        }
        self.placed.insert(path.to_owned());
        self.placed.extend(variants);
        Ok(())
    }

    /// Keeps a file that is known to be up to date, with its compressed variants. Returns `false` if it is missing.
    pub fn keep(&mut self, path: &Path) -> bool {
        let variants = [path.to_owned(), with_suffix(path, "br"), with_suffix(path, "gz")];
        let is_complete = variants.iter().all(|variant| self.root.join(variant).is_file());
        if is_complete {
            self.placed.extend(variants);
        }
        is_complete
    }

    /// Writes all files below `folder` under their own names.
    pub fn place_folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        for file in files_below(folder)? {
            let content = fs::read(folder.join(&file)).with_context(|| format!("cannot read {}", file.display()))?;
            self.place(&file, &content)?;
        }
        Ok(())
    }

    /// Returns the files of the site so far, without their compressed variants.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.placed.iter().map(PathBuf::as_path).filter(|path| {
            !path.extension().is_some_and(|suffix| {
                (suffix == "br" || suffix == "gz") && self.placed.contains(&path.with_extension(""))
            })
        })
    }

    /// Deletes the files of older builds, and writes `manifest.json`, which completes the site.
    pub fn finish(mut self, manifest: &serde_json::Value) -> anyhow::Result<PathBuf> {
        let name = Path::new("manifest.json");
        let content = format!("{manifest:#}\n");
        if !fs::read(self.root.join(name)).is_ok_and(|old| old == content.as_bytes()) {
            write(&self.root.join(name), content.as_bytes())?;
        }
        self.placed.insert(name.to_owned());
        for file in files_below(&self.root)? {
            if !self.placed.contains(&file) {
                fs::remove_file(self.root.join(&file)).with_context(|| format!("cannot delete {}", file.display()))?;
            }
        }
        Ok(self.root)
    }
}

/// Returns the first 16 hexadecimal digits of the SHA-256 of all parts, for file names and stamps.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..8])
}

/// Returns all files below a folder, relative to it and sorted; none if the folder does not exist.
pub fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(current) = pending.pop() {
        let Ok(entries) = fs::read_dir(&current) else { continue };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", current.display()))?.path();
            if path.is_dir() {
                pending.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a file atomically.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("the path has no parent")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut file =
        tempfile::NamedTempFile::new_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    file.write_all(content).and_then(|()| make_readable(file.as_file())).context("cannot write")?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// Makes a temporary file readable for other users, because the server may run as one.
fn make_readable(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn brotli(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let parameters =
        brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, size_hint: content.len(), ..Default::default() };
    brotli::BrotliCompress(&mut &content[..], &mut compressed, &parameters).context("brotli failed")?;
    Ok(compressed)
}

fn gzip(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).and_then(|()| encoder.finish()).context("gzip failed")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_placed_file_has_both_compressed_variants() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = "some text, ".repeat(100);
        let mut site = Site::at(folder.path().to_owned());
        site.place(Path::new("pkg/style.css"), text.as_bytes()).expect("it can be written");

        let brotli = fs::read(folder.path().join("pkg/style.css.br")).expect("a .br");
        let mut unpacked = String::new();
        brotli::Decompressor::new(&brotli[..], 4096).read_to_string(&mut unpacked).expect("brotli");
        assert_eq!(unpacked, text);

        let gzip = fs::read(folder.path().join("pkg/style.css.gz")).expect("a .gz");
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, text);
        assert_eq!(site.files().collect::<Vec<_>>(), [Path::new("pkg/style.css")]);
    }

    #[test]
    fn finishing_deletes_files_of_the_last_build() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut old = Site::at(folder.path().to_owned());
        old.place(Path::new("pkg/old.js"), b"old").expect("it can be written");
        old.finish(&serde_json::json!({})).expect("it can be finished");

        let mut new = Site::at(folder.path().to_owned());
        new.place(Path::new("new.png"), b"new").expect("it can be written");
        new.finish(&serde_json::json!({})).expect("it can be finished");
        let left = files_below(folder.path()).expect("it can be listed");
        assert_eq!(left, [Path::new("manifest.json"), Path::new("new.png")]);
    }

    #[test]
    fn a_fingerprint_depends_on_the_boundaries_of_parts() {
        assert_ne!(fingerprint([&b"ab"[..], b"c"]), fingerprint([&b"a"[..], b"bc"]));
    }
}
