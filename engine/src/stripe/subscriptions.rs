//! Subscriptions.

use billing::{CustomerId, Status, SubscriptionId};
use serde_json::Value;
use stripe_billing::subscription::{
    CancelSubscription, ListSubscription, ListSubscriptionStatus, RetrieveSubscription, UpdateSubscription,
    UpdateSubscriptionTrialEnd,
};
use stripe_billing::subscription_item::ListSubscriptionItem;

use super::gateway::{Gateway, Listed, PAGE, UnreadableObject};
use super::gateway_error::GatewayError;
use super::objects::{self, SubscriptionObject};

impl Gateway {
    /// Reads a subscription with all its items, its payment method and, if it is past due, since when.
    pub async fn subscription(&self, id: &SubscriptionId) -> Result<SubscriptionObject, GatewayError> {
        let expand = ["latest_invoice", "default_payment_method"].map(str::to_owned).to_vec();
        let response = self.send(&RetrieveSubscription::new(id.as_str()).expand(expand), None).await?;
        let whole = self.with_all_items(objects::subscription(&response)?, &response).await?;
        self.with_invoices(whole).await
    }

    /// Reads a page of all subscriptions, including ended ones, newest first. One that cannot be read
    /// does not hide the others.
    pub async fn subscriptions_page(
        &self,
        after: Option<&str>,
    ) -> Result<Listed<Result<SubscriptionObject, UnreadableObject>>, GatewayError> {
        let mut page = self.list_subscriptions(ListSubscription::new(), after).await?;
        for listed in &mut page.data {
            let Ok(read) = listed else { continue };
            let id = read.subscription.id.to_string();
            match self.with_invoices(read.clone()).await {
                // Every other subscription would get the same error.
                Err(error) if !error.concerns_one_object() => return Err(error),
                whole => *listed = whole.map_err(|error| UnreadableObject { id, error }),
            }
        }
        Ok(page)
    }

    /// Reads all subscriptions of a customer, including ended ones, without what is owed and was paid for them.
    pub async fn subscriptions_of(&self, customer: &CustomerId) -> Result<Vec<SubscriptionObject>, GatewayError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let request = ListSubscription::new().customer(customer.as_str());
            let page = self.list_subscriptions(request, after.as_deref()).await?;
            for read in page.data {
                all.push(read.map_err(|unread| unread.error)?);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn list_subscriptions(
        &self,
        request: ListSubscription,
        after: Option<&str>,
    ) -> Result<Listed<Result<SubscriptionObject, UnreadableObject>>, GatewayError> {
        let mut request =
            request.status(ListSubscriptionStatus::All).limit(PAGE).expand(vec!["data.latest_invoice".to_owned()]);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        let response = self.send(&request, None).await?;
        let page = Listed::read_each(&response, |value| Ok((objects::subscription(value)?, value.clone())))?;
        let mut data = Vec::with_capacity(page.data.len());
        for (id, read) in page.data {
            let whole = match read {
                Ok((read, value)) => self.with_all_items(read, &value).await,
                Err(error) => Err(error.into()),
            };
            data.push(match whole {
                // Every other subscription would get the same error.
                Err(error) if !error.concerns_one_object() => return Err(error),
                whole => whole.map_err(|error| UnreadableObject { id, error }),
            });
        }
        Ok(Listed { data, next: page.next })
    }

    /// Adds the items beyond the first page.
    async fn with_all_items(
        &self,
        mut read: SubscriptionObject,
        value: &Value,
    ) -> Result<SubscriptionObject, GatewayError> {
        while read.has_more_items {
            let last = read.subscription.items.last().map(|item| item.id.clone()).unwrap_or_default();
            let request = ListSubscriptionItem::new(read.subscription.id.as_str()).limit(PAGE).starting_after(last);
            let response = self.send(&request, None).await?;
            let page = Listed::read(&response, |item| objects::subscription_item(item, value))?;
            read.has_more_items = page.next.is_some();
            read.subscription.items.extend(page.data);
        }
        Ok(read)
    }

    /// Adds the open invoices, and what was paid last, while a payment is missing.
    async fn with_invoices(&self, mut read: SubscriptionObject) -> Result<SubscriptionObject, GatewayError> {
        if read.subscription.owes() {
            let (open, since) = self.owed(&read.subscription.id).await?;
            read.open_invoices = open;
            read.open_invoice_since = since.or(read.open_invoice_since);
        }
        if read.subscription.is_unpaid() {
            read.paid = self.paid_lines(&read.subscription.id, &read.subscription.items).await?;
        }
        Ok(read)
    }

    /// Ends a trial now and charges the amount due. A declined card is not an error: the subscription
    /// becomes past due.
    pub async fn end_trial(&self, id: &SubscriptionId, key: &str) -> Result<(), GatewayError> {
        let request = UpdateSubscription::new(id.as_str()).trial_end(UpdateSubscriptionTrialEnd::Now);
        self.send(&request, Some(key)).await.map(drop)
    }

    /// Cancels a subscription now, with a final invoice for usage and prorations that have not been invoiced. A
    /// first payment that was never made leaves nothing to invoice. A subscription that has already ended is
    /// left unchanged.
    ///
    /// Without a key, which Stripe ignores when something is deleted (Stripe API, "Idempotent requests"). So a
    /// retry after a lost response finds no subscription to cancel.
    pub async fn cancel_subscription(&self, id: &SubscriptionId, status: &Status) -> Result<(), GatewayError> {
        let request = CancelSubscription::new(id.as_str()).invoice_now(*status != Status::Incomplete);
        match self.send(&request, None).await {
            Err(error) if !error.is_missing() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
