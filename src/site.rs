//! Stylesheet, scripts and icons: in the binary with the feature `embed`, otherwise from a folder.

use server::assets::Assets;
use server::config::Config;

/// Returns the assets that this binary serves.
#[cfg(not(feature = "embed"))]
pub fn assets(config: &Config) -> anyhow::Result<Assets> {
    Ok(Assets::from_dir(&config.site_dir)?)
}

/// Returns the assets that this binary serves.
#[cfg(feature = "embed")]
pub fn assets(_: &Config) -> anyhow::Result<Assets> {
    use axum::body::Bytes;
    use include_dir::{Dir, DirEntry, include_dir};

    static SITE: Dir<'_> = include_dir!("$TOLLGATE_SITE");

    fn below(dir: &'static Dir<'static>) -> Vec<(String, Bytes)> {
        dir.entries()
            .iter()
            .flat_map(|entry| match entry {
                DirEntry::Dir(dir) => below(dir),
                DirEntry::File(file) => {
                    vec![(file.path().display().to_string(), Bytes::from_static(file.contents()))]
                }
            })
            .collect()
    }

    Ok(Assets::from_files(below(&SITE))?)
}
