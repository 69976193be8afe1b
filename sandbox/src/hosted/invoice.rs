//! Hosted invoices, their PDF, and receipts.
//!
//! Invariant: viewing an invoice requires the secret in its URL, as in Stripe.

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::clock;
use crate::fields::Fields;
use crate::flows::collection;
use crate::flows::invoice::{self, IfDeclined};
use crate::flows::payment::Presence;
use crate::hosted::checkout::{FieldError, Input, card_fields, test_cards};
use crate::hosted::html::{App, esc, link, notice, page, see_other};
use crate::money;
use crate::objects::{Invoice, InvoiceStatus, PaymentIntent};
use crate::store::Origin;

/// The secret in the URL of an invoice.
#[derive(Debug, Deserialize)]
pub(crate) struct Key {
    #[serde(default)]
    s: String,
}

fn find(shared: &crate::state::Shared, id: &str, key: &Key) -> Option<Invoice> {
    let invoice: Option<Invoice> = shared.lock().store.read(id);
    invoice.filter(|invoice| invoice.secret.as_ref() == Some(&key.s))
}

fn not_found() -> Response {
    notice(StatusCode::NOT_FOUND, "Page not found", "We couldn't find this invoice.", None)
}

fn title_of(invoice: &Invoice) -> String {
    format!("Invoice {}", invoice.number.as_deref().unwrap_or_default())
}

/// `GET /i/{invoice}`
pub(crate) async fn show(State(shared): App, Path(id): Path<String>, Query(key): Query<Key>) -> Response {
    shared.catch_up();
    match find(&shared, &id, &key) {
        Some(invoice) => shown(&invoice, StatusCode::OK, &Input::default(), None),
        None => not_found(),
    }
}

