//! Checkout Sessions.

use billing::ledger::Payment;
use billing::{AccountId, CheckoutSessionId, CustomerId, PriceId, Timestamp};
use stripe_checkout::CheckoutSessionMode;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionCustomText, CreateCheckoutSessionLineItems,
    CreateCheckoutSessionPaymentIntentData, CreateCheckoutSessionSubscriptionData,
    CreateCheckoutSessionSubscriptionDataTrialSettings, CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior,
    CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehaviorMissingPaymentMethod as MissingPaymentMethod,
    CustomTextPositionParam, ExpireCheckoutSession, ListCheckoutSession, RetrieveCheckoutSession,
};
use stripe_shared::CheckoutSessionStatus;
use stripe_types::RangeQueryTs;

use super::gateway::{Gateway, Listed, PAGE, UNCERTAINTY, UnreadableObject, metadata};
use super::gateway_error::GatewayError;
use super::objects::{self, CheckoutSession};

/// A Checkout Session to be created. All of it is stored with the attempt, so that a retry sends the same
/// request.
#[derive(Debug)]
pub struct NewCheckout<'a> {
    /// The attempt, by which the session is found again.
    pub attempt: &'a str,
    /// The buyer in Stripe.
    pub customer: &'a CustomerId,
    /// The account that buys, stored in the metadata.
    pub account: &'a AccountId,
    /// The price to sell.
    pub price: &'a PriceId,
    /// The prices of usage billed with it.
    pub metered: &'a [PriceId],
    /// What is sold: a plan or a product.
    pub sale: Sale<'a>,
    /// The page for customers who have paid; it holds `{CHECKOUT_SESSION_ID}`.
    pub success_url: &'a str,
    /// The page for customers who leave.
    pub cancel_url: &'a str,
}

/// The sale of a Checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sale<'a> {
    /// A plan, as a subscription.
    Plan {
        /// The trial, if there is one.
        trial: Option<Trial>,
    },
    /// A product, once.
    Product {
        /// Its key in the catalog.
        key: &'a str,
    },
}

/// The trial of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its length in days.
    pub days: u32,
    /// The text about it next to the button on Stripe's page.
    pub terms: &'static str,
}

impl Gateway {
    /// Creates the Checkout Session of an attempt under an idempotency key, or returns the one that was
    /// created under it.
    pub async fn create_checkout(
        &self,
        checkout: &NewCheckout<'_>,
        key: &str,
    ) -> Result<CheckoutSession, GatewayError> {
        let mut line = CreateCheckoutSessionLineItems::new();
        line.price = Some(checkout.price.to_string());
        line.quantity = Some(1);
        let metered = checkout.metered.iter().map(|price| {
            let mut line = CreateCheckoutSessionLineItems::new();
            line.price = Some(price.to_string());
            line
        });
        let mut metadata = metadata(checkout.account);
        metadata.insert("attempt_id".to_owned(), checkout.attempt.to_owned());
        let request = CreateCheckoutSession::new()
            .customer(checkout.customer.as_str())
            .client_reference_id(checkout.account.as_str())
            .line_items(std::iter::once(line).chain(metered).collect::<Vec<_>>())
            .success_url(checkout.success_url)
            .cancel_url(checkout.cancel_url);
        let request = match checkout.sale {
            Sale::Plan { trial } => {
                let mut subscription = CreateCheckoutSessionSubscriptionData::new();
                subscription.metadata = Some(metadata.clone());
                let mut request = request.mode(CheckoutSessionMode::Subscription);
                if let Some(Trial { days, terms }) = trial {
                    subscription.trial_period_days = Some(days);
                    subscription.trial_settings = Some(CreateCheckoutSessionSubscriptionDataTrialSettings::new(
                        CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior::new(
                            MissingPaymentMethod::Cancel,
                        ),
                    ));
                    let mut custom = CreateCheckoutSessionCustomText::new();
                    custom.submit = Some(CustomTextPositionParam::new(terms));
                    request = request.custom_text(custom);
                }
                request.subscription_data(subscription).metadata(metadata)
            }
            Sale::Product { key } => {
                metadata.insert("product".to_owned(), key.to_owned());
                let mut payment = CreateCheckoutSessionPaymentIntentData::new();
                payment.metadata = Some(metadata.clone());
                request.mode(CheckoutSessionMode::Payment).payment_intent_data(payment).metadata(metadata)
            }
        };
        let response = self.send(&request, Some(key)).await?;
        Ok(objects::checkout_session(&response)?)
    }

    /// Finds a customer's session that was created for an attempt around `since` or later.
    pub async fn checkout_of_attempt(
        &self,
        customer: &CustomerId,
        attempt: &str,
        since: Timestamp,
    ) -> Result<Option<CheckoutSession>, GatewayError> {
        let created = RangeQueryTs::gte(since.plus_seconds(-UNCERTAINTY).0);
        let request = ListCheckoutSession::new().customer(customer.as_str()).created(created).limit(PAGE);
        // A customer has a few sessions an hour at most, so one page is enough.
        let page = Listed::read(&self.send(&request, None).await?, objects::checkout_session)?;
        Ok(page.data.into_iter().find(|session| session.attempt.as_deref() == Some(attempt)))
    }

    /// Reads a page of the complete sessions created since `since`, newest first, each with its line items
    /// and its payment.
    pub async fn checkouts_page(
        &self,
        since: Timestamp,
        after: Option<&str>,
    ) -> Result<Listed<Result<(CheckoutSession, Option<Payment>), UnreadableObject>>, GatewayError> {
        let expand = ["data.line_items", "data.payment_intent.latest_charge"].map(str::to_owned).to_vec();
        let mut request = ListCheckoutSession::new()
            .status(CheckoutSessionStatus::Complete)
            .created(RangeQueryTs::gte(since.0))
            .expand(expand)
            .limit(PAGE);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        let page = Listed::read_each(&self.send(&request, None).await?, |value| {
            let intent = value.get("payment_intent").filter(|intent| intent.is_object());
            let payment = intent.map(objects::payment).transpose()?.map(|named| named.object);
            Ok((objects::checkout_session(value)?, payment))
        })?;
        let data =
            page.data.into_iter().map(|(id, read)| read.map_err(|error| UnreadableObject { id, error: error.into() }));
        Ok(Listed { data: data.collect(), next: page.next })
    }

    /// Reads a Checkout Session, with its line items.
    pub async fn checkout_session(&self, id: &CheckoutSessionId) -> Result<CheckoutSession, GatewayError> {
        let request = RetrieveCheckoutSession::new(id.as_str()).expand(vec!["line_items".to_owned()]);
        let response = self.send(&request, None).await?;
        Ok(objects::checkout_session(&response)?)
    }

    /// Expires an unpaid Checkout Session. Stripe rejects this if it was completed or has expired.
    pub async fn expire_checkout_session(&self, id: &CheckoutSessionId) -> Result<CheckoutSession, GatewayError> {
        let response = self.send(&ExpireCheckoutSession::new(id.as_str()), None).await?;
        Ok(objects::checkout_session(&response)?)
    }
}
