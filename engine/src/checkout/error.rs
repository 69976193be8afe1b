//! Errors of a purchase.

use billing::{CheckoutSessionId, CustomerId, PriceId};

use crate::store::StoreError;
use crate::store::checkouts::Attempt;
use crate::stripe::GatewayError;
use crate::stripe_account::{OtherAccount, StripeAccountError};
use crate::sync::SyncError;

/// The reason a purchase could not start.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The catalog has no such plan, interval or product.
    #[error("no such plan, interval or product")]
    Unknown,
    /// The plan is free, or is not sold at this interval.
    #[error("this plan is not for sale")]
    NotForSale,
    /// The account already has a subscription, which can be changed instead.
    #[error("the account already has a subscription")]
    AlreadySubscribed,
    /// A customer with the same e-mail address, whom no account owns, has a subscription.
    #[error("{0} has the same e-mail address and a subscription, but no account")]
    SubscribedBefore(CustomerId),
    /// The product was bought a moment ago, in another tab.
    #[error("the product was just bought")]
    JustBought(CheckoutSessionId),
    /// The account is closed or does not exist.
    #[error("the account is closed")]
    Closed,
    /// Other requests of the same account keep replacing this purchase.
    #[error("another purchase for this account is in progress")]
    InProgress,
    /// Stripe does not charge this customer in the currency of the price.
    #[error("{customer} is charged in a different currency from {price}: {message}")]
    CurrencyConflict {
        /// The buyer in Stripe.
        customer: CustomerId,
        /// The price that was to be charged.
        price: PriceId,
        /// Stripe's message, which contains the currency.
        message: String,
    },
    /// The API key belongs to another Stripe account than the stored objects.
    #[error(transparent)]
    OtherAccount(OtherAccount),
    /// Stripe gave no usable response; nothing was charged.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CheckoutError {
    /// Adds the customer and price to an error about combining currencies.
    pub(super) fn of_purchase(self, attempt: &Attempt) -> Self {
        match self {
            Self::Stripe(GatewayError::Rejected { message, .. }) if message.contains("combine currencies") => {
                let (customer, price) = (attempt.customer_id.clone(), attempt.price_id.clone());
                Self::CurrencyConflict { customer, price, message }
            }
            other => other,
        }
    }
}

impl From<SyncError> for CheckoutError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Stripe(error) | SyncError::Disappeared { error, .. } | SyncError::Unreported(error) => {
                Self::Stripe(error)
            }
            SyncError::Store(error) => Self::Store(error),
            SyncError::OtherAccount(error) => Self::OtherAccount(error),
            SyncError::Contended(_) | SyncError::LeaseLost(_) | SyncError::Missing(_) => Self::InProgress,
        }
    }
}

impl From<StripeAccountError> for CheckoutError {
    fn from(error: StripeAccountError) -> Self {
        match error {
            StripeAccountError::Other(error) => Self::OtherAccount(error),
            StripeAccountError::Stripe(error) => Self::Stripe(error),
            StripeAccountError::Store(error) => Self::Store(error),
        }
    }
}
