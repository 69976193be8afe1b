//! What pages are made of. A component takes what it shows; only [`Gate`], the
//! site's header and [`signed_in_page`] ask `server` for anything.

#![allow(clippy::needless_pass_by_value, reason = "a component owns its properties")]

mod banner;
mod data_table;
mod empty;
mod failure_view;
mod field;
mod footer;
mod gate;
mod header;
mod icon;
mod moment;
mod page;
mod plan_card;
mod portal_button;
mod status_badge;
mod upgrade_prompt;
mod usage_meter;
mod usage_notice;

pub use banner::{Banner, Refusal, Tone};
pub use data_table::{Column, DataTable};
pub use empty::Empty;
pub use failure_view::FailureView;
pub use field::{Field, TextField};
pub use footer::SiteFooter;
pub use gate::Gate;
pub use header::SiteHeader;
pub use icon::{Glyph, Icon};
pub use moment::{Day, Moment};
pub use page::{Heading, operator_page, see_other, signed_in_page};
pub use plan_card::{Offer, PlanCard, gains};
pub use portal_button::PortalButton;
pub use status_badge::{EventBadge, InvoiceBadge, StatusBadge};
pub use upgrade_prompt::UpgradePrompt;
pub use usage_meter::usage_meters;
pub use usage_notice::UsageNotices;
