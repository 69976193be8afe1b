//! Subscriptions.

use billing::{CustomerId, Status, SubscriptionId};
use serde_json::Value;
use stripe_billing::subscription::{
    CancelSubscription, ListSubscription, ListSubscriptionStatus, RetrieveSubscription, UpdateSubscription,
    UpdateSubscriptionTrialEnd,
};
use stripe_billing::subscription_item::ListSubscriptionItem;

use super::PAGE;
use super::gateway::{Gateway, GatewayError, Page, Unread};
use super::shape::{self, SubscriptionShape};

impl Gateway {
    /// A subscription as it is now, whole: with all its items, the card it is charged to and, when
    /// it is past due, since when.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn subscription(&self, id: &SubscriptionId) -> Result<SubscriptionShape, GatewayError> {
        let expand = ["latest_invoice", "default_payment_method"].map(str::to_owned).to_vec();
        let answer = self.send(&RetrieveSubscription::new(id.as_str()).expand(expand), None).await?;
        self.complete(shape::subscription(&answer)?, &answer).await
    }

    /// A page of all subscriptions there are, ended ones too, newest first. One that cannot be
    /// understood does not stand in the way of the others.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn subscriptions_page(
        &self,
        after: Option<&str>,
    ) -> Result<Page<Result<SubscriptionShape, Unread>>, GatewayError> {
        self.list_subscriptions(ListSubscription::new(), after).await
    }

    /// All subscriptions of a customer, ended ones too, page by page.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn subscriptions_of(&self, customer: &CustomerId) -> Result<Vec<SubscriptionShape>, GatewayError> {
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
    ) -> Result<Page<Result<SubscriptionShape, Unread>>, GatewayError> {
        let mut request =
            request.status(ListSubscriptionStatus::All).limit(PAGE).expand(vec!["data.latest_invoice".to_owned()]);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        let answer = self.send(&request, None).await?;
        let page = Page::read_each(&answer, |value| Ok((shape::subscription(value)?, value.clone())))?;
        let mut data = Vec::with_capacity(page.data.len());
        for (id, read) in page.data {
            let whole = match read {
                Ok((read, value)) => self.complete(read, &value).await,
                Err(error) => Err(error.into()),
            };
            data.push(match whole {
                // Then nothing can be said of the others either.
                Err(error) if !error.is_about_one_object() => return Err(error),
                whole => whole.map_err(|error| Unread { id, error }),
            });
        }
        Ok(Page { data, next: page.next })
    }

    /// Asks for what an answer leaves out: the items beyond its first page, and the oldest invoice
    /// that is owed.
    async fn complete(&self, mut read: SubscriptionShape, value: &Value) -> Result<SubscriptionShape, GatewayError> {
        while read.has_more_items {
            let last = read.subscription.items.last().map(|item| item.id.clone()).unwrap_or_default();
            let request = ListSubscriptionItem::new(read.subscription.id.as_str()).limit(PAGE).starting_after(last);
            let answer = self.send(&request, None).await?;
            let page = Page::read(&answer, |item| shape::subscription_item(item, value))?;
            read.has_more_items = page.next.is_some();
            read.subscription.items.extend(page.data);
        }
        if read.subscription.status == Status::PastDue {
            read.open_invoice_since = self.owed_since(&read.subscription.id).await?.or(read.open_invoice_since);
        }
        Ok(read)
    }

    /// Ends a trial now; what is due is charged at once.
    ///
    /// # Errors
    /// See [`GatewayError`]. A card that is declined is none: then the subscription is past due.
    pub async fn end_trial(&self, id: &SubscriptionId) -> Result<(), GatewayError> {
        let request = UpdateSubscription::new(id.as_str()).trial_end(UpdateSubscriptionTrialEnd::Now);
        self.send(&request, Some(&format!("end-trial:{id}"))).await.map(drop)
    }

    /// Ends a subscription now.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn cancel_subscription(&self, id: &SubscriptionId) -> Result<(), GatewayError> {
        self.send(&CancelSubscription::new(id.as_str()), Some(&format!("cancel:{id}"))).await.map(drop)
    }
}
