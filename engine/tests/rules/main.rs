//! The engine's rules that need no database: reading Stripe's objects, events and signatures, and the clock.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line that says why")]

mod clock;
mod events;
mod fixtures;
mod objects;
mod paid_plan;
mod payment_objects;
mod signature;
mod unknown_values;
