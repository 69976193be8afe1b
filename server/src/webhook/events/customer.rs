//! A customer was changed or deleted at Stripe.

use super::{Family, itself};

pub(super) const FAMILY: Family = Family { kinds: &["customer.deleted", "customer.updated"], about: itself };
