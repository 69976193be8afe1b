//! The browser's entry point, which hydrates islands. Pages without an island do not load it. On the
//! server this crate is empty; the binary is in `main.rs`.

/// Called by the page's loader after the module has loaded. The loader then hydrates each island by name.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    app::hydrate_islands();
}
