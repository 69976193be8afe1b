//! Handlers of forms and links that are not server functions: logging in and out, the theme, the
//! workspace, files and fragments. Each file says why in its first lines.
//!
//! They parse as strictly as server functions do, make one call on `server`, and redirect or show
//! the page again with the error.

mod api_keys;
mod custom_domain;
mod denied;
mod export_usage;
mod form;
mod later;
mod live_meters;
mod log_in;
mod log_out;
mod routes;
mod sign_up;
mod signed_in;
mod support;
mod theme;

pub use routes::all;
