//! The logic behind the endpoints. Each flow writes objects and emits events in Stripe's order, within
//! the caller's transaction.

pub(crate) mod change;
pub(crate) mod checkout;
pub(crate) mod collection;
pub(crate) mod credit_note;
pub(crate) mod currency;
pub(crate) mod cycle;
pub(crate) mod debit;
pub(crate) mod dispute;
pub(crate) mod invoice;
pub(crate) mod meter;
pub(crate) mod payment;
pub(crate) mod proration;
pub(crate) mod refund;
pub(crate) mod schedule;
pub(crate) mod subscription;
pub(crate) mod terms;
pub(crate) mod time;
