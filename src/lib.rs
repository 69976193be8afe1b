//! The browser's entry: wakes the islands and nothing else.
//!
//! Pages without an island never load it. On the server this crate is empty;
//! the binary is in `main.rs`.

/// Called by the page's loader once the module is there; the loader then wakes each island by name.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    app::hydrate_islands();
}