/// `POST /i/{invoice}`: pays an open invoice with the submitted card.
pub(crate) async fn pay(State(shared): App, Path(id): Path<String>, Query(key): Query<Key>, body: String) -> Response {
    let Some(invoice) = find(&shared, &id, &key) else {
        return not_found();
    };
    let input = Input::read(&body);
    let mut response = None;
    let outcome = shared.transaction(Origin::default(), |tx| {
        let current: Invoice = tx.read(&id)?;
        let back = current.hosted_invoice_url.unwrap_or_default();
        if current.status != InvoiceStatus::Open {
            response = Some(see_other(&back));
            return Ok(());
        }
        let method = match input.card(tx) {
            Ok(method) => method,
            Err(field_error) => {
                response = Some(shown(&invoice, StatusCode::UNPROCESSABLE_ENTITY, &input, Some(&field_error)));
                return Ok(());
            }
        };
        let intent = invoice.intent();
        tx.update_quietly(intent, |intent: &mut PaymentIntent| intent.return_url = Some(back.clone()))?;
        let paid = invoice::pay(tx, &id, &method, Presence::OnSession, IfDeclined::Leave);
        if let Err(error) = &paid {
            let field_error = FieldError { field: "number", message: error.message.to_string() };
            response = Some(shown(&invoice, StatusCode::PAYMENT_REQUIRED, &input, Some(&field_error)));
        }
        let paid = paid?;
        if paid.status == InvoiceStatus::Paid {
            collection::invoice_settled(tx, &paid)?;
            response = Some(see_other(&back));
        } else {
            response = Some(see_other(&format!("/authenticate/{intent}")));
        }
        Ok(())
    });
    match (response, outcome) {
        (Some(response), _) => response,
        (None, outcome) => {
            let why = outcome.err().map_or_else(String::new, |error| error.message.to_string());
            notice(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", &why, None)
        }
    }
}

/// Renders an invoice, with a payment form if it is open.
fn shown(invoice: &Invoice, status: StatusCode, input: &Input, field_error: Option<&FieldError>) -> Response {
    let currency = &invoice.currency;
    let lines: String = invoice
        .lines()
        .iter()
        .map(|line| {
            format!(
                r#"<li><span>{}</span><span class="amount">{}</span></li>"#,
                esc(line.description.as_deref().unwrap_or_default()),
                money::format(line.amount, currency)
            )
        })
        .collect();
    let due = money::format(invoice.amount_remaining, currency);
    let form = match invoice.status {
        InvoiceStatus::Open => format!(
            r#"<h2>Pay this invoice</h2><form method="post" novalidate>{}<button>Pay {due}</button></form>{}"#,
            card_fields(input, field_error),
            test_cards()
        ),
        _ => String::new(),
    };
    let main = format!(
        r#"<div class="card narrow">
<h1>{title}</h1>
<p class="muted">{to} · {date} · {status}{by}</p>
<ul class="lines">{lines}
<li><strong>Total</strong><strong class="amount">{total}</strong></li>
<li><span>Amount due</span><span class="amount">{due}</span></li>
<li><span>Amount paid</span><span class="amount">{paid}</span></li>
</ul>
<p><a class="button" href="{pdf}">Download PDF</a></p>
{form}
</div>"#,
        title = esc(&title_of(invoice)),
        to = esc(invoice.customer_email.as_ref().or(invoice.customer_name.as_ref()).map_or("Customer", String::as_str)),
        date = clock::long_date(invoice.created),
        status = invoice.status,
        by = invoice.due_date.map_or_else(String::new, |at| format!(" · due {}", clock::long_date(at))),
        total = money::format(invoice.total, currency),
        due = money::format(invoice.amount_due, currency),
        paid = money::format(invoice.amount_paid, currency),
        pdf = link(invoice.invoice_pdf.as_deref().unwrap_or_default()),
    );
    page(status, &title_of(invoice), &main)
}

/// `GET /i/{invoice}/pdf`
pub(crate) async fn pdf(State(shared): App, Path(id): Path<String>, Query(key): Query<Key>) -> Response {
    let Some(invoice) = find(&shared, &id, &key) else {
        return not_found();
    };
    let currency = &invoice.currency;
    let mut lines = vec![
        "Sandbox: no real money".to_owned(),
        String::new(),
        title_of(&invoice),
        format!("{}   {}", clock::long_date(invoice.created), invoice.status),
        invoice.customer_email.clone().unwrap_or_default(),
        String::new(),
    ];
    for line in invoice.lines() {
        let description = line.description.as_deref().unwrap_or_default();
        lines.push(format!("{description}   {}", money::format(line.amount, currency)));
    }
    lines.push(String::new());
    lines.push(format!("Total   {}", money::format(invoice.total, currency)));
    lines.push(format!("Amount paid   {}", money::format(invoice.amount_paid, currency)));
    let name = format!("attachment; filename=\"invoice-{}.pdf\"", invoice.number.as_deref().unwrap_or_default());
    let headers = [(header::CONTENT_TYPE, "application/pdf".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, write_pdf(&lines)).into_response()
}

/// `GET /receipts/{charge}`
pub(crate) async fn receipt(State(shared): App, Path(id): Path<String>) -> Response {
    let inner = shared.lock();
    let charge = inner.store.get(&id).filter(|found| found.text("object") == "charge").cloned();
    drop(inner);
    let Some(charge) = charge else {
        return notice(StatusCode::NOT_FOUND, "Page not found", "We couldn't find this receipt.", None);
    };
    let details = &charge["payment_method_details"];
    let method = match details.text("type") {
        "card" => format!("the card ending in {}", details["card"].text("last4")),
        "link" => "Link".to_owned(),
        kind => format!("the bank account ending in {}", details[kind].text("last4")),
    };
    let text = format!(
        "{} paid on {} with {method}.",
        money::format(charge.int("amount"), charge.text("currency")),
        clock::long_date(charge.int("created")),
    );
    notice(StatusCode::OK, "Receipt", &text, None)
}

/// Writes lines of text as a one-page PDF. Characters outside Latin-1 become `?`.
fn write_pdf(lines: &[String]) -> Vec<u8> {
    let mut text = b"BT /F1 12 Tf 56 780 Td 18 TL\n".to_vec();
    for line in lines {
        text.push(b'(');
        for c in line.chars() {
            let byte = match c {
                '€' => 0x80,
                c => u8::try_from(u32::from(c)).unwrap_or(b'?'),
            };
            if matches!(byte, b'(' | b')' | b'\\') {
                text.push(b'\\');
            }
            text.push(byte);
        }
        text.extend(b") Tj T*\n");
    }
    text.extend(b"ET");
    let mut stream = format!("<< /Length {} >>\nstream\n", text.len()).into_bytes();
    stream.extend(text);
    stream.extend(b"\nendstream");
    let objects: [&[u8]; 5] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        &stream,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ];
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(pdf.len());
        pdf.extend(format!("{} 0 obj\n", index + 1).into_bytes());
        pdf.extend(*object);
        pdf.extend(b"\nendobj\n");
    }
    let start = pdf.len();
    pdf.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).into_bytes());
    for offset in offsets {
        pdf.extend(format!("{offset:010} 00000 n \n").into_bytes());
    }
    let trailer = format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1);
    pdf.extend(trailer.into_bytes());
    pdf
}
