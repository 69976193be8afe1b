//! The Stripe objects that the engine follows.

use billing::{CheckoutSessionId, CustomerId, InvoiceId, PaymentIntentId, SubscriptionId};

/// A Stripe object, by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A subscription.
    Subscription(SubscriptionId),
    /// A Checkout Session.
    CheckoutSession(CheckoutSessionId),
    /// An invoice.
    Invoice(InvoiceId),
    /// A PaymentIntent, with its charge, refunds and disputes.
    Payment(PaymentIntentId),
    /// A customer.
    Customer(CustomerId),
}

impl Object {
    /// Reads an id by its prefix; `None` for a kind of object that the engine does not follow.
    pub fn of_id(id: &str) -> Option<Self> {
        let (prefix, _) = id.split_once('_')?;
        Some(match prefix {
            "sub" => Self::Subscription(SubscriptionId::new(id)),
            "cs" => Self::CheckoutSession(CheckoutSessionId::new(id)),
            "in" => Self::Invoice(InvoiceId::new(id)),
            "pi" => Self::Payment(PaymentIntentId::new(id)),
            "cus" => Self::Customer(CustomerId::new(id)),
            _ => return None,
        })
    }

    /// Returns the object's id.
    pub fn id(&self) -> &str {
        match self {
            Self::Subscription(id) => id.as_str(),
            Self::CheckoutSession(id) => id.as_str(),
            Self::Invoice(id) => id.as_str(),
            Self::Payment(id) => id.as_str(),
            Self::Customer(id) => id.as_str(),
        }
    }
}
