//! The messages about a purchase.

use billing::Catalog;
use billing::ledger::{LineItem, Purchase};
use billing::money::grouped;

/// Returns the names of the products: the catalog's or, if it no longer has them, Stripe's.
pub fn purchase_title(purchase: &Purchase, catalog: &Catalog) -> String {
    let name = |item: &LineItem| {
        let known = item.product.as_deref().and_then(|key| catalog.product(key));
        let name = known.map_or_else(|| item.description.clone(), |product| product.name.clone());
        if item.quantity > 1 { format!("{} × {name}", item.quantity) } else { name }
    };
    let names: Vec<String> = purchase.items.iter().map(name).filter(|name| !name.is_empty()).collect();
    if names.is_empty() { "Purchase".to_owned() } else { names.join(", ") }
}

/// Returns the credits that the purchase added.
pub fn purchase_grants(purchase: &Purchase, catalog: &Catalog) -> Option<String> {
    let granted = purchase.items.iter().filter_map(|item| item.grants);
    let credits: Vec<String> =
        granted.map(|(meter, units)| format!("{} {}", grouped(units), catalog.meter_label(meter))).collect();
    (!credits.is_empty()).then(|| credits.join(" and "))
}
