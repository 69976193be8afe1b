//! A customer in Stripe.

use crate::ids::CustomerId;

/// A Stripe customer, as Stripe last reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Stripe's `cus_…`.
    pub id: CustomerId,
    /// The address Stripe sends receipts to.
    pub email: Option<String>,
    /// The name on receipts.
    pub name: Option<String>,
    /// Whether the customer was deleted in Stripe. Deletion is permanent: the account gets a new
    /// customer.
    pub is_deleted: bool,
}
