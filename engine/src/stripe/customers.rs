//! Customers.

use std::collections::BTreeSet;

use billing::ledger::Customer;
use billing::{AccountId, CustomerId, Timestamp};
use stripe_core::customer::{CreateCustomer, ListCustomer, RetrieveCustomer, UpdateCustomer};
use stripe_types::RangeQueryTs;

use super::gateway::{Gateway, Listed, PAGE, UNCERTAINTY, metadata};
use super::gateway_error::GatewayError;
use super::objects::{self, Named};

impl Gateway {
    /// Creates the customer of an account under an idempotency key, or returns the one that was created
    /// under it. The address is sent in lower case, so that [`Self::customers_with_email`] finds it however it is
    /// typed later.
    pub async fn create_customer(
        &self,
        account: &AccountId,
        email: &str,
        name: Option<&str>,
        key: &str,
    ) -> Result<Named<Customer>, GatewayError> {
        let mut request = CreateCustomer::new().email(email.to_lowercase()).metadata(metadata(account));
        if let Some(name) = name {
            request = request.name(name);
        }
        Ok(objects::customer(&self.send(&request, Some(key)).await?)?)
    }

    /// Finds a customer that was created for an account around `since` or later.
    pub async fn customer_of_account(
        &self,
        account: &AccountId,
        since: Timestamp,
    ) -> Result<Option<Customer>, GatewayError> {
        let mut after: Option<String> = None;
        loop {
            let created = RangeQueryTs::gte(since.plus_seconds(-UNCERTAINTY).0);
            let mut request = ListCustomer::new().created(created).limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            let page = Listed::read(&self.send(&request, None).await?, objects::customer)?;
            let found = page.data.into_iter().find(|named| named.account.as_deref() == Some(account.as_str()));
            match (found, page.next) {
                (Some(found), _) => return Ok(Some(found.object)),
                (None, None) => return Ok(None),
                (None, next) => after = next,
            }
        }
    }

    /// Returns the customers with this e-mail address in lower case, which is how ours are created, or exactly as
    /// typed. Stripe tells apart upper and lower case.
    pub async fn customers_with_email(&self, email: &str) -> Result<BTreeSet<CustomerId>, GatewayError> {
        let mut found = BTreeSet::new();
        for spelling in BTreeSet::from([email.to_lowercase(), email.to_owned()]) {
            let mut after: Option<String> = None;
            loop {
                let mut request = ListCustomer::new().email(&spelling).limit(PAGE);
                if let Some(after) = after {
                    request = request.starting_after(after);
                }
                let page = Listed::read(&self.send(&request, None).await?, objects::customer)?;
                found.extend(page.data.into_iter().map(|named| named.object.id));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(found)
    }

    /// Stores the account's id in a customer's metadata.
    pub async fn name_account(&self, customer: &CustomerId, account: &AccountId) -> Result<(), GatewayError> {
        let request = UpdateCustomer::new(customer.as_str()).metadata(metadata(account));
        self.send(&request, None).await.map(drop)
    }

    /// Erases a customer's address, name and phone number. Invoices keep what was printed on them.
    pub async fn erase_contact(&self, customer: &CustomerId) -> Result<(), GatewayError> {
        let request = UpdateCustomer::new(customer.as_str()).email("").name("").phone("");
        self.send(&request, None).await.map(drop)
    }

    /// Reads a customer.
    pub async fn customer(&self, id: &CustomerId) -> Result<Named<Customer>, GatewayError> {
        let response = self.send(&RetrieveCustomer::new(id.as_str()), None).await?;
        Ok(objects::customer(&response)?)
    }
}
