//! What can differ between Stripe and here, and how it is said.

use std::fmt;

use billing::{AccountId, CustomerId, EventId, PriceId, SubscriptionId};

use crate::usage::outbox::Difference;

/// The class of a [`Drift`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftKind {
    /// See [`Drift::MissedEvent`].
    MissedEvent,
    /// See [`Drift::WrongSubscription`].
    WrongStatus,
    /// See [`Drift::DuplicateSubscription`].
    DuplicateSubscription,
    /// See [`Drift::OrphanCustomer`].
    OrphanCustomer,
    /// See [`Drift::UnknownPrice`].
    UnknownPrice,
    /// See [`Drift::DeletedButBilled`].
    DeletedButBilled,
    /// See [`Drift::Unmatched`].
    Unmatched,
    /// See [`Drift::BilledUse`].
    BilledUse,
    /// See [`Drift::NotCompared`].
    NotCompared,
}

impl DriftKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::MissedEvent,
        Self::WrongStatus,
        Self::DuplicateSubscription,
        Self::OrphanCustomer,
        Self::UnknownPrice,
        Self::DeletedButBilled,
        Self::Unmatched,
        Self::BilledUse,
        Self::NotCompared,
    ];

    /// The word in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissedEvent => "missed_event",
            Self::WrongStatus => "wrong_status",
            Self::DuplicateSubscription => "duplicate_subscription",
            Self::OrphanCustomer => "orphan_customer",
            Self::UnknownPrice => "unknown_price",
            Self::DeletedButBilled => "deleted_but_billed",
            Self::Unmatched => "unmatched",
            Self::BilledUse => "billed_use",
            Self::NotCompared => "not_compared",
        }
    }

    /// The class of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Something that differs between Stripe and here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Stripe sent, or would have sent, an event that was never received.
    MissedEvent {
        /// Which.
        event: EventId,
        /// Its type.
        kind: String,
    },
    /// A subscription is written down differently, or not at all.
    WrongSubscription {
        /// Which.
        subscription: SubscriptionId,
        /// Its status here; `None` when it is not written down.
        here: Option<String>,
        /// Its status at Stripe.
        there: String,
    },
    /// A customer has several subscriptions that have not ended, and pays for each.
    DuplicateSubscription {
        /// Whose.
        customer: CustomerId,
        /// Which.
        subscriptions: Vec<SubscriptionId>,
    },
    /// A customer with a subscription whom no account owns.
    OrphanCustomer {
        /// Whose.
        customer: CustomerId,
        /// Which.
        subscription: SubscriptionId,
    },
    /// Somebody pays a price that the catalogue does not name.
    UnknownPrice {
        /// For what.
        subscription: SubscriptionId,
        /// Which.
        price: PriceId,
    },
    /// A subscription goes on for an account that was closed.
    DeletedButBilled {
        /// Which.
        subscription: SubscriptionId,
        /// Whose it was.
        account: AccountId,
    },
    /// Events wait for a customer to be linked to an account.
    Unmatched {
        /// Whose.
        customer: CustomerId,
        /// How many.
        events: i64,
    },
    /// Stripe has counted more or less use than it was told of.
    BilledUse(Difference),
    /// Something of Stripe's that could not be compared, where the rest could.
    NotCompared {
        /// Its id at Stripe.
        subject: String,
        /// What stood in the way.
        why: String,
    },
}

impl Drift {
    /// Its class.
    pub const fn kind(&self) -> DriftKind {
        match self {
            Self::MissedEvent { .. } => DriftKind::MissedEvent,
            Self::WrongSubscription { .. } => DriftKind::WrongStatus,
            Self::DuplicateSubscription { .. } => DriftKind::DuplicateSubscription,
            Self::OrphanCustomer { .. } => DriftKind::OrphanCustomer,
            Self::UnknownPrice { .. } => DriftKind::UnknownPrice,
            Self::DeletedButBilled { .. } => DriftKind::DeletedButBilled,
            Self::Unmatched { .. } => DriftKind::Unmatched,
            Self::BilledUse(_) => DriftKind::BilledUse,
            Self::NotCompared { .. } => DriftKind::NotCompared,
        }
    }

    /// Stripe's id of what it is about.
    pub fn subject(&self) -> &str {
        match self {
            Self::MissedEvent { event, .. } => event.as_str(),
            Self::WrongSubscription { subscription, .. }
            | Self::UnknownPrice { subscription, .. }
            | Self::DeletedButBilled { subscription, .. } => subscription.as_str(),
            Self::DuplicateSubscription { customer, .. }
            | Self::OrphanCustomer { customer, .. }
            | Self::Unmatched { customer, .. }
            | Self::BilledUse(Difference { customer, .. }) => customer.as_str(),
            Self::NotCompared { subject, .. } => subject,
        }
    }

    /// What two runs that find the same call it by.
    pub fn key(&self) -> String {
        let part = match self {
            Self::UnknownPrice { price, .. } => price.as_str(),
            Self::OrphanCustomer { subscription, .. } => subscription.as_str(),
            Self::BilledUse(Difference { meter, .. }) => meter.as_str(),
            _ => "",
        };
        [self.kind().as_str(), self.subject(), part].join(":")
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissedEvent { event, kind } => write!(f, "{event} ({kind}) was never received"),
            Self::WrongSubscription { subscription, here: Some(here), there } if here == there => {
                write!(f, "{subscription} is {there} at Stripe and here, but not the same in every field")
            }
            Self::WrongSubscription { subscription, here, there } => {
                write!(f, "{subscription} is {there} at Stripe and {} here", here.as_deref().unwrap_or("unknown"))
            }
            Self::DuplicateSubscription { customer, subscriptions } => {
                let all: Vec<&str> = subscriptions.iter().map(SubscriptionId::as_str).collect();
                write!(f, "{customer} pays for {} subscriptions at once: {}", all.len(), all.join(", "))
            }
            Self::OrphanCustomer { customer, subscription } => {
                write!(f, "{customer} has {subscription}, but no account owns that customer")
            }
            Self::UnknownPrice { subscription, price } => {
                write!(f, "{subscription} is charged at {price}, which plans.toml does not name")
            }
            Self::DeletedButBilled { subscription, account } => {
                write!(f, "{subscription} goes on, but its account {account} was closed")
            }
            Self::Unmatched { customer, events } => {
                write!(f, "{events} events of {customer} wait for an account that owns that customer")
            }
            Self::BilledUse(Difference { customer, meter, sent, counted, .. }) => {
                write!(f, "Stripe counted {counted} units of {meter} for {customer}, but {sent} were sent")
            }
            Self::NotCompared { subject, why } => write!(f, "{subject} could not be compared: {why}"),
        }
    }
}

/// One difference, and whether it was mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What differs.
    pub drift: Drift,
    /// Whether it does not any more.
    pub is_mended: bool,
}

impl Finding {
    /// One that is not for a program to mend.
    pub(super) const fn left(drift: Drift) -> Self {
        Self { drift, is_mended: false }
    }
}
