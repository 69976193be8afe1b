//! An offline Stripe for development and tests.
//!
//! It speaks the part of Stripe's HTTP API that a billing application uses, serves the hosted
//! Checkout page with test cards, and delivers signed webhooks with retries. No money moves and
//! nothing leaves the machine. It shares no code with the application it serves, so that the
//! two can disagree.
//!
//! ```no_run
//! # async fn example() -> Result<(), sandbox::Error> {
//! let sandbox = sandbox::start(sandbox::Config::development()).await?;
//! println!("STRIPE_API_BASE={}", sandbox.url());
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! One lock guards the state (`state.rs`); it is never held across an await. One request is one
//! transaction (`store.rs`), one line of the journal.

// The largest objects of Stripe are one `json!` each.
#![recursion_limit = "256"]

mod agenda;
mod api;
mod banks;
mod cards;
mod clock;
mod config;
mod control;
mod controls;
mod deliver;
mod error;
mod events;
mod expand;
mod fields;
mod flows;
mod form;
mod gate;
mod hosted;
mod http;
mod idempotency;
mod ids;
mod index;
mod money;
mod objects;
mod params;
mod sandbox;
mod settings;
mod shape;
mod state;
mod store;

pub use config::{Config, Endpoint};
pub use error::Error;
pub use gate::HeldCalls;
pub use sandbox::{Sandbox, offset_at, start};
pub use settings::AfterLastRetry;
pub use state::{Delivery, RequestLine};
