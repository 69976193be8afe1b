//! Stylesheet, scripts and icons, in memory, with the compressed copies from the build.
//!
//! Files below `pkg/` have a hash of their content in their names, so browsers cache them forever.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::get;
use serde::Deserialize;

/// The files that are served unchanged.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    files: Arc<BTreeMap<String, File>>,
    style_path: String,
    script_name: String,
}

#[derive(Clone, Debug, Default)]
struct File {
    plain: Bytes,
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
}

/// `manifest.json`, as the build writes it.
#[derive(Deserialize)]
struct Manifest {
    script: String,
    style: String,
}

/// The reason the files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    /// A file cannot be read.
    #[error("assets: {0}: {1}")]
    Read(String, std::io::Error),
    /// There is no valid `manifest.json`: the build did not finish.
    #[error("assets: no valid manifest.json; build them first (`make run` does)")]
    Manifest,
}

impl Assets {
    /// Reads the folder that the build wrote.
    pub fn from_dir(dir: &Path) -> Result<Self, AssetsError> {
        let mut files = Vec::new();
        read_below(dir, dir, &mut files)?;
        Self::from_files(files)
    }

    /// Creates assets from files and their paths below the site's root, such as `pkg/style-1a2b.css`.
    pub fn from_files(files: impl IntoIterator<Item = (String, Bytes)>) -> Result<Self, AssetsError> {
        let mut all: BTreeMap<String, Bytes> = files.into_iter().collect();
        let manifest = all.remove("manifest.json").ok_or(AssetsError::Manifest)?;
        let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|_| AssetsError::Manifest)?;
        let plain: Vec<String> =
            all.keys().filter(|path| !path.ends_with(".br") && !path.ends_with(".gz")).cloned().collect();
        let files = plain
            .into_iter()
            .filter_map(|path| {
                let file = File {
                    brotli: all.get(&format!("{path}.br")).cloned(),
                    gzip: all.get(&format!("{path}.gz")).cloned(),
                    plain: all.get(&path).cloned()?,
                };
                Some((format!("/{path}"), file))
            })
            .collect();
        Ok(Self {
            files: Arc::new(files),
            style_path: format!("/pkg/{}", manifest.style),
            script_name: manifest.script,
        })
    }

    /// Returns the path of the stylesheet.
    pub fn style_path(&self) -> &str {
        &self.style_path
    }

    /// Returns the name of script and wasm: `/pkg/<name>.js`.
    pub fn script_name(&self) -> &str {
        &self.script_name
    }

    /// Returns a route for every file.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        self.files.iter().fold(Router::new(), |router, (path, file)| {
            let (path, file) = (path.clone(), file.clone());
            let at = path.clone();
            router.route(&path, get(move |headers: HeaderMap| async move { file.respond(&at, &headers) }))
        })
    }
}

impl File {
    fn respond(&self, path: &str, headers: &HeaderMap) -> Response<Body> {
        let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (body, encoding) = match (&self.brotli, &self.gzip) {
            (Some(brotli), _) if accepts(accepted, "br") => (brotli, Some("br")),
            (_, Some(gzip)) if accepts(accepted, "gzip") => (gzip, Some("gzip")),
            _ => (&self.plain, None),
        };
        let mut response = Response::new(Body::from(body.clone()));
        *response.status_mut() = StatusCode::OK;
        let out = response.headers_mut();
        out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        out.insert(VARY, HeaderValue::from_static("accept-encoding"));
        let cache =
            if path.starts_with("/pkg/") { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
        out.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        if let Some(encoding) = encoding {
            out.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    }
}

/// Returns whether an `Accept-Encoding` header accepts a coding.
fn accepts(header: &str, coding: &str) -> bool {
    header.split(',').any(|part| {
        let mut pieces = part.split(';').map(str::trim);
        pieces.next().is_some_and(|name| name.eq_ignore_ascii_case(coding))
            && !pieces.any(|piece| matches!(piece, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn read_below(root: &Path, dir: &Path, files: &mut Vec<(String, Bytes)>) -> Result<(), AssetsError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error| AssetsError::Read(path, error)
    };
    for entry in std::fs::read_dir(dir).map_err(failed(dir))? {
        let path = entry.map_err(failed(dir))?.path();
        if path.is_dir() {
            read_below(root, &path, files)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.push((name.replace('\\', "/"), std::fs::read(&path).map_err(failed(&path))?.into()));
        }
    }
    Ok(())
}
