//! The customer portal: Stripe's own pages for cards, invoices and cancelling.

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

use super::PAGE;
use super::gateway::{Gateway, GatewayError, Page};
use super::shape::{self, ShapeError, text};

/// Which of Stripe's portal configurations is ours. Counted up when what it offers changes: a
/// configuration is never changed under people who are in it.
const CONFIGURATION: &str = "1";

/// Where in the portal somebody is led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortalFlow {
    /// The whole of it.
    Home,
    /// Straight to another card, and back.
    Card,
}

impl Gateway {
    /// The address of a portal session of this customer, good for a few minutes; it leads back to `return_url`.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn portal(
        &self,
        customer: &CustomerId,
        flow: PortalFlow,
        return_url: &str,
    ) -> Result<String, GatewayError> {
        let configuration = self.portal_configuration().await?;
        let mut request = CreateBillingPortalSession::new()
            .customer(customer.as_str())
            .configuration(configuration)
            .return_url(return_url);
        if flow == PortalFlow::Card {
            let card = CreateBillingPortalSessionFlowDataType::PaymentMethodUpdate;
            request = request.flow_data(CreateBillingPortalSessionFlowData::new(card));
        }
        let answer = self.send(&request, None).await?;
        let url = text(&answer, "/url").ok_or(ShapeError { object: "billing_portal.session", field: "url" })?;
        Ok(url.to_owned())
    }

    /// The id of the configuration that says what the portal offers; made when it is not there.
    async fn portal_configuration(&self) -> Result<String, GatewayError> {
        if let Some(known) = self.portal.get() {
            return Ok(known.clone());
        }
        let id = match self.find_portal_configuration().await? {
            Some(id) => id,
            None => self.create_portal_configuration().await?,
        };
        Ok(self.portal.get_or_init(|| id).clone())
    }

    async fn find_portal_configuration(&self) -> Result<Option<String>, GatewayError> {
        let mut after: Option<String> = None;
        loop {
            let mut request = ListBillingPortalConfiguration::new().active(true).limit(PAGE);
            if let Some(after) = after {
                request = request.starting_after(after);
            }
            let page = Page::read(&self.send(&request, None).await?, |value| Ok(value.clone()))?;
            let ours = page.data.iter().find(|value| text(value, "/metadata/tollgate") == Some(CONFIGURATION));
            match (ours.and_then(|value| shape::id_of(value, "/id")), page.next) {
                (Some(id), _) => return Ok(Some(id)),
                (None, None) => return Ok(None),
                (None, next) => after = next,
            }
        }
    }

    async fn create_portal_configuration(&self) -> Result<String, GatewayError> {
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
        let answer: Value = self.send(&request, Some(&format!("portal:{CONFIGURATION}"))).await?;
        shape::id_of(&answer, "/id")
            .ok_or(GatewayError::Shape(ShapeError { object: "billing_portal.configuration", field: "id" }))
    }
}
