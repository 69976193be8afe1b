//! The components of pages. A component is given the data it shows; only [`Gate`], [`SiteHeader`]
//! and [`signed_in_page`] load any.

#![allow(clippy::needless_pass_by_value, reason = "a component owns its properties")]

mod banner;
mod checkout_notice;
mod data_table;
mod empty;
mod failure_view;
mod field;
mod footer;
mod free_price;
mod gate;
mod header;
mod icon;
pub mod invoice_address;
mod moment;
mod page;
mod plan_card;
mod plan_name;
mod portal_button;
mod purchase;
mod redirect_page;
mod status_badge;
mod subscription_notice;
mod upgrade_prompt;
mod usage_meter;
mod usage_notice;

pub use banner::{Banner, FormError, Tone};
pub use checkout_notice::CheckoutNotice;
pub use data_table::{Column, DataTable};
pub use empty::Empty;
pub use failure_view::FailureView;
pub use field::{Field, TextField};
pub use footer::SiteFooter;
pub use free_price::free_price;
pub use gate::Gate;
pub use header::{BareHeader, SiteHeader};
pub use icon::{Glyph, Icon};
pub use moment::{Day, Moment};
pub use page::{Heading, operator_page, see_other, signed_in_page};
pub use plan_card::{Offer, PlanCard, gains};
pub use plan_name::plan_name;
pub use portal_button::PortalButton;
pub use purchase::{purchase_grants, purchase_title};
pub use redirect_page::RedirectPage;
pub use status_badge::{EventBadge, InvoiceBadge, StatusBadge};
pub use subscription_notice::SubscriptionNotice;
pub use usage_meter::UsageMeter;
pub use usage_notice::UsageNotices;
