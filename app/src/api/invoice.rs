//! An invoice in Stripe.

#[cfg(feature = "ssr")]
use billing::InvoiceId;
#[cfg(feature = "ssr")]
use engine::overview::{InvoiceDocument, InvoiceLinkError, invoice_link};
use leptos::prelude::*;

use super::error::ApiError;
use super::reply::SeeOther;
use super::strict_form::StrictQuery;
#[cfg(feature = "ssr")]
use crate::caller::Caller;
#[cfg(feature = "ssr")]
use crate::failure::Failure;

/// Redirects to one of the account's invoices in Stripe: the page, where it can be paid, or the PDF.
#[server(prefix = "/billing", endpoint = "invoice", protocol = StrictQuery)]
pub async fn open_invoice(
    /// Stripe's `in_…`.
    #[server(default)]
    id: String,
    /// `pdf` for the PDF; empty for the page.
    #[server(default)]
    #[server(rename = "as")]
    document: String,
) -> Result<SeeOther, ApiError> {
    let Caller { tollgate, permit, .. } = Caller::calling_stripe()?;
    let document = match document.as_str() {
        "" => InvoiceDocument::Page,
        "pdf" => InvoiceDocument::Pdf,
        _ => return Err(Failure::Malformed.into()),
    };
    let link = invoice_link(&tollgate, permit.account_id(), &InvoiceId::new(id), document).await;
    let link = link.map_err(|error| match error {
        InvoiceLinkError::Stripe(cause) => Failure::stripe(&cause),
        InvoiceLinkError::Store(cause) => Failure::store(cause),
    })?;
    Ok(SeeOther::to(link.ok_or(Failure::NotFound)?))
}
