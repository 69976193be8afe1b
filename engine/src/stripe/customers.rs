//! Customers.

use billing::ledger::Customer;
use billing::{AccountId, CustomerId};
use stripe_core::customer::{CreateCustomer, ListCustomer, RetrieveCustomer, UpdateCustomer};

use super::gateway::{Gateway, GatewayError, Listed, PAGE, metadata};
use super::objects::{self, Named};

impl Gateway {
    /// Creates the customer of an account, or returns the one already created for it. An account whose
    /// customer was deleted gets another: `deleted` is the number of its deleted customers.
    pub async fn create_customer(
        &self,
        account: &AccountId,
        email: &str,
        name: Option<&str>,
        deleted: i64,
    ) -> Result<Named<Customer>, GatewayError> {
        let mut request = CreateCustomer::new().email(email).metadata(metadata(account));
        if let Some(name) = name {
            request = request.name(name);
        }
        let key = match deleted {
            0 => format!("customer:{account}"),
            _ => format!("customer:{account}:{deleted}"),
        };
        let response = self.send(&request, Some(&key)).await?;
        Ok(objects::customer(&response)?)
    }

    /// Erases a customer's address, name and phone number. Invoices keep what was printed on them.
    pub async fn erase_contact(&self, customer: &CustomerId) -> Result<(), GatewayError> {
        let request = UpdateCustomer::new(customer.as_str()).email("").name("").phone("");
        self.send(&request, None).await.map(drop)
    }

    /// The customers with this e-mail address, as it was given: at most a page of them.
    pub async fn customers_with_email(&self, email: &str) -> Result<Vec<CustomerId>, GatewayError> {
        let request = ListCustomer::new().email(email).limit(PAGE);
        let page = Listed::read(&self.send(&request, None).await?, objects::customer)?;
        Ok(page.data.into_iter().map(|named| named.object.id).collect())
    }

    /// Stores the account's id in a customer's metadata.
    pub async fn name_account(&self, customer: &CustomerId, account: &AccountId) -> Result<(), GatewayError> {
        let request = UpdateCustomer::new(customer.as_str()).metadata(metadata(account));
        self.send(&request, None).await.map(drop)
    }

    /// Reads a customer.
    pub async fn customer(&self, id: &CustomerId) -> Result<Named<Customer>, GatewayError> {
        let response = self.send(&RetrieveCustomer::new(id.as_str()), None).await?;
        Ok(objects::customer(&response)?)
    }
}
