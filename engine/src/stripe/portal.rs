//! The customer portal: Stripe's hosted pages for payment methods, invoices and cancellation.

use billing::CustomerId;
use serde_json::Value;
use stripe_billing::billing_portal_configuration::{
    CreateBillingPortalConfiguration, CreateBillingPortalConfigurationFeatures,
    CreateBillingPortalConfigurationFeaturesCustomerUpdate,
    CreateBillingPortalConfigurationFeaturesCustomerUpdateAllowedUpdates as CustomerUpdate,
    CreateBillingPortalConfigurationFeaturesSubscriptionCancel,
    CreateBillingPortalConfigurationFeaturesSubscriptionCancelCancellationReason,
    CreateBillingPortalConfigurationFeaturesSubscriptionCancelCancellationReasonOptions as Reason,
    CreateBillingPortalConfigurationFeaturesSubscriptionCancelMode as CancelMode, InvoiceListParam,
    ListBillingPortalConfiguration, PaymentMethodUpdateParam,
};
use stripe_billing::billing_portal_session::{
    CreateBillingPortalSession, CreateBillingPortalSessionFlowData, CreateBillingPortalSessionFlowDataType,
};

use super::gateway::{Gateway, Listed, PAGE};
use super::gateway_error::GatewayError;
use super::objects::{self, ObjectError, text};

/// The version of our portal configuration, stored in its metadata. A change of features gets a new
/// version, so that a configuration never changes during a customer's session.
pub const CONFIGURATION: &str = "1";

/// The first page of a portal session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortalFlow {
    /// The portal's home page.
    Home,
    /// The payment method form, which returns to the app on completion.
    Card,
}

impl Gateway {
    /// Creates a portal session and returns its address, which is valid for a few minutes.
    pub async fn portal(
        &self,
        customer: &CustomerId,
        flow: PortalFlow,
        configuration: &str,
        return_url: &str,
    ) -> Result<String, GatewayError> {
        let mut request = CreateBillingPortalSession::new()
            .customer(customer.as_str())
            .configuration(configuration)
            .return_url(return_url);
        if flow == PortalFlow::Card {
            let card = CreateBillingPortalSessionFlowDataType::PaymentMethodUpdate;
            request = request.flow_data(CreateBillingPortalSessionFlowData::new(card));
        }
        let response = self.send(&request, None).await?;
        let url = text(&response, "/url").ok_or(ObjectError { object: "billing_portal.session", field: "url" })?;
        Ok(url.to_owned())
    }

    /// Returns the id of our portal configuration, if Stripe has it.
    pub async fn portal_configuration(&self) -> Result<Option<String>, GatewayError> {
        if let Some(known) = self.portal.get() {
            return Ok(Some(known.clone()));
        }
        let found = self.find_portal_configuration().await?;
        Ok(found.map(|id| self.portal.get_or_init(|| id).clone()))
    }

    async fn find_portal_configuration(&self) -> Result<Option<String>, GatewayError> {
        let mut after: Option<String> = None;
        loop {
            let mut request = ListBillingPortalConfiguration::new().active(true).limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            let page = Listed::read(&self.send(&request, None).await?, |value| Ok(value.clone()))?;
            let ours = page.data.iter().find(|value| text(value, "/metadata/tollgate") == Some(CONFIGURATION));
            match (ours.and_then(|value| objects::id_of(value, "/id")), page.next) {
                (Some(id), _) => return Ok(Some(id)),
                (None, None) => return Ok(None),
                (None, next) => after = next,
            }
        }
    }

    /// Creates our portal configuration under an idempotency key, and returns its id.
    pub async fn create_portal_configuration(&self, key: &str) -> Result<String, GatewayError> {
        let mut cancel = CreateBillingPortalConfigurationFeaturesSubscriptionCancel::new(true);
        cancel.mode = Some(CancelMode::AtPeriodEnd);
        cancel.cancellation_reason =
            Some(CreateBillingPortalConfigurationFeaturesSubscriptionCancelCancellationReason::new(
                true,
                vec![
                    Reason::TooExpensive,
                    Reason::MissingFeatures,
                    Reason::SwitchedService,
                    Reason::TooComplex,
                    Reason::Unused,
                ],
            ));
        let mut details = CreateBillingPortalConfigurationFeaturesCustomerUpdate::new(true);
        details.allowed_updates = Some(vec![CustomerUpdate::Name, CustomerUpdate::Email, CustomerUpdate::Phone]);
        let mut features = CreateBillingPortalConfigurationFeatures::new();
        features.customer_update = Some(details);
        features.invoice_history = Some(InvoiceListParam::new(true));
        features.payment_method_update = Some(PaymentMethodUpdateParam::new(true));
        features.subscription_cancel = Some(cancel);
        let ours = [("tollgate".to_owned(), CONFIGURATION.to_owned())];
        let request = CreateBillingPortalConfiguration::new(features).metadata(std::collections::HashMap::from(ours));
        let response: Value = self.send(&request, Some(key)).await?;
        objects::id_of(&response, "/id")
            .ok_or(GatewayError::Object(ObjectError { object: "billing_portal.configuration", field: "id" }))
    }
}
