//! The differences between Stripe and the database.

use std::fmt;

use billing::ledger::ReversalKind;
use billing::{AccountId, CheckoutSessionId, CustomerId, EventId, Meter, PriceId, SubscriptionId};

/// The class of a [`Drift`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftKind {
    /// [`Drift::MissedEvent`].
    MissedEvent,
    /// [`Drift::WrongSubscription`].
    WrongSubscription,
    /// [`Drift::MissingSubscription`].
    MissingSubscription,
    /// [`Drift::WrongPurchase`].
    WrongPurchase,
    /// [`Drift::DuplicateSubscription`].
    DuplicateSubscription,
    /// [`Drift::OrphanCustomer`].
    OrphanCustomer,
    /// [`Drift::UnknownPrice`].
    UnknownPrice,
    /// [`Drift::DeletedButBilled`].
    DeletedButBilled,
    /// [`Drift::Unmatched`].
    Unmatched,
    /// [`Drift::BilledUsage`].
    BilledUsage,
    /// [`Drift::ReversedPayment`].
    ReversedPayment,
    /// [`Drift::NotCompared`].
    NotCompared,
}

impl DriftKind {
    /// All classes.
    pub const ALL: [Self; 12] = [
        Self::MissedEvent,
        Self::WrongSubscription,
        Self::MissingSubscription,
        Self::WrongPurchase,
        Self::DuplicateSubscription,
        Self::OrphanCustomer,
        Self::UnknownPrice,
        Self::DeletedButBilled,
        Self::Unmatched,
        Self::BilledUsage,
        Self::ReversedPayment,
        Self::NotCompared,
    ];

    /// Returns the text in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissedEvent => "missed_event",
            Self::WrongSubscription => "wrong_subscription",
            Self::MissingSubscription => "missing_subscription",
            Self::WrongPurchase => "wrong_purchase",
            Self::DuplicateSubscription => "duplicate_subscription",
            Self::OrphanCustomer => "orphan_customer",
            Self::UnknownPrice => "unknown_price",
            Self::DeletedButBilled => "deleted_but_billed",
            Self::Unmatched => "unmatched",
            Self::BilledUsage => "billed_usage",
            Self::ReversedPayment => "reversed_payment",
            Self::NotCompared => "not_compared",
        }
    }

    /// Returns advice to an operator about a difference that is not repaired automatically.
    pub const fn next_step(self) -> Option<&'static str> {
        match self {
            Self::MissedEvent | Self::WrongSubscription | Self::WrongPurchase | Self::DeletedButBilled => None,
            Self::MissingSubscription => {
                Some("Check that STRIPE_SECRET_KEY belongs to the Stripe account and mode in which it was sold.")
            }
            Self::DuplicateSubscription => Some("Ask the customer which one to keep, and cancel the others in Stripe."),
            Self::OrphanCustomer | Self::Unmatched => Some(
                "If someone proves that they are this customer, link it to their account (docs/OPERATIONS.md). Otherwise ignore it.",
            ),
            Self::UnknownPrice => Some("Add the price to `retired_prices` of its plan in plans.toml."),
            Self::BilledUsage => {
                Some("Compare with the meter's events in the Dashboard (docs/OPERATIONS.md, “Usage”).")
            }
            Self::ReversedPayment => Some(
                "Respond to an open dispute in the Dashboard before the evidence is due. Cancel the subscription there if it should not be charged again.",
            ),
            Self::NotCompared => Some("Check it in the Dashboard. The next comparison tries again."),
        }
    }

    /// Reads the text of a class.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A difference between Stripe and the database, or something that an operator should know about a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Stripe has an event that was never received.
    MissedEvent {
        /// The id of the missed event.
        event: EventId,
        /// Its type.
        kind: String,
    },
    /// A subscription is stored differently, or not at all.
    WrongSubscription {
        /// The subscription whose stored row is wrong.
        subscription: SubscriptionId,
        /// Its stored status; `None` when it is not stored.
        stored: Option<String>,
        /// Its status in Stripe.
        fetched: String,
    },
    /// A subscription is stored as running, but Stripe does not have it.
    MissingSubscription {
        /// The subscription that Stripe does not have.
        subscription: SubscriptionId,
    },
    /// A one-time purchase or its payment is stored differently, or not at all.
    WrongPurchase {
        /// The Checkout Session that sold it.
        session: CheckoutSessionId,
        /// Whether the purchase is stored.
        is_stored: bool,
    },
    /// A customer has several subscriptions that have not ended, and pays for each.
    DuplicateSubscription {
        /// The customer who is charged several times.
        customer: CustomerId,
        /// The subscriptions that have not ended.
        subscriptions: Vec<SubscriptionId>,
    },
    /// A customer has a subscription, but no account owns the customer.
    OrphanCustomer {
        /// The customer without an account.
        customer: CustomerId,
        /// A subscription of this customer.
        subscription: SubscriptionId,
    },
    /// A subscription has a price that is not in the catalog.
    UnknownPrice {
        /// The subscription with the price.
        subscription: SubscriptionId,
        /// The price that the catalog does not know.
        price: PriceId,
    },
    /// A subscription of a closed account has not ended.
    DeletedButBilled {
        /// The subscription that is still charged.
        subscription: SubscriptionId,
        /// The closed account.
        account: AccountId,
    },
    /// Events wait for their customer to be linked to an account.
    Unmatched {
        /// The customer that the events are about.
        customer: CustomerId,
        /// The number of events.
        events: i64,
    },
    /// Stripe has counted more or fewer units than it was sent.
    BilledUsage(BilledUsage),
    /// A payment of a subscription is disputed, or the one for its current period was taken back. This is over when
    /// the dispute is decided, the next period begins or, after a refund, a newer invoice is paid.
    ReversedPayment {
        /// The subscription.
        subscription: SubscriptionId,
        /// What happened to the payment.
        kind: ReversalKind,
    },
    /// An object could not be compared.
    NotCompared {
        /// Its id in Stripe.
        subject: String,
        /// The error that prevented the comparison.
        reason: String,
    },
}

