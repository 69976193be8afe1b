//! The tier that one of our Checkouts sold.
//!
//! A price can be replaced and archived while a Checkout for it is open. The subscription then has a price
//! that the catalog no longer knows, and only the attempt records the plan (`tests/http/checkout.rs`).

use billing::{AccountId, Catalog, Tier};

use crate::store::{StoreError, Tx, checkouts};
use crate::stripe::objects::SubscriptionObject;

/// Returns the tier of the plan whose Checkout created this subscription, if it still has that price.
pub(super) async fn tier(
    tx: &mut Tx,
    account: &AccountId,
    fetched: &SubscriptionObject,
    catalog: &Catalog,
) -> Result<Option<Tier>, StoreError> {
    let Some(attempt) = &fetched.attempt else { return Ok(None) };
    let attempt = checkouts::by_id(tx, attempt).await?.filter(|attempt| attempt.account_id == *account);
    let Some(attempt) = attempt else { return Ok(None) };
    let has_price = fetched.subscription.items.iter().any(|item| item.price == attempt.price_id);
    let tier = attempt.item.tier().filter(|_| has_price);
    Ok(catalog.plans().iter().map(|plan| &plan.tier).find(|known| tier == Some(known.as_str())).cloned())
}
