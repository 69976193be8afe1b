//! The data of a billing page.

use billing::ledger::{Invoice, InvoiceStanding, InvoiceStatus, Payment};
use billing::{AccountId, Entitlement, InvoiceId, PaymentIntentId, Reason, Subscription};

use crate::core::Core;
use crate::store::purchases::PaidPurchase;
use crate::store::{Cursor, Page, StoreError, accounts, customers, invoices, payments, purchases, trials};
use crate::stripe::GatewayError;

/// The number of invoices or purchases on a page.
const PAGE: usize = 12;

/// An overview of an account's billing.
#[derive(Clone, Debug)]
pub struct BillingOverview {
    /// The account's entitlement.
    pub entitlement: Entitlement,
    /// The subscription behind the entitlement, or the newest one that has not ended.
    pub subscription: Option<Subscription>,
    /// The subscriptions that have ended, newest first.
    pub past: Vec<Subscription>,
    /// Whether the account can still have a trial.
    pub trial_available: bool,
    /// Whether the account has a customer in Stripe, and therefore a portal.
    pub has_customer: bool,
    /// The oldest unpaid invoice.
    pub owed: Option<Owed>,
}

/// An unpaid invoice.
#[derive(Clone, Debug)]
pub struct Owed {
    /// The oldest open invoice.
    pub invoice: Invoice,
    /// Whether the customer's bank requires an action, such as 3-D Secure.
    pub needs_action: bool,
    /// Whether the bank is working on the payment: a bank debit takes days. The customer must not be asked to
    /// pay again.
    pub is_pending: bool,
}

/// Reads an overview of an account's billing. `entitlement` is the account's own.
pub async fn overview(
    core: &Core,
    account: &AccountId,
    entitlement: &Entitlement,
) -> Result<BillingOverview, StoreError> {
    let all = core.cache().subscriptions(core.db(), account).await?;
    let current = match &entitlement.reason {
        Reason::Subscription { id, status, .. } if !status.has_ended() => all.iter().find(|each| each.id == *id),
        _ => all.iter().find(|each| !each.status.has_ended()),
    };
    let owed = async {
        match current {
            Some(current) => owed(core, account, current).await,
            None => Ok(None),
        }
    };
    let (owed, trial_available, customer) =
        tokio::try_join!(owed, trial_available(core, account), customers::of_account(core.db(), account))?;
    Ok(BillingOverview {
        trial_available,
        has_customer: customer.is_some(),
        owed,
        subscription: current.cloned(),
        past: all.iter().filter(|each| each.status.has_ended()).cloned().collect(),
        entitlement: entitlement.clone(),
    })
}

/// Returns the oldest unpaid invoice of a subscription.
async fn owed(core: &Core, account: &AccountId, of: &Subscription) -> Result<Option<Owed>, StoreError> {
    let open = invoices::oldest_open(core.db(), account, &of.id).await?;
    let Some(invoice) = open.filter(|invoice| invoice.status == InvoiceStatus::Open) else { return Ok(None) };
    let ids: Vec<&str> = invoice.payments.iter().map(PaymentIntentId::as_str).collect();
    let payments = payments::by_ids(core.db(), &ids).await?;
    Ok(Some(Owed {
        needs_action: payments.values().any(Payment::needs_action),
        is_pending: payments.values().any(Payment::is_pending),
        invoice,
    }))
}

/// An invoice with its standing.
#[derive(Clone, Debug)]
pub struct BilledInvoice {
    /// The invoice, as Stripe describes it.
    pub invoice: Invoice,
    /// Its state and sums after credit notes, refunds and disputes.
    pub standing: InvoiceStanding,
}

/// Adds the standing to each of these invoices.
pub async fn with_standing(core: &Core, invoices: Vec<Invoice>) -> Result<Vec<BilledInvoice>, StoreError> {
    let ids: Vec<&str> = invoices.iter().flat_map(|invoice| &invoice.payments).map(PaymentIntentId::as_str).collect();
    let payments = payments::by_ids(core.db(), &ids).await?;
    let billed = invoices.into_iter().map(|invoice| {
        let own: Vec<&Payment> = invoice.payments.iter().filter_map(|id| payments.get(id)).collect();
        BilledInvoice { standing: InvoiceStanding::of(&invoice, &own), invoice }
    });
    Ok(billed.collect())
}

/// Reads a page of the account's invoices, newest first.
pub async fn invoices(core: &Core, account: &AccountId, after: &Cursor) -> Result<Page<BilledInvoice>, StoreError> {
    let rows = invoices::of_account(core.db(), account, after, limit()).await?;
    let rows = with_standing(core, rows).await?;
    Ok(Page::new(rows, PAGE, |row| Cursor { at: row.invoice.created, key: row.invoice.id.to_string() }))
}

/// Reads a page of the account's purchases with their payments, newest first.
pub async fn purchases(core: &Core, account: &AccountId, after: &Cursor) -> Result<Page<PaidPurchase>, StoreError> {
    let rows = purchases::of_account(core.db(), account, after, limit()).await?;
    Ok(Page::new(rows, PAGE, |paid| Cursor { at: paid.purchase.created, key: paid.purchase.session.to_string() }))
}

/// Returns whether a trial is available: neither the account nor its e-mail address has had one.
pub async fn trial_available(core: &Core, account: &AccountId) -> Result<bool, StoreError> {
    if core.catalog().trial_days() == 0 {
        return Ok(false);
    }
    let contact = accounts::contact(core.db(), account).await?;
    let email = contact.map(|contact| contact.email_canonical).unwrap_or_default();
    Ok(!trials::is_claimed(core.db(), account, &email).await?)
}

/// The reason an invoice's address could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InvoiceLinkError {
    /// Stripe gave no usable response.
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A document of an invoice that Stripe hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvoiceDocument {
    /// Stripe's page, where it can be paid.
    Page,
    /// The invoice as a PDF.
    Pdf,
}

/// Returns the address of one of the account's invoices in Stripe. `None` if the account has no such
/// invoice, or Stripe no such document. Stripe's addresses expire, so they are never stored.
pub async fn invoice_link(
    core: &Core,
    account: &AccountId,
    id: &InvoiceId,
    document: InvoiceDocument,
) -> Result<Option<String>, InvoiceLinkError> {
    let stored = invoices::by_id(core.db(), id).await?;
    if stored.is_none_or(|stored| stored.account != *account) {
        return Ok(None);
    }
    let addresses = core.gateway().invoice_addresses(id).await?;
    Ok(match document {
        InvoiceDocument::Page => addresses.page,
        InvoiceDocument::Pdf => addresses.pdf,
    })
}

fn limit() -> i64 {
    i64::try_from(PAGE + 1).unwrap_or(i64::MAX)
}