/// Units that were sent to Stripe and units that Stripe has counted, of one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BilledUsage {
    /// The account that used the units.
    pub account: AccountId,
    /// Its customer in Stripe.
    pub customer: CustomerId,
    /// The meter that counted them.
    pub meter: Meter,
    /// Units sent.
    pub sent: i64,
    /// Units counted.
    pub counted: i64,
}

impl Drift {
    /// Its class.
    pub const fn kind(&self) -> DriftKind {
        match self {
            Self::MissedEvent { .. } => DriftKind::MissedEvent,
            Self::WrongSubscription { .. } => DriftKind::WrongSubscription,
            Self::MissingSubscription { .. } => DriftKind::MissingSubscription,
            Self::WrongPurchase { .. } => DriftKind::WrongPurchase,
            Self::DuplicateSubscription { .. } => DriftKind::DuplicateSubscription,
            Self::OrphanCustomer { .. } => DriftKind::OrphanCustomer,
            Self::UnknownPrice { .. } => DriftKind::UnknownPrice,
            Self::DeletedButBilled { .. } => DriftKind::DeletedButBilled,
            Self::Unmatched { .. } => DriftKind::Unmatched,
            Self::BilledUsage(_) => DriftKind::BilledUsage,
            Self::ReversedPayment { .. } => DriftKind::ReversedPayment,
            Self::NotCompared { .. } => DriftKind::NotCompared,
        }
    }

