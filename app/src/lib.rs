//! The pages: Leptos components, islands and server functions.
//!
//! Every page is rendered on the server and every write is a plain `<form>`, so all of it
//! works without JavaScript. Interactive parts are islands. Only islands and the calling side of
//! server functions are compiled for the browser.

pub mod api;
mod failure;
pub mod islands;

#[cfg(feature = "hydrate")]
pub use leptos::mount::hydrate_islands;

#[cfg(feature = "ssr")]
mod actions;
#[cfg(feature = "ssr")]
mod addresses;
#[cfg(feature = "ssr")]
mod after_form;
#[cfg(feature = "ssr")]
mod areas;
#[cfg(feature = "ssr")]
mod attempts;
#[cfg(feature = "ssr")]
mod caller;
#[cfg(feature = "ssr")]
mod causes;
#[cfg(feature = "ssr")]
mod components;
#[cfg(feature = "ssr")]
mod content_security;
#[cfg(feature = "ssr")]
mod document;
#[cfg(feature = "ssr")]
mod endpoints;
#[cfg(feature = "ssr")]
mod form_page;
#[cfg(feature = "ssr")]
mod form_state;
#[cfg(feature = "ssr")]
mod pages;
#[cfg(feature = "ssr")]
mod query;
#[cfg(feature = "ssr")]
mod routes;
#[cfg(feature = "ssr")]
mod theme;

#[cfg(feature = "ssr")]
pub use routes::pages;
