//! `/v1/invoices`, `/v1/invoiceitems` and `/v1/invoice_payments`

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fields::Fields;
use crate::flows::invoice::{self, Bill, IfDeclined, Settlement};
use crate::flows::payment::{self, Presence};
use crate::flows::{change, collection, terms};
use crate::http::call::{Call, Route, deleted, route};
use crate::http::list::{in_range, matches_filters, page};
use crate::objects::{BillingReason, Invoice, InvoiceItem, InvoiceStatus, Object, Price, Subscription};
use crate::store::Tx;

pub(super) const ROUTES: &[Route] = &[
    route("POST /v1/invoices", create),
    route("GET /v1/invoices", list),
    route("GET /v1/invoices/:id", |tx, call| tx.find("invoice", &call.id)),
    route("POST /v1/invoices/:id", update),
    route("DELETE /v1/invoices/:id", delete),
    route("POST /v1/invoices/:id/finalize", finalize),
    route("GET /v1/invoices/:id/lines", lines),
    route("POST /v1/invoices/:id/pay", pay),
    route("POST /v1/invoices/:id/void", void),
    route("POST /v1/invoices/:id/mark_uncollectible", mark_uncollectible),
    route("POST /v1/invoices/:id/send", send),
    route("POST /v1/invoices/create_preview", preview),
    route("POST /v1/invoiceitems", create_item),
    route("GET /v1/invoiceitems", list_items),
    route("GET /v1/invoiceitems/:id", |tx, call| tx.find("invoiceitem", &call.id)),
    route("DELETE /v1/invoiceitems/:id", delete_item),
    route("GET /v1/invoice_payments", list_payments),
    route("GET /v1/invoice_payments/:id", |tx, call| tx.find("invoice_payment", &call.id)),
];

/// Creates a draft, with the customer's pending items if requested.
fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let customer = tx.customer(params.text("customer"))?;
    let items = match params.text("pending_invoice_items_behavior") {
        "include" => invoice::pending_items(tx, &customer.id, None)?,
        _ => Vec::new(),
    };
    let of_items = items.first().map(|item| item.currency.as_str());
    let currency = params.some("currency").or(of_items).or(customer.currency.as_deref()).unwrap_or("usd").to_owned();
    if items.iter().any(|item| item.currency != currency) {
        let message = format!("Pending invoice items must have the invoice's currency ({currency}).");
        return Err(ApiError::invalid("", message).on("currency"));
    }
    let now = tx.now();
    let bill = Bill {
        customer: &customer,
        subscription: None,
        reason: BillingReason::Manual,
        currency: &currency,
        period: (now, now),
        lines: invoice::lines_of(&items),
    };
    let mut draft = invoice::draft(bill, now);
    draft.auto_advance = params.flag("auto_advance");
    draft.apply(params);
    if params.text("collection_method") == "send_invoice" {
        match (params.some_int("days_until_due"), params.some_int("due_date")) {
            (None, None) => {
                let message =
                    "If invoice collection method is 'send_invoice', you must specify 'due_date' or 'days_until_due'.";
                return Err(ApiError::invalid("parameter_missing", message).on("due_date"));
            }
            (Some(days), _) => draft.send_later(days),
            (None, Some(at)) => {
                draft.send_later(0);
                draft.due_date = Some(at);
            }
        }
    }
    invoice::store(tx, &draft, &items)?;
    draft.to_json()
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let invoice: Invoice = tx.read(&call.id)?;
    let only_metadata = call.params.as_object().is_some_and(|params| params.keys().all(|key| key == "metadata"));
    if invoice.status != InvoiceStatus::Draft && !only_metadata {
        let message = "Finalized invoices can't be updated in this way.";
        return Err(ApiError::invalid("invoice_not_editable", message));
    }
    let updated = tx.update(&call.id, "invoice.updated", |invoice: &mut Invoice| {
        if call.params.get("auto_advance").is_some() {
            invoice.auto_advance = call.params.flag("auto_advance");
        }
        invoice.apply(&call.params);
    })?;
    updated.to_json()
}

