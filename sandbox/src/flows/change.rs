//! Updating subscriptions: items, trial, billing anchor, settings, and billing of the change.
//!
//! Invariant: a change is first computed ([`Change`]) and then applied, so that a preview shows
//! exactly what the change will charge. Proved by `a_preview_agrees_with_the_charge`.

use serde_json::Value;

use crate::error::ApiError;
use crate::fields::{Fields, merge};
use crate::flows::collection::{collect, invoice_settled};
use crate::flows::invoice::{self, Bill};
use crate::flows::payment::{self, Presence};
use crate::flows::proration;
use crate::flows::terms::{
    IfUnpaid, UPDATED, apply_cancellation, apply_reasons, apply_settings, check_collection, consistent_intervals,
    name_of, period_end, recurring_price, regular_lines,
};
use crate::flows::{cycle, meter};
use crate::objects::{
    BillingReason, Customer, Invoice, InvoiceItem, InvoiceLine, InvoiceStatus, PendingUpdate, Subscription,
    SubscriptionItem, SubscriptionStatus,
};
use crate::store::Tx;
use crate::upcoming::INCOMPLETE_TTL;

/// The result of an update of items, trial or anchor.
pub(crate) struct Change {
    /// The updated subscription, including its period and anchor.
    pub(crate) subscription: Subscription,
    /// Prorations for the rest of the period, to bill now or with the next invoice.
    pub(crate) items: Vec<InvoiceItem>,
    /// The lines of a period that starts now.
    lines: Vec<InvoiceLine>,
    pub(crate) invoiced_now: bool,
}

/// Computes a change without writing. `params` are the parameters of the update endpoint, or the
/// `subscription_details` of a preview.
pub(crate) fn plan(tx: &Tx<'_>, subscription: &Subscription, params: &Value) -> Result<Change, ApiError> {
    let now = tx.now();
    let at = params.some_int("proration_date").unwrap_or(now);
    let period = subscription.period();
    if params.get("proration_date").is_some() && !(period.0..=period.1).contains(&at) {
        let message = "Cannot specify `proration_date` outside of the subscription's current billing period";
        return Err(ApiError::invalid("", message).on("proration_date"));
    }
    let old = subscription.items();
    let mut after = subscription.clone();
    after.set_items(changed_items(tx, subscription, params)?);
    let prorates = params.text("proration_behavior") != "none";
    let trialing = subscription.status == SubscriptionStatus::Trialing;
    let ends_trial = trialing && params.text("trial_end") == "now";
    let new_trial = params.some_int("trial_end").filter(|end| *end > now);
    let moves = !trialing
        && new_trial.is_none()
        && (subscription.interval() != after.interval() || params.text("billing_cycle_anchor") == "now");
    let same = is_same(old, after.items());
    let part = |item: &SubscriptionItem, sign: i64| {
        let rest = sign * proration::remaining(item.full_price(), period, at);
        let name = name_of(tx, &item.price.product);
        (rest != 0).then(|| proration::item(&subscription.customer, item, &name, rest, (at, period.1), now))
    };

    let mut items = Vec::new();
    let mut lines = Vec::new();
    let mut invoiced_now = false;
    if !trialing && prorates && (moves || !same || new_trial.is_some()) {
        items.extend(licensed(old).filter_map(|item| part(item, -1)));
    }
    if let Some(end) = new_trial {
        after.trial_start.get_or_insert(now);
        after.trial_end = Some(end);
        after.set_status(SubscriptionStatus::Trialing);
        after.billing_cycle_anchor = end;
        after.warned = false;
        after.set_period((now, end));
    } else if moves || ends_trial {
        let end = period_end(after.interval(), now, now);
        after.billing_cycle_anchor = now;
        if ends_trial {
            after.trial_end = Some(now);
            after.status = SubscriptionStatus::Active;
        }
        if moves {
            lines.extend(meter::lines(tx, subscription, (period.0, now)));
        }
        after.set_period((now, end));
        lines.extend(regular_lines(tx, &after, (now, end), false));
        invoiced_now = true;
    } else {
        if !trialing && prorates && !same {
            items.extend(licensed(after.items()).filter_map(|item| part(item, 1)));
        }
        invoiced_now |= params.text("proration_behavior") == "always_invoice" && !items.is_empty();
    }
    Ok(Change { subscription: after, items, lines, invoiced_now })
}

fn licensed(items: &[SubscriptionItem]) -> impl Iterator<Item = &SubscriptionItem> {
    items.iter().filter(|item| !item.is_metered())
}

fn is_same(old: &[SubscriptionItem], new: &[SubscriptionItem]) -> bool {
    let same = |(old, new): (&SubscriptionItem, &SubscriptionItem)| {
        old.price.id == new.price.id && old.quantity == new.quantity
    };
    old.len() == new.len() && old.iter().zip(new).all(same)
}

