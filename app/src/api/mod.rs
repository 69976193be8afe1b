//! Server functions: the browser's billing reads and actions, one file per subject.
//!
//! A function checks its caller, parses its arguments, makes one call and maps the result. The
//! same function is called by a page while it renders, by an island over HTTP, and by a plain
//! `<form>` without JavaScript ([`crate::endpoints`], decision 0002). Each address has a line in
//! [`crate::addresses`]; without one the server doesn't start.

mod account;
pub mod error;
mod invoice;
mod operations;
mod password;
mod plan;
mod portal;
mod purchase;
mod reply;
pub mod strict_form;
mod subscription;
mod usage;

pub use account::{CloseAccount, close_account};
pub use error::ApiError;
pub use invoice::{OpenInvoice, open_invoice};
pub use operations::{
    ReplayEvent, RetryChange, RunReconciliation, SkipChange, replay_event, retry_change, run_reconciliation,
    skip_change,
};
pub use password::Password;
pub use plan::{CurrentPlan, GetCurrentPlan, current_plan};
pub use portal::{OpenPortal, ReturnFromPortal, open_portal, return_from_portal};
pub use purchase::{StartPurchase, start_purchase};
pub use reply::{Reply, SeeOther};
pub use strict_form::{StrictForm, StrictQuery};
pub use subscription::{StartSubscription, start_subscription};
pub use usage::{
    DismissUsageNotice, GetUsage, MeterUsage, OveragePolicy, Usage, UsageNotice, dismiss_usage_notice, usage,
};

pub use crate::failure::Failure;
