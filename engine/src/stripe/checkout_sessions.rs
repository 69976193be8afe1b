//! Checkout Sessions.

use billing::{AccountId, CheckoutSessionId, CustomerId, PriceId};
use stripe_checkout::CheckoutSessionMode;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionCustomText, CreateCheckoutSessionLineItems,
    CreateCheckoutSessionPaymentIntentData, CreateCheckoutSessionSubscriptionData,
    CreateCheckoutSessionSubscriptionDataTrialSettings, CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior,
    CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehaviorMissingPaymentMethod as MissingPaymentMethod,
    CustomTextPositionParam, ExpireCheckoutSession, RetrieveCheckoutSession,
};

use super::gateway::{Gateway, GatewayError, metadata};
use super::objects::{self, CheckoutSession};

/// A Checkout Session to be created. All of it is stored with the attempt, so that a retry sends the same
/// request.
#[derive(Debug)]
pub struct NewCheckout<'a> {
    /// The attempt, which is the idempotency key.
    pub attempt: &'a str,
    /// The buyer at Stripe.
    pub customer: &'a CustomerId,
    /// Our account.
    pub account: &'a AccountId,
    /// The price.
    pub price: &'a PriceId,
    /// The prices of usage billed with it.
    pub metered: &'a [PriceId],
    /// The sale.
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
        /// Its key in the catalogue.
        key: &'a str,
    },
}

/// The trial of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its length in days.
    pub days: u32,
    /// The text about it beside the button on Stripe's page.
    pub terms: &'static str,
}

impl Gateway {
    /// Creates the Checkout Session of an attempt, or returns the one already created for it.
    pub async fn create_checkout(&self, checkout: &NewCheckout<'_>) -> Result<CheckoutSession, GatewayError> {
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
                    let mut texts = CreateCheckoutSessionCustomText::new();
                    texts.submit = Some(CustomTextPositionParam::new(terms));
                    request = request.custom_text(texts);
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
        let response = self.send(&request, Some(&format!("checkout:{}", checkout.attempt))).await?;
        Ok(objects::checkout_session(&response)?)
    }

    /// Reads a Checkout Session, with its line items.
    pub async fn checkout_session(&self, id: &CheckoutSessionId) -> Result<CheckoutSession, GatewayError> {
        let request = RetrieveCheckoutSession::new(id.as_str()).expand(vec!["line_items".to_owned()]);
        let response = self.send(&request, None).await?;
        Ok(objects::checkout_session(&response)?)
    }

    /// Expires an unpaid Checkout Session. Stripe refuses if it was completed or has expired.
    pub async fn expire_checkout_session(&self, id: &CheckoutSessionId) -> Result<CheckoutSession, GatewayError> {
        let response = self.send(&ExpireCheckoutSession::new(id.as_str()), None).await?;
        Ok(objects::checkout_session(&response)?)
    }
}
