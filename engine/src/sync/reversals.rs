//! Payments of a subscription that were disputed or refunded in full.
//!
//! Whenever a payment is fetched that was ever refunded or disputed, its invoice is fetched too, with all of
//! its payments and its subscription. So what happened to the fetched invoices is known, and what happened to
//! the others has not changed since the subscription was written last.

use billing::ledger::{Invoice, InvoiceStatus, Payment, Reversal, ReversalKind};
use billing::{AccountId, Subscription};

use super::fetch::Fetched;
use crate::store::{StoreError, Tx, invoices};

/// Returns the reversals of a subscription that still holds those from before.
pub(super) async fn of(
    tx: &mut Tx,
    account: &AccountId,
    subscription: &Subscription,
    fetched: &Fetched,
) -> Result<Vec<Reversal>, StoreError> {
    let invoices = fetched.invoices.iter().map(|fresh| &fresh.now.object);
    let own: Vec<&Invoice> =
        invoices.filter(|invoice| invoice.subscription.as_ref() == Some(&subscription.id)).collect();
    let is_fetched = |reversal: &Reversal| own.iter().any(|invoice| invoice.id == reversal.invoice);
    let before = subscription.reversals.iter().filter(|reversal| !is_fetched(reversal)).cloned();
    let mut reversals: Vec<Reversal> = before.collect();
    for invoice in &own {
        let payments = fetched.payments.iter().map(|fresh| &fresh.now.object);
        let payments: Vec<&Payment> = payments.filter(|payment| invoice.payments.contains(&payment.id)).collect();
        reversals.extend(Reversal::of(invoice, &payments));
    }
    if reversals.iter().any(|reversal| reversal.kind == ReversalKind::Refunded) {
        // A full refund is over once a newer invoice is paid.
        let stored = invoices::newest_paid(tx, account, &subscription.id).await?;
        let paid = own.iter().filter(|invoice| invoice.status == InvoiceStatus::Paid && invoice.amount_paid > 0);
        let newest = paid.map(|invoice| invoice.created).chain(stored).max();
        reversals.retain(|reversal| reversal.kind != ReversalKind::Refunded || newest <= Some(reversal.created));
    }
    reversals.sort_by(|a, b| (a.created, &a.invoice, a.kind).cmp(&(b.created, &b.invoice, b.kind)));
    Ok(reversals)
}
