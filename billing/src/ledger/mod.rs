//! Customers, invoices, payments and purchases, as Stripe last reported them.
//!
//! Stripe's objects, reduced to what customers and operators ask about. Each is stored whole
//! under Stripe's own id, so an event that arrives twice or late changes nothing
//! (`engine/tests/store/ledger.rs`). Amounts are in the currency's minor unit.

mod customer;
mod dispute;
mod invoice;
mod payment;
mod purchase;
mod reversal;
mod standing;

pub use customer::Customer;
pub use dispute::{Dispute, DisputeStatus};
pub use invoice::{Invoice, InvoiceStatus};
pub use payment::{Card, Payment, PaymentStatus, Refund};
pub use purchase::{CreditGrant, LineItem, Purchase};
pub use reversal::{Reversal, ReversalKind};
pub use standing::{InvoiceStanding, InvoiceState};
