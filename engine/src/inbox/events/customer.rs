//! Customers that were changed or deleted in Stripe.

use super::hint::{Family, own_object};

pub(super) const FAMILY: Family = Family { kinds: &["customer.deleted", "customer.updated"], about: own_object };
