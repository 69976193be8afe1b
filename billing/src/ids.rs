//! Typed identifiers, so that a customer id cannot be passed where an account id is expected.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps an identifier without checking its form, which is up to its issuer.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// Returns the identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// Our id of a user, who can sign in.
    UserId;
    /// Our id of an account, which plans and usage belong to. Users reach it through a membership.
    AccountId;
    /// Stripe's id of a customer, `cus_…`.
    CustomerId;
    /// Stripe's id of a subscription, `sub_…`.
    SubscriptionId;
    /// Stripe's id of a price, `price_…`.
    PriceId;
    /// Stripe's id of a Checkout Session, `cs_…`.
    CheckoutSessionId;
    /// Stripe's id of an invoice, `in_…`.
    InvoiceId;
    /// Stripe's id of a PaymentIntent, `pi_…`.
    PaymentIntentId;
    /// Stripe's id of an event, `evt_…`.
    EventId;
}
