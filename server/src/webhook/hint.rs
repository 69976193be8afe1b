//! What an event makes us look at. An event is only a hint: nothing is taken from
//! it but the name of an object to ask Stripe about.

use billing::{CheckoutSessionId, SubscriptionId};

use crate::stripe::shape::{self, Event};

/// The event types that Stripe is asked to send: those that [`Hint::of`] makes something of.
pub const HANDLED: &[&str] = &[
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
];

/// An object to ask Stripe about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// A subscription.
    Subscription(SubscriptionId),
    /// A Checkout Session.
    CheckoutSession(CheckoutSessionId),
}

impl Hint {
    /// What `event` is about; `None` when it changes nothing here.
    pub fn of(event: &Event) -> Option<Self> {
        let id = || shape::id_of(&event.object, "/id");
        let family = |prefix: &str| event.kind.starts_with(prefix);
        if family("customer.subscription.") {
            id().map(SubscriptionId::new).map(Self::Subscription)
        } else if family("checkout.session.") {
            id().map(CheckoutSessionId::new).map(Self::CheckoutSession)
        } else if family("invoice.") {
            shape::invoice_subscription(&event.object).map(Self::Subscription)
        } else {
            None
        }
    }

    /// As it is kept in the inbox.
    pub fn subject(&self) -> &str {
        match self {
            Self::Subscription(id) => id.as_str(),
            Self::CheckoutSession(id) => id.as_str(),
        }
    }

    /// What was kept in the inbox.
    pub fn parse(subject: &str) -> Option<Self> {
        if subject.starts_with("sub_") {
            Some(Self::Subscription(SubscriptionId::new(subject)))
        } else if subject.starts_with("cs_") {
            Some(Self::CheckoutSession(CheckoutSessionId::new(subject)))
        } else {
            None
        }
    }
}
