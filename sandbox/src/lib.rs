//! An offline Stripe for development and tests.
//!
//! It implements the part of Stripe's HTTP API that a billing application uses, serves the hosted
//! pages, accepts Stripe's test cards, and delivers signed webhooks with retries. No money moves and
//! nothing leaves the machine. It shares no code with the application under test, so a mistake in one
//! cannot hide the same mistake in the other.
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
//! One lock guards the state (`state.rs`); it is never held across an await. Each request is one
//! transaction (`store.rs`) and one line of the journal.

// The largest objects are built with a single `json!` call.
#![recursion_limit = "256"]

mod api;
mod api_version;
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
mod origins;
mod params;
mod permissions;
mod sandbox;
mod settings;
mod state;
mod store;
mod upcoming;

pub use config::{Config, Endpoint};
pub use error::Error;
pub use gate::HeldCalls;
pub use sandbox::{Sandbox, offset_at, start};
pub use settings::AfterLastRetry;
pub use state::{Delivery, LoggedRequest};
