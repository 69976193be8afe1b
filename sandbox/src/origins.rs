//! The origins of hosted pages.
//!
//! Stripe serves each kind from its own host, and an application's Content-Security-Policy has to allow them.
//! Here all share one origin by default; with a setting, each kind gets a name below `localhost`, which
//! browsers resolve to this machine.

use crate::settings::Settings;
use crate::store::Tx;

/// A kind of hosted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostedPage {
    /// Checkout: `checkout.stripe.com`.
    Checkout,
    /// The customer portal: `billing.stripe.com`.
    Billing,
    /// Invoices: `invoice.stripe.com`.
    Invoice,
    /// Receipts: `pay.stripe.com`.
    Receipt,
}

impl HostedPage {
    fn host(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Billing => "billing",
            Self::Invoice => "invoice",
            Self::Receipt => "pay",
        }
    }

    /// Returns the base URL of pages of this kind.
    pub(crate) fn base(self, tx: &Tx<'_>) -> String {
        let base = &tx.origin.base;
        match base.rsplit_once(':') {
            Some((_, port)) if Settings::current(tx).separate_origins => {
                format!("http://{}.localhost:{port}", self.host())
            }
            _ => base.clone(),
        }
    }
}
