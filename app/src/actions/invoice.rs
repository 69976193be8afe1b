//! `GET /billing/invoice?id=in_…`: on to Stripe's page of an invoice, where it can be paid, or to its
//! PDF with `as=pdf`. Stripe's own addresses run out, so they are never kept.

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use billing::InvoiceId;
use server::Tollgate;
use server::store::invoices;

use super::Who;
use crate::document;
use crate::failure::Failure;

pub async fn open(State(tollgate): State<Tollgate>, parts: Parts, Who(who): Who) -> Response {
    let (mut id, mut as_pdf) = (String::new(), false);
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "id" => id = value.into_owned(),
            "as" => as_pdf = value == "pdf",
            _ => {}
        }
    }
    let id = InvoiceId::new(id);
    let failure = match invoices::by_id(tollgate.db(), &id).await {
        // Somebody else's does not exist.
        Ok(Some(invoice)) if invoice.account == who.account_id => match tollgate.gateway().invoice_addresses(&id).await
        {
            Ok((page, pdf)) => match if as_pdf { pdf } else { page } {
                Some(url) => return Redirect::to(&url).into_response(),
                None => Failure::NotFound,
            },
            Err(cause) => Failure::stripe(&cause),
        },
        Ok(_) => Failure::NotFound,
        Err(cause) => Failure::store(cause),
    };
    document::failure(&tollgate, parts, failure).await
}
