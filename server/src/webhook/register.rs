//! Making Stripe send what we handle, in the version that we speak.

use crate::stripe::GatewayError;
use crate::stripe::endpoints::api_version;
use crate::tollgate::Tollgate;
use crate::webhook::events::handled;

/// What was done about the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It was made; its signing secret, which Stripe shows this once.
    Created {
        /// `whsec_…`, for `STRIPE_WEBHOOK_SECRET`.
        secret: String,
    },
    /// It was there and lacked these, which it is sent from now on.
    Updated {
        /// Event types.
        added: Vec<&'static str>,
    },
    /// It was there and right.
    Present,
    /// It was there in another API version, which Stripe cannot change: delete it and register again.
    OtherVersion {
        /// Its id, `we_…`.
        id: String,
        /// Its version.
        version: Option<String>,
    },
}

/// Where Stripe should send events.
pub fn address(tollgate: &Tollgate) -> String {
    format!("{}api/stripe/webhook", tollgate.config().app_url)
}

/// Makes or completes the endpoint of this app. Running it again changes nothing.
///
/// # Errors
/// Stripe gave no usable answer.
pub async fn register(tollgate: &Tollgate) -> Result<Registered, GatewayError> {
    let url = address(tollgate);
    let Some(endpoint) = tollgate.gateway().webhook_endpoint(&url).await? else {
        let (_, secret) = tollgate.gateway().create_webhook_endpoint(&url, &handled()).await?;
        return Ok(Registered::Created { secret });
    };
    if endpoint.api_version.as_deref() != Some(api_version()) {
        return Ok(Registered::OtherVersion { id: endpoint.id, version: endpoint.api_version });
    }
    let added = endpoint.lacks(&handled());
    if added.is_empty() && endpoint.is_enabled {
        return Ok(Registered::Present);
    }
    tollgate.gateway().update_webhook_endpoint(&endpoint.id, &handled()).await?;
    Ok(Registered::Updated { added })
}
