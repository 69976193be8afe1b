//! The account and its webhook endpoints.

use serde_json::{Value, json};

use crate::ids;

pub(crate) fn webhook_endpoint(url: &str, secret: &str, now: i64) -> Value {
    json!({
        "id": ids::new("we_"),
        "object": "webhook_endpoint",
        "api_version": null,
        "application": null,
        "created": now,
        "description": null,
        "enabled_events": ["*"],
        "livemode": false,
        "metadata": {},
        "status": "enabled",
        "url": url,
        "_secret": secret,
    })
}

/// Creates the sandbox's only account.
pub(crate) fn account(now: i64) -> Value {
    json!({
        "id": ids::new("acct_")[..21].to_owned(),
        "object": "account",
        "business_profile": {
            "annual_revenue": null, "estimated_worker_count": null, "mcc": null,
            "minority_owned_business_designation": null, "name": "Sandbox",
            "support_address": null, "support_email": null, "support_phone": null,
            "support_url": null, "url": null,
        },
        "business_type": null,
        "capabilities": { "card_payments": "active", "transfers": "active" },
        "charges_enabled": true,
        "controller": { "type": "account" },
        "country": "US",
        "created": now,
        "default_currency": "usd",
        "details_submitted": true,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": true,
        "settings": {
            "branding": { "icon": null, "logo": null, "primary_color": null, "secondary_color": null },
            "card_payments": { "statement_descriptor_prefix": null, "statement_descriptor_prefix_kana": null, "statement_descriptor_prefix_kanji": null },
            "dashboard": { "display_name": "Sandbox", "timezone": "Etc/UTC" },
            "payments": { "statement_descriptor": "SANDBOX", "statement_descriptor_kana": null, "statement_descriptor_kanji": null },
        },
        "type": "standard",
    })
}
