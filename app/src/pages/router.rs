//! The address of each page. Its policy is in [`crate::addresses`].

use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::{SsrMode, path};

use super::{
    account, admin, analytics, api_keys, api_reference, billing, billing_success, billing_upgrade, custom_domain,
    dashboard, landing, log_in, pricing, sign_up, support,
};
use crate::components::FailureView;
use crate::failure::Failure;

/// The content between header and footer.
#[component]
pub fn Pages() -> impl IntoView {
    view! {
        <Router>
            <FlatRoutes fallback=NotFound>
                <Route path=path!("/") view=landing::Landing ssr=SsrMode::Async/>
                <Route path=path!("/pricing") view=pricing::Pricing ssr=SsrMode::Async/>
                <Route path=path!("/api-reference") view=api_reference::ApiReference ssr=SsrMode::Async/>
                <Route path=path!("/signup") view=sign_up::SignUp ssr=SsrMode::Async/>
                <Route path=path!("/login") view=log_in::LogIn ssr=SsrMode::Async/>
                <Route path=path!("/billing") view=billing::Billing ssr=SsrMode::Async/>
                <Route path=path!("/billing/success") view=billing_success::Success ssr=SsrMode::Async/>
                <Route path=path!("/billing/upgrade") view=billing_upgrade::Upgrade ssr=SsrMode::Async/>
                <Route path=path!("/account") view=account::Account ssr=SsrMode::Async/>
                <Route path=path!("/admin") view=admin::overview::Overview ssr=SsrMode::Async/>
                <Route path=path!("/admin/events") view=admin::events::Events ssr=SsrMode::Async/>
                <Route path=path!("/admin/drift") view=admin::drift::Drift ssr=SsrMode::Async/>
                <Route path=path!("/admin/changes") view=admin::changes::Changes ssr=SsrMode::Async/>
                <Route path=path!("/admin/event") view=admin::event::EventPage ssr=SsrMode::Async/>
                <Route path=path!("/admin/accounts") view=admin::accounts::Accounts ssr=SsrMode::Async/>
                <Route path=path!("/admin/account") view=admin::account::AccountPage ssr=SsrMode::Async/>
                <Route path=path!("/dashboard") view=dashboard::Dashboard ssr=SsrMode::Async/>
                <Route path=path!("/dashboard/analytics") view=analytics::Analytics ssr=SsrMode::Async/>
                <Route path=path!("/dashboard/api-keys") view=api_keys::ApiKeys ssr=SsrMode::Async/>
                <Route path=path!("/dashboard/custom-domain") view=custom_domain::CustomDomain ssr=SsrMode::Async/>
                <Route path=path!("/dashboard/support") view=support::Support ssr=SsrMode::Async/>
            </FlatRoutes>
        </Router>
    }
}

#[component]
fn NotFound() -> impl IntoView {
    expect_context::<ResponseOptions>().set_status(Failure::NotFound.status());
    view! { <FailureView failure=Failure::NotFound/> }
}
