//! Bringing Stripe in line with `plans.toml`: [`plan()`] lists the differences, [`apply()`] removes one.
//!
//! A price cannot be changed in Stripe. To change an amount, a new price is created and takes over the
//! lookup key, and the old one is archived; its subscribers keep paying it, so its id belongs in
//! `retired_prices`, as the change says. A price whose id is configured is left alone. Applying a second
//! time changes nothing (`tests/http/catalog.rs`).

mod apply;
mod change;
mod plan;
mod wanted;

pub use apply::{apply, apply_all};
pub use change::Change;
pub use plan::plan;
pub use wanted::WantedPrice;
