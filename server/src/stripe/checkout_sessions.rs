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
use super::shape::{self, CheckoutSession};
use crate::sync::TRIAL_TERMS;

/// What a Checkout is made of. Everything in it is stored with the attempt, so that a retry sends
/// the same.
#[derive(Debug)]
pub struct NewCheckout<'a> {
    /// The attempt, which is the idempotency key.
    pub attempt: &'a str,
    /// Who pays.
    pub customer: &'a CustomerId,
    /// Our account.
    pub account: &'a AccountId,
    /// What for.
    pub price: &'a PriceId,
    /// What is billed by use beside it.
    pub metered: &'a [PriceId],
    /// How it is paid.
    pub sells: Sells<'a>,
    /// Where Stripe sends people who paid; holds `{CHECKOUT_SESSION_ID}`.
    pub success_url: &'a str,
    /// Where Stripe sends people who thought better of it.
    pub cancel_url: &'a str,
}

/// What a Checkout sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sells<'a> {
    /// A plan, again and again.
    Plan {
        /// Days of trial; 0 for none.
        trial_days: u32,
    },
    /// Something once.
    Product {
        /// Its key in the catalogue.
        key: &'a str,
    },
}

impl Gateway {
    /// Makes the Checkout Session of an attempt, or gives the one that was made for it.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn create_checkout(&self, checkout: &NewCheckout<'_>) -> Result<CheckoutSession, GatewayError> {
        let mut line = CreateCheckoutSessionLineItems::new();
        line.price = Some(checkout.price.to_string());
        line.quantity = Some(1);
        let metered = checkout.metered.iter().map(|price| {
            let mut line = CreateCheckoutSessionLineItems::new();
            line.price = Some(price.to_string());
            line
        });
        let mut named = metadata(checkout.account);
        named.insert("attempt_id".to_owned(), checkout.attempt.to_owned());
        let request = CreateCheckoutSession::new()
            .customer(checkout.customer.as_str())
            .client_reference_id(checkout.account.as_str())
            .line_items(std::iter::once(line).chain(metered).collect::<Vec<_>>())
            .success_url(checkout.success_url)
            .cancel_url(checkout.cancel_url);
        let request = match checkout.sells {
            Sells::Plan { trial_days } => {
                let mut subscription = CreateCheckoutSessionSubscriptionData::new();
                subscription.metadata = Some(named.clone());
                let mut request = request.mode(CheckoutSessionMode::Subscription);
                if trial_days > 0 {
                    subscription.trial_period_days = Some(trial_days);
                    subscription.trial_settings = Some(CreateCheckoutSessionSubscriptionDataTrialSettings::new(
                        CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior::new(
                            MissingPaymentMethod::Cancel,
                        ),
                    ));
                    let mut texts = CreateCheckoutSessionCustomText::new();
                    texts.submit = Some(CustomTextPositionParam::new(TRIAL_TERMS));
                    request = request.custom_text(texts);
                }
                request.subscription_data(subscription).metadata(named)
            }
            Sells::Product { key } => {
                named.insert("product".to_owned(), key.to_owned());
                let mut payment = CreateCheckoutSessionPaymentIntentData::new();
                payment.metadata = Some(named.clone());
                request.mode(CheckoutSessionMode::Payment).payment_intent_data(payment).metadata(named)
            }
        };
        let answer = self.send(&request, Some(&format!("checkout:{}", checkout.attempt))).await?;
        Ok(shape::checkout_session(&answer)?)
    }

    /// A Checkout Session as it is now, with what was bought.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn checkout_session(&self, id: &CheckoutSessionId) -> Result<CheckoutSession, GatewayError> {
        let request = RetrieveCheckoutSession::new(id.as_str()).expand(vec!["line_items".to_owned()]);
        let answer = self.send(&request, None).await?;
        Ok(shape::checkout_session(&answer)?)
    }

    /// Closes a Checkout Session that nobody paid.
    ///
    /// # Errors
    /// See [`GatewayError`]; refused when it was paid or has run out.
    pub async fn expire_checkout_session(&self, id: &CheckoutSessionId) -> Result<CheckoutSession, GatewayError> {
        let answer = self.send(&ExpireCheckoutSession::new(id.as_str()), None).await?;
        Ok(shape::checkout_session(&answer)?)
    }
}
