//! New objects with all of Stripe's fields; unset fields are `null`.
//!
//! Invariant: a typed SDK can parse each of them. They have the default API version's fields;
//! `api_version.rs` renders older versions.

mod catalog;
mod checkout;
mod credit_note;
mod customer;
mod invoice;
mod invoice_line;
mod payment;
mod payment_intent;
mod platform;
mod portal;
mod price;
mod schedule;
mod subscription;
mod typed;

pub(crate) use catalog::{meter, product};
pub(crate) use checkout::{
    CheckoutSession, CustomMessage, CustomerCreation, CustomerDetails, InvoiceCreation, MethodCollection,
    PaymentStatus, PendingForm, SessionItem, SessionMode, SessionParams, SessionStatus,
};
pub(crate) use credit_note::{CreditedAmounts, credit_note};
pub(crate) use customer::Customer;
pub(crate) use invoice::{BillingReason, Invoice, InvoiceStatus, invoice_payment};
pub(crate) use invoice_line::{InvoiceItem, InvoiceLine};
pub(crate) use payment::{bank_method, card_method, charge, dispute, is_link, link_method, refund, setup_intent};
pub(crate) use payment_intent::{IntentStatus, PaymentIntent};
pub(crate) use platform::{account, webhook_endpoint};
pub(crate) use portal::{portal_configuration, portal_session};
pub(crate) use price::{Price, Recurring};
pub(crate) use schedule::{schedule_phase, subscription_schedule};
pub(crate) use subscription::{
    BillingMode, CollectionMethod, MissingMethod, PauseBehavior, PauseCollection, PauseReason, PendingUpdate,
    SaveMethod, Subscription, SubscriptionItem, SubscriptionStatus,
};
pub(crate) use typed::Object;
