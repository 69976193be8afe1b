//! Identifiers as types, so that a customer id cannot be passed for an account id.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the identifier as it is; its form is the issuer's business.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The identifier as text.
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
    /// A person who can sign in. Ours.
    UserId;
    /// What plans and usage belong to; a person reaches it through a membership. Ours.
    AccountId;
    /// Stripe's `cus_…`.
    CustomerId;
    /// Stripe's `sub_…`.
    SubscriptionId;
    /// Stripe's `price_…`.
    PriceId;
    /// Stripe's `cs_…`.
    CheckoutSessionId;
    /// Stripe's `in_…`.
    InvoiceId;
    /// Stripe's `pi_…`.
    PaymentIntentId;
    /// Stripe's `evt_…`.
    EventId;
}
