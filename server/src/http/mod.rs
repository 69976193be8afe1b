//! The HTTP side: one router for the pages, the webhook and the API, and the layers around them.

pub mod api;
mod backstop;
mod client;
mod headers;
mod health;
mod host;
mod limits;
mod origin;
mod rejection;
mod router;
mod serve;
mod trace;

pub use client::ClientAddress;
pub use router::{Pages, router};
pub use serve::{ConnectionLimits, serve};