/// Returns the updated items.
fn changed_items(tx: &Tx<'_>, subscription: &Subscription, params: &Value) -> Result<Vec<SubscriptionItem>, ApiError> {
    let mut items = subscription.items().to_vec();
    for (index, sent) in params.list("items").iter().enumerate() {
        let param = |name: &str| format!("items[{index}][{name}]");
        let price = match sent.some("price").or(sent.some("plan")) {
            Some(id) => Some(recurring_price(tx, id, Some(&subscription.currency), &param("price"))?),
            None => None,
        };
        let Some(id) = sent.some("id") else {
            let price = price.ok_or_else(|| {
                let message = format!("Missing required param: {}.", param("price"));
                ApiError::invalid("parameter_missing", message).on(&param("price"))
            })?;
            if items.iter().any(|item| item.price.id == price.id) {
                let message = format!("Cannot add multiple subscription items with the same plan: {}", price.id);
                return Err(ApiError::invalid("", message).on(&param("price")));
            }
            let quantity = sent.some_int("quantity");
            let period = subscription.period();
            items.push(SubscriptionItem::new(&subscription.id, price, quantity, period, sent, tx.now()));
            continue;
        };
        let position = items
            .iter()
            .position(|item| item.id == id)
            .ok_or_else(|| ApiError::missing_param("subscription_item", id, &param("id")))?;
        if sent.flag("deleted") {
            items.remove(position);
            continue;
        }
        let item = &mut items[position];
        let mut changed = item.with_price(price, sent.some_int("quantity"));
        merge(&mut changed.metadata, sent);
        *item = changed;
    }
    if items.is_empty() {
        let message = "A subscription must have at least one active plan.";
        return Err(ApiError::invalid("", message).on("items"));
    }
    consistent_intervals(items.iter().map(|item| &item.price))?;
    Ok(items)
}

/// Updates a subscription.
pub(crate) fn update(tx: &mut Tx<'_>, id: &str, params: &Value) -> Result<Subscription, ApiError> {
    let before: Subscription = tx.read(id)?;
    check(tx, &before, params)?;
    if before.status == SubscriptionStatus::Trialing
        && params.text("trial_end") == "now"
        && cycle::end_trial_without_method(tx, &before)?
    {
        let now = tx.now();
        return tx.update_quietly(id, |subscription: &mut Subscription| subscription.trial_end = Some(now));
    }
    let change = plan(tx, &before, params)?;
    let if_unpaid = IfUnpaid::of(params);
    if if_unpaid == IfUnpaid::Pend && change.invoiced_now {
        return pend(tx, &before, change, params);
    }
    let billed = match change.invoiced_now {
        true => Some(bill(tx, &before, &change)?),
        false => None,
    };
    let mut changed = change.subscription;
    apply_settings(&mut changed, params)?;
    apply_cancellation(&mut changed, params, tx.now());
    apply_reasons(&mut changed, params);
    if let Some((draft, _)) = &billed {
        changed.latest_invoice = Some(draft.id.clone());
    }
    tx.replace(id, UPDATED, &changed)?;
    for item in &change.items {
        tx.insert("invoiceitem.created", item)?;
    }
    if let Some((draft, pending)) = billed {
        let issued = invoice::issue(tx, &draft, &pending)?;
        charge(tx, id, &issued, params)?;
    }
    tx.read(id)
}

/// Checks that the parameters are allowed in the subscription's state.
fn check(tx: &Tx<'_>, before: &Subscription, params: &Value) -> Result<(), ApiError> {
    if before.status.has_ended() {
        let only_notes = params.as_object().is_some_and(|params| {
            params.keys().all(|key| matches!(key.as_str(), "metadata" | "cancellation_details" | "expand"))
        });
        if !only_notes {
            let message = "A canceled subscription can only update its cancellation_details and metadata.";
            return Err(ApiError::invalid("", message));
        }
    }
    if params.some_int("trial_end").is_some_and(|end| end <= tx.now()) {
        let message = "Invalid timestamp: must be an integer Unix timestamp in the future.";
        return Err(ApiError::invalid("", message).on("trial_end"));
    }
    let cancels = ["cancel_at_period_end", "cancel_at"].into_iter().find(|key| params.get(*key).is_some());
    if let (Some(schedule), Some(param)) = (&before.schedule, cancels) {
        let message = format!(
            "The subscription is managed by the subscription schedule `{schedule}`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        );
        return Err(ApiError::invalid("", message).on(param));
    }
    if let Some(method) = params.some("default_payment_method") {
        payment::of_customer(tx, method, &before.customer, "default_payment_method")?;
    }
    if params.text("payment_behavior") == "pending_if_incomplete" {
        check_pending(params)?;
    }
    check_collection(before.collection_method, params)
}

/// Checks that the parameters are allowed with `pending_if_incomplete`.
fn check_pending(params: &Value) -> Result<(), ApiError> {
    let allowed = [
        "billing_cycle_anchor",
        "expand",
        "items",
        "off_session",
        "payment_behavior",
        "proration_behavior",
        "proration_date",
        "trial_end",
        "trial_from_plan",
    ];
    let sent = params.as_object().into_iter().flat_map(|params| params.keys());
    match sent.into_iter().find(|key| !allowed.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let message = format!("You cannot set `payment_behavior` to `pending_if_incomplete` when passing `{key}`.");
            Err(ApiError::invalid("", message).on("payment_behavior"))
        }
    }
}