    /// Returns the id of the object in Stripe.
    pub fn subject(&self) -> &str {
        match self {
            Self::MissedEvent { event, .. } => event.as_str(),
            Self::WrongSubscription { subscription, .. }
            | Self::MissingSubscription { subscription }
            | Self::UnknownPrice { subscription, .. }
            | Self::DeletedButBilled { subscription, .. }
            | Self::ReversedPayment { subscription, .. } => subscription.as_str(),
            Self::DuplicateSubscription { customer, .. }
            | Self::OrphanCustomer { customer, .. }
            | Self::Unmatched { customer, .. }
            | Self::BilledUsage(BilledUsage { customer, .. }) => customer.as_str(),
            Self::WrongPurchase { session, .. } => session.as_str(),
            Self::NotCompared { subject, .. } => subject,
        }
    }

    /// Returns the difference's identity across runs.
    pub fn key(&self) -> String {
        let part = match self {
            Self::UnknownPrice { price, .. } => price.as_str(),
            Self::OrphanCustomer { subscription, .. } => subscription.as_str(),
            Self::BilledUsage(BilledUsage { meter, .. }) => meter.as_str(),
            Self::ReversedPayment { kind: ReversalKind::Disputed, .. } => "disputed",
            Self::ReversedPayment { kind: ReversalKind::DisputeLost, .. } => "lost",
            Self::ReversedPayment { kind: ReversalKind::Refunded, .. } => "refunded",
            _ => "",
        };
        [self.kind().as_str(), self.subject(), part].join(":")
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissedEvent { event, kind } => write!(f, "{event} ({kind}) was never received"),
            Self::WrongSubscription { subscription, stored: Some(stored), fetched } if stored == fetched => {
                write!(f, "{subscription} is {fetched} here and in Stripe, but other fields differ")
            }
            Self::WrongSubscription { subscription, stored, fetched } => {
                write!(f, "{subscription} is {fetched} in Stripe, but {} here", stored.as_deref().unwrap_or("unknown"))
            }
            Self::MissingSubscription { subscription } => {
                write!(f, "{subscription} is stored as running, but Stripe does not have it")
            }
            Self::WrongPurchase { session, is_stored: true } => {
                write!(f, "the purchase of {session} or its payment differs from Stripe")
            }
            Self::WrongPurchase { session, is_stored: false } => write!(f, "the purchase of {session} is not stored"),
            Self::DuplicateSubscription { customer, subscriptions } => {
                let all: Vec<&str> = subscriptions.iter().map(SubscriptionId::as_str).collect();
                write!(f, "{customer} pays for {} subscriptions at the same time: {}", all.len(), all.join(", "))
            }
            Self::OrphanCustomer { customer, subscription } => {
                write!(f, "{customer} has {subscription}, but no account owns this customer")
            }
            Self::UnknownPrice { subscription, price } => {
                write!(f, "{subscription} has the price {price}, which is not in plans.toml")
            }
            Self::DeletedButBilled { subscription, account } => {
                write!(f, "{subscription} has not ended, although its account {account} is closed")
            }
            Self::Unmatched { customer, events: 1 } => write!(f, "1 event of {customer} waits for an account"),
            Self::Unmatched { customer, events } => write!(f, "{events} events of {customer} wait for an account"),
            Self::BilledUsage(BilledUsage { customer, meter, sent, counted, .. }) => {
                write!(f, "Stripe counted {counted} units of {meter} for {customer}, but {sent} were sent")
            }
            Self::ReversedPayment { subscription, kind: ReversalKind::Disputed } => {
                write!(f, "a payment of {subscription} is disputed")
            }
            Self::ReversedPayment { subscription, kind: ReversalKind::DisputeLost } => {
                write!(f, "the payment for the current period of {subscription} was lost in a dispute")
            }
            Self::ReversedPayment { subscription, kind: ReversalKind::Refunded } => {
                write!(f, "the payment for the current period of {subscription} was refunded in full")
            }
            Self::NotCompared { subject, reason } => write!(f, "{subject} could not be compared: {reason}"),
        }
    }
}

/// A difference, and whether it was repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The difference.
    pub drift: Drift,
    /// Whether it was repaired.
    pub is_fixed: bool,
}
