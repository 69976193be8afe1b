//! The bank's 3-D Secure page, for a Checkout Session and for an intent.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::fields::Fields;
use crate::flows::invoice::{self, Settlement};
use crate::flows::{checkout, collection, payment};
use crate::hosted::checkout::open;
use crate::hosted::html::{App, notice, page, see_other};
use crate::objects::{CheckoutSession, IntentStatus};
use crate::store::Origin;

fn confirmation_page() -> Response {
    let main = r#"<div class="card narrow">
<h1>Confirm with your bank</h1>
<p>This is where your bank would ask you to confirm the payment (3-D Secure).</p>
<form method="post">
<div class="actions">
<button name="outcome" value="complete">Complete authentication</button>
<button class="second" name="outcome" value="fail">Fail authentication</button>
</div>
</form>
</div>"#;
    page(StatusCode::OK, "3-D Secure", main)
}

fn passed(body: &str) -> bool {
    form_urlencoded::parse(body.as_bytes()).any(|(name, value)| name == "outcome" && value == "complete")
}

fn nothing_to_confirm() -> Response {
    notice(StatusCode::CONFLICT, "Nothing to confirm", "This payment doesn't require confirmation.", None)
}

/// `GET /c/pay/{session}/authenticate`
pub(crate) async fn show_session(State(shared): App, Path(id): Path<String>) -> Response {
    shared.catch_up();
    let session = shared.lock().store.read(&id);
    match open(session) {
        Ok(session) if session.pending.is_some() => confirmation_page(),
        Ok(_) => see_other(&format!("/c/pay/{id}")),
        Err(closed) => *closed,
    }
}

/// `POST /c/pay/{session}/authenticate`
pub(crate) async fn submit_session(State(shared): App, Path(id): Path<String>, body: String) -> Response {
    let mut closed = None;
    let outcome = shared.transaction(Origin::default(), |tx| {
        match open(tx.read(&id).ok()) {
            Err(page) => closed = Some(*page),
            Ok(session) if session.pending.is_none() => {
                closed = Some(see_other(&format!("/c/pay/{id}")));
            }
            Ok(_) => return checkout::authenticated(tx, &id, passed(&body)).map(Some),
        }
        Ok(None)
    });
    match (closed, outcome) {
        (Some(closed), _) => closed,
        (None, Ok(Some(session))) => see_other(&session.success_url()),
        (None, Ok(None)) => nothing_to_confirm(),
        (None, Err(error)) => {
            // Return to the form, which shows the reason.
            shared.internal_transaction(|tx| {
                tx.update_quietly(&id, |session: &mut CheckoutSession| {
                    session.pending = None;
                    session.error = Some(error.message.to_string());
                })?;
                Ok(())
            });
            see_other(&format!("/c/pay/{id}"))
        }
    }
}

/// `GET /authenticate/{intent}`
pub(crate) async fn show_intent(State(shared): App, Path(id): Path<String>) -> Response {
    let waiting = shared.lock().store.get(&id).map(|intent| intent.text("status") == "requires_action");
    match waiting {
        Some(true) => confirmation_page(),
        Some(false) => nothing_to_confirm(),
        None => notice(StatusCode::NOT_FOUND, "Page not found", "We couldn't find this payment.", None),
    }
}

/// `POST /authenticate/{intent}`
pub(crate) async fn submit_intent(State(shared): App, Path(id): Path<String>, body: String) -> Response {
    let back = shared.lock().store.get(&id).and_then(|intent| intent.some("_return_url").map(str::to_owned));
    let outcome = shared.transaction(Origin::default(), |tx| {
        let intent = payment::authenticate(tx, &id, passed(&body))?;
        let paid = intent.filter(|intent| intent.status == IntentStatus::Succeeded);
        if let Some(intent) = paid
            && let Some(invoice) = &intent.invoice
        {
            let paid = invoice::mark_paid(tx, invoice, Settlement::Charge(intent.charge()))?;
            collection::invoice_settled(tx, &paid)?;
        }
        Ok(())
    });
    match (back, outcome) {
        (Some(back), _) => see_other(&back),
        (None, Ok(())) => {
            notice(StatusCode::OK, "Confirmed", "The payment is confirmed. You can close this page.", None)
        }
        (None, Err(error)) => notice(StatusCode::PAYMENT_REQUIRED, "Not confirmed", &error.message, None),
    }
}