/// Returns the invoice of a change, and the pending items on it, including those of the change.
fn bill(tx: &Tx<'_>, before: &Subscription, change: &Change) -> Result<(Invoice, Vec<InvoiceItem>), ApiError> {
    let customer: Customer = tx.read(&before.customer)?;
    let mut pending = invoice::pending_items(tx, &customer.id, Some(&before.id))?;
    pending.extend(change.items.iter().cloned());
    let mut lines = invoice::lines_of(&pending);
    lines.extend(change.lines.iter().cloned());
    let draft = invoice::draft(
        Bill {
            customer: &customer,
            subscription: Some(&change.subscription),
            reason: BillingReason::SubscriptionUpdate,
            currency: &before.currency,
            period: before.period(),
            lines,
        },
        tx.now(),
    );
    Ok((draft, pending))
}

/// Collects the invoice of a change; if that fails, the subscription becomes past due.
fn charge(tx: &mut Tx<'_>, id: &str, issued: &Invoice, params: &Value) -> Result<(), ApiError> {
    if issued.status == InvoiceStatus::Paid {
        return Ok(());
    }
    if issued.is_sent() {
        return invoice::send(tx, &issued.id).map(|_| ());
    }
    let if_unpaid = IfUnpaid::of(params);
    if if_unpaid != IfUnpaid::Wait {
        collect(tx, id, issued, Presence::of(params), if_unpaid)?;
    }
    let issued: Invoice = tx.read(&issued.id)?;
    match issued.status {
        InvoiceStatus::Paid => Ok(()),
        _ if issued.debited => Ok(()),
        _ => cycle::past_due(tx, id, &issued.id),
    }
}

/// Stores a pending update. It is applied when its invoice is paid, possibly right away, and expires after
/// 23 hours.
fn pend(tx: &mut Tx<'_>, before: &Subscription, change: Change, params: &Value) -> Result<Subscription, ApiError> {
    let id = &before.id;
    let (draft, pending) = bill(tx, before, &change)?;
    let expires_at = tx.now() + INCOMPLETE_TTL;
    tx.update(id, UPDATED, |subscription: &mut Subscription| {
        subscription.latest_invoice = Some(draft.id.clone());
        let trial_end = params.some_int("trial_end");
        subscription.pending_update = Some(PendingUpdate::new(change.subscription.items(), trial_end, expires_at));
        subscription.pending_change = Some(Box::new(change.subscription));
    })?;
    for item in &change.items {
        tx.insert("invoiceitem.created", item)?;
    }
    let issued = invoice::issue(tx, &draft, &pending)?;
    match issued.status {
        InvoiceStatus::Paid => invoice_settled(tx, &issued)?,
        _ => collect(tx, id, &issued, Presence::of(params), IfUnpaid::Allow)?,
    }
    tx.read(id)
}

/// Discards a pending update whose invoice was not paid in time.
pub(crate) fn expire_pending(tx: &mut Tx<'_>, id: &str) -> Result<(), ApiError> {
    let events = [UPDATED, "customer.subscription.pending_update_expired"];
    let subscription = tx.update_with_events(id, &events, |subscription: &mut Subscription| {
        subscription.pending_update = None;
        subscription.pending_change = None;
    })?;
    if let Some(id) = subscription.latest_invoice
        && tx.read::<Invoice>(&id)?.status == InvoiceStatus::Open
    {
        invoice::void(tx, &id)?;
    }
    Ok(())
}

/// Previews the invoice of a change or of the next renewal.
pub(crate) fn preview(tx: &Tx<'_>, subscription: &Subscription, details: &Value) -> Result<Invoice, ApiError> {
    let change = plan(tx, subscription, details)?;
    let customer: Customer = tx.read(&subscription.customer)?;
    let mut pending = invoice::pending_items(tx, &customer.id, Some(&subscription.id))?;
    pending.extend(change.items.iter().cloned());
    let mut lines = invoice::lines_of(&pending);
    lines.extend(change.lines);
    let period = change.subscription.period();
    if !change.invoiced_now {
        let anchor = change.subscription.billing_cycle_anchor;
        let next = (period.1, period_end(change.subscription.interval(), anchor, period.1));
        lines.extend(meter::lines(tx, subscription, subscription.period()));
        lines.extend(regular_lines(tx, &change.subscription, next, false));
    }
    let mut invoice = invoice::draft(
        Bill {
            customer: &customer,
            subscription: Some(&change.subscription),
            reason: if change.invoiced_now { BillingReason::SubscriptionUpdate } else { BillingReason::Upcoming },
            currency: &subscription.currency,
            period,
            lines,
        },
        tx.now(),
    );
    invoice.make_preview(details.some_int("proration_date"));
    Ok(invoice)
}
