//! Configurations and sessions of the customer portal.

use serde_json::{Value, json};

use crate::ids;

/// Creates a portal configuration with all features disabled.
pub(crate) fn portal_configuration(now: i64) -> Value {
    json!({
        "id": ids::new("bpc_"),
        "object": "billing_portal.configuration",
        "active": true,
        "application": null,
        "business_profile": { "headline": null, "privacy_policy_url": null, "terms_of_service_url": null },
        "created": now,
        "default_return_url": null,
        "features": {
            "customer_update": { "allowed_updates": [], "enabled": false },
            "invoice_history": { "enabled": false },
            "payment_method_update": { "enabled": false, "payment_method_configuration": null },
            "subscription_cancel": {
                "cancellation_reason": { "enabled": false, "options": [] },
                "enabled": false,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_update": {
                "default_allowed_updates": [], "enabled": false, "products": [], "proration_behavior": "none",
                "schedule_at_period_end": { "conditions": [] },
            },
        },
        "is_default": false,
        "livemode": false,
        "login_page": { "enabled": false, "url": null },
        "metadata": {},
        "name": null,
        "updated": now,
    })
}

/// Creates a portal session without its `url`.
pub(crate) fn portal_session(customer: &str, configuration: &str, now: i64) -> Value {
    json!({
        "id": ids::new("bps_"),
        "object": "billing_portal.session",
        "configuration": configuration,
        "created": now,
        "customer": customer,
        "flow": null,
        "livemode": false,
        "locale": null,
        "on_behalf_of": null,
        "return_url": null,
        "url": "",
    })
}
