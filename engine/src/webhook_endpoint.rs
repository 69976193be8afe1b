//! Registering the webhook endpoint in Stripe, for the handled events, in the API version of our requests.

use crate::core::Core;
use crate::inbox::events::handled;
use crate::stripe::{GatewayError, api_version};

/// The outcome of registering the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// A new endpoint was created.
    Created {
        /// Its signing secret, `whsec_…`, which Stripe shows only now.
        secret: String,
    },
    /// Missing event types were added to the existing endpoint.
    Updated {
        /// The event types that were missing.
        added: Vec<&'static str>,
    },
    /// Already up to date.
    Unchanged,
    /// It exists with a different API version, which Stripe cannot change: delete it and register again.
    OtherVersion {
        /// Its id, `we_…`.
        id: String,
        /// Its API version; `None` is the account's default.
        version: Option<String>,
    },
}

/// Creates or updates the endpoint at [`crate::Urls::webhook`]. Registering twice changes nothing.
pub async fn register(core: &Core) -> Result<Registered, GatewayError> {
    let (gateway, url) = (core.gateway(), core.urls().webhook.as_str());
    let Some(endpoint) = gateway.webhook_endpoint(url).await? else {
        let created = gateway.create_webhook_endpoint(url, &handled()).await?;
        return Ok(Registered::Created { secret: created.secret });
    };
    if endpoint.api_version.as_deref() != Some(api_version()) {
        return Ok(Registered::OtherVersion { id: endpoint.id, version: endpoint.api_version });
    }
    let added = endpoint.missing(&handled());
    if added.is_empty() && endpoint.is_enabled {
        return Ok(Registered::Unchanged);
    }
    gateway.update_webhook_endpoint(&endpoint.id, &handled()).await?;
    Ok(Registered::Updated { added })
}
