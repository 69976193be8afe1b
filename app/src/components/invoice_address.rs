//! Links to an invoice in Stripe. They go through our server, because Stripe's own links expire.

use billing::InvoiceId;
use leptos::server_fn::ServerFn;

use crate::api::OpenInvoice;
use crate::query::address;

/// Returns the link to Stripe's page of an invoice, where it can be paid.
pub fn page_of(invoice: &InvoiceId) -> String {
    address(OpenInvoice::url(), &[("id", invoice.as_str())])
}

/// Returns the link to an invoice's PDF.
pub fn pdf_of(invoice: &InvoiceId) -> String {
    address(OpenInvoice::url(), &[("id", invoice.as_str()), ("as", "pdf")])
}