/// Returns an invoice that must be a draft.
fn draft(tx: &Tx<'_>, id: &str, done: &str) -> Result<Invoice, ApiError> {
    let invoice: Invoice = tx.read(id)?;
    if invoice.status != InvoiceStatus::Draft {
        let message = format!("This invoice is not a draft, so it cannot be {done}.");
        return Err(ApiError::invalid("invoice_not_editable", message));
    }
    Ok(invoice)
}

fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let invoice = draft(tx, &call.id, "deleted")?;
    for item in tx.ids_referring("invoiceitem", &call.id) {
        tx.remove(&item);
    }
    tx.emit("invoice.deleted", &invoice.to_json()?, None);
    tx.remove(&call.id);
    Ok(deleted("invoice", &call.id))
}

fn finalize(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    draft(tx, &call.id, "finalized")?;
    invoice::finalize(tx, &call.id)?.to_json()
}

fn create_item(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let customer = tx.customer(params.text("customer"))?;
    let quantity = params.some_int("quantity").unwrap_or(1);
    let price = match params["pricing"].some("price") {
        Some(id) => Some(tx.read_param::<Price>(id, "pricing[price]")?),
        None => None,
    };
    let (amount, currency) = match (&price, params.some_int("amount")) {
        (Some(price), _) => (price.unit_amount.unwrap_or_default() * quantity, price.currency.clone()),
        (None, Some(amount)) => {
            let fallback = customer.currency.as_deref().unwrap_or("usd");
            (amount, params.some("currency").unwrap_or(fallback).to_owned())
        }
        (None, None) => {
            let message = "Missing required param: amount.";
            return Err(ApiError::invalid("parameter_missing", message).on("amount"));
        }
    };
    let mut item = InvoiceItem::new(&customer.id, amount, &currency, quantity, price.as_ref(), tx.now());
    item.apply(params);
    tx.insert("invoiceitem.created", &item)?;
    item.to_json()
}

fn list_items(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let pending = call.params.get("pending").and_then(Value::as_bool);
    let all = tx.newest("invoiceitem");
    page(
        call,
        all.filter(|item| {
            matches_filters(call, item, &["customer", "invoice"])
                && pending.is_none_or(|pending| pending == item.some("invoice").is_none())
        }),
    )
}

fn delete_item(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let item: InvoiceItem = tx.read(&call.id)?;
    if item.invoice.is_some() {
        let message = "This invoice item is already attached to an invoice.";
        return Err(ApiError::invalid("invoice_not_editable", message));
    }
    tx.emit("invoiceitem.deleted", &item.to_json()?, None);
    tx.remove(&call.id);
    Ok(deleted("invoiceitem", &call.id))
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let owner = call.params.some("subscription").or(call.params.some("customer"));
    match owner {
        Some(id) => page(call, tx.referring("invoice", id).filter(|invoice| is_requested(call, invoice))),
        None => page(call, tx.newest("invoice").filter(|invoice| is_requested(call, invoice))),
    }
}

fn is_requested(call: &Call, invoice: &Value) -> bool {
    let due_date = call.params.get("due_date");
    let subscription = call.params.some("subscription");
    matches_filters(call, invoice, &["customer", "status", "collection_method"])
        && subscription.is_none_or(|id| invoice["parent"]["subscription_details"].text("subscription") == id)
        && (due_date.is_none() || in_range(due_date, invoice.int("due_date")))
}

fn list_payments(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    let intent = params["payment"].some("payment_intent");
    if params.get("payment").is_some() && intent.is_none() {
        let message = "Missing required param: payment[payment_intent].";
        return Err(ApiError::invalid("parameter_missing", message).on("payment[payment_intent]"));
    }
    let all = tx.newest("invoice_payment");
    page(
        call,
        all.filter(|payment| {
            matches_filters(call, payment, &["invoice", "status"])
                && intent.is_none_or(|intent| payment["payment"].text("payment_intent") == intent)
        }),
    )
}

