//! Customers.

use billing::ledger::Customer;
use billing::{AccountId, CustomerId};
use stripe_core::customer::{CreateCustomer, RetrieveCustomer};

use super::gateway::{Gateway, GatewayError, metadata};
use super::shape::{self, Named};

impl Gateway {
    /// The customer of an account: made once, however often and from wherever it is asked for. An
    /// account whose customer was deleted gets its next one, counted by `deleted`.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn create_customer(
        &self,
        account: &AccountId,
        email: &str,
        deleted: i64,
    ) -> Result<Named<Customer>, GatewayError> {
        let request = CreateCustomer::new().email(email).metadata(metadata(account));
        let key = match deleted {
            0 => format!("customer:{account}"),
            _ => format!("customer:{account}:{deleted}"),
        };
        let answer = self.send(&request, Some(&key)).await?;
        Ok(shape::customer(&answer)?)
    }

    /// A customer as it is now.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn customer(&self, id: &CustomerId) -> Result<Named<Customer>, GatewayError> {
        let answer = self.send(&RetrieveCustomer::new(id.as_str()), None).await?;
        Ok(shape::customer(&answer)?)
    }
}
