//! Subscription schedules.

use serde_json::{Value, json};

use crate::ids;

/// Creates a schedule that has not started.
pub(crate) fn subscription_schedule(customer: &str, phases: &[Value], now: i64) -> Value {
    json!({
        "id": ids::new("sub_sched_"),
        "object": "subscription_schedule",
        "application": null,
        "billing_mode": { "flexible": { "proration_discounts": "included" }, "type": "flexible", "updated_at": null },
        "canceled_at": null,
        "completed_at": null,
        "created": now,
        "current_phase": null,
        "customer": customer,
        "default_settings": {
            "application_fee_percent": null,
            "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null },
            "billing_cycle_anchor": "automatic",
            "billing_thresholds": null,
            "collection_method": "charge_automatically",
            "default_payment_method": null,
            "default_source": null,
            "description": null,
            "invoice_settings": { "account_tax_ids": null, "days_until_due": null, "issuer": { "type": "self" } },
            "on_behalf_of": null,
            "transfer_data": null,
        },
        "end_behavior": "release",
        "livemode": false,
        "metadata": {},
        "phases": phases,
        "released_at": null,
        "released_subscription": null,
        "status": "not_started",
        "subscription": null,
        "test_clock": null,
    })
}

/// Creates a phase of a schedule.
pub(crate) fn schedule_phase(currency: &str, items: &[Value], (start, end): (i64, i64)) -> Value {
    json!({
        "add_invoice_items": [],
        "application_fee_percent": null,
        "billing_cycle_anchor": null,
        "billing_thresholds": null,
        "collection_method": null,
        "currency": currency,
        "default_payment_method": null,
        "default_tax_rates": [],
        "description": null,
        "discounts": [],
        "end_date": end,
        "invoice_settings": null,
        "items": items,
        "metadata": {},
        "on_behalf_of": null,
        "proration_behavior": "create_prorations",
        "start_date": start,
        "transfer_data": null,
        "trial_end": null,
    })
}
