//! The Stripe account of the API key.

use stripe_client_core::StripeMethod;

use super::gateway::{Gateway, Raw};
use super::gateway_error::GatewayError;
use super::objects::{ObjectError, id_of};

impl Gateway {
    /// Returns the id of the account that the API key belongs to.
    pub async fn account_id(&self) -> Result<String, GatewayError> {
        let request = Raw::<()> { method: StripeMethod::Get, path: "/account".to_owned(), form: None };
        match self.send(&request, None).await {
            Ok(account) => id_of(&account, "/id").ok_or(ObjectError { object: "account", field: "id" }.into()),
            // A restricted key may not read it, but Stripe's error contains it.
            Err(GatewayError::Rejected { status: 403, message, code }) => match named_in(&message) {
                Some(id) => Ok(id),
                None => Err(GatewayError::Rejected { status: 403, message, code }),
            },
            Err(error) => Err(error),
        }
    }
}

fn named_in(message: &str) -> Option<String> {
    let rest = &message[message.find("acct_")?..];
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}
