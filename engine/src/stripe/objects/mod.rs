//! Reading Stripe's objects leniently, in both API shapes.
//!
//! Before `2025-03-31.basil` a subscription's period and an invoice's subscription were at the top
//! level of the object; since then they are in the items and under `parent` (Stripe's changelog for
//! basil). Unknown fields are ignored. A missing required field is an error, never a guess: a wrong date
//! in the database would grant or end access (`tests/rules/objects.rs`).

mod checkout_session;
mod customer;
mod dispute;
mod event;
mod invoice;
mod payer;
mod payment;
mod read;
mod subscription;

pub use checkout_session::{CheckoutSession, SessionStatus, checkout_session};
pub use customer::customer;
pub use dispute::dispute;
pub use event::{Event, event};
pub use invoice::{PaidLine, invoice, invoice_subscription, paid_lines};
pub use payer::{PayerIdentity, payer_identities};
pub use payment::payment;
pub use read::{Named, ObjectError, id_of, money, text};
pub use subscription::{SubscriptionObject, subscription, subscription_item};