fn lines(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let invoice = tx.find("invoice", &call.id)?;
    page(call, invoice.data("lines"))
}

fn pay(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let invoice: Invoice = tx.read(&call.id)?;
    match invoice.status {
        InvoiceStatus::Open => {}
        InvoiceStatus::Draft => {
            let finalized = invoice::finalize(tx, &call.id)?;
            if finalized.status == InvoiceStatus::Paid {
                return finalized.to_json();
            }
        }
        InvoiceStatus::Paid => return Err(ApiError::invalid("invoice_already_paid", "Invoice is already paid")),
        status @ (InvoiceStatus::Uncollectible | InvoiceStatus::Void) => {
            let message = format!("This invoice can no longer be paid: its status is {status}.");
            return Err(ApiError::invalid("invoice_not_editable", message));
        }
    }
    if call.params.flag("paid_out_of_band") {
        let paid = invoice::mark_paid(tx, &call.id, Settlement::OutOfBand)?;
        collection::invoice_settled(tx, &paid)?;
        return tx.find("invoice", &call.id);
    }
    let named = call.params.some("payment_method").or(invoice.default_payment_method.as_deref());
    let of_subscription = invoice
        .subscription()
        .and_then(|id| tx.read(id).ok())
        .and_then(|subscription| terms::default_method(tx, &subscription));
    let of_customer = payment::default_method(tx, &invoice.customer);
    let method = named.map(str::to_owned).or(of_subscription).or(of_customer);
    let method = method.ok_or_else(|| {
        let message =
            "There is no `default_payment_method` set on this Customer or Invoice. Please attach a payment method.";
        ApiError::invalid("invoice_payment_intent_requires_action", message)
    })?;
    let method = payment::method(tx, &method, "payment_method")?;
    let paid = invoice::pay(tx, &call.id, &method, Presence::of(&call.params), IfDeclined::Leave)?;
    if paid.status == InvoiceStatus::Paid {
        collection::invoice_settled(tx, &paid)?;
    }
    tx.find("invoice", &call.id)
}

/// Returns an invoice that must be open, or have the other given status.
fn open(tx: &Tx<'_>, id: &str, also: InvoiceStatus) -> Result<Invoice, ApiError> {
    let invoice: Invoice = tx.read(id)?;
    let status = invoice.status;
    if status == InvoiceStatus::Open || status == also {
        return Ok(invoice);
    }
    let message = format!("You can only pass in open invoices. This invoice isn't open: its status is {status}.");
    Err(ApiError::invalid("invoice_not_editable", message))
}

fn void(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    open(tx, &call.id, InvoiceStatus::Uncollectible)?;
    invoice::void(tx, &call.id)?.to_json()
}

fn mark_uncollectible(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    open(tx, &call.id, InvoiceStatus::Open)?;
    let given_up = invoice::mark_uncollectible(tx, &call.id)?;
    collection::invoice_settled(tx, &given_up)?;
    tx.find("invoice", &call.id)
}

/// Sends an invoice, after finalizing a draft.
fn send(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let invoice = open(tx, &call.id, InvoiceStatus::Draft)?;
    if !invoice.is_sent() {
        let message = "You can only manually send an invoice if its collection method is 'send_invoice'.";
        return Err(ApiError::invalid("", message));
    }
    if invoice.status == InvoiceStatus::Draft {
        invoice::finalize(tx, &call.id)?;
    }
    invoice::send(tx, &call.id)?.to_json()
}

fn preview(tx: &mut Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let Some(id) = call.params.some("subscription") else {
        return Err(ApiError::unsupported("create_preview without subscription"));
    };
    let current: Subscription = tx.read_param(id, "subscription")?;
    if current.status.has_ended() {
        let message = "No upcoming invoices for a subscription that has ended";
        return Err(ApiError::invalid("invoice_upcoming_none", message));
    }
    let details = call.params.get("subscription_details").cloned().unwrap_or(json!({}));
    change::preview(tx, &current, &details)?.to_json()
}
