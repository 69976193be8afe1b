//! The frame of a page that loads data.

use axum::http::{HeaderValue, StatusCode, header};
use billing::Policy;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::Title;

use super::failure_view::FailureView;
use crate::caller::{Caller, Denied, Operator};
use crate::failure::Failure;

/// Renders a page for a signed-in visitor. `load` returns the page or a failure.
///
/// The gate has already redirected everyone else. If it ever doesn't, they are redirected to the
/// login here and `load` doesn't run.
pub fn signed_in_page<F, Fut>(title: &'static str, load: F) -> AnyView
where
    F: FnOnce(Caller) -> Fut,
    Fut: Future<Output = Result<AnyView, Failure>> + Send + 'static,
{
    match Caller::require(Policy::SignedIn) {
        Ok(caller) => page(title, load(caller)),
        Err(denied) => denied_page(title, denied),
    }
}

/// Renders a page for operators; 404 for everyone else.
pub fn operator_page<F, Fut>(title: &'static str, load: F) -> AnyView
where
    F: FnOnce(Operator) -> Fut,
    Fut: Future<Output = Result<AnyView, Failure>> + Send + 'static,
{
    match Operator::require() {
        Ok(operator) => page(title, load(operator)),
        Err(denied) => denied_page(title, denied),
    }
}

/// Renders the page that `loading` returns, or the page for its failure.
pub(super) fn page(
    title: &'static str,
    loading: impl Future<Output = Result<AnyView, Failure>> + Send + 'static,
) -> AnyView {
    let response = expect_context::<ResponseOptions>();
    let page = Suspend::new(async move {
        match loading.await {
            Ok(view) => view,
            Err(failure) => {
                response.set_status(failure.status());
                view! { <FailureView failure/> }.into_any()
            }
        }
    });
    view! { <Title text=title/> {page} }.into_any()
}

/// Renders the page for a caller whom the gate should have stopped.
pub(super) fn denied_page(title: &'static str, denied: Denied) -> AnyView {
    let failure = match denied {
        Denied::SignedOut => {
            see_other("/login");
            return ().into_any();
        }
        Denied::TooLow { .. } => Failure::Forbidden,
        Denied::Failed(failure) => failure,
    };
    page(title, async move { Err(failure) })
}

/// Redirects to `path` with 303 instead of showing the page.
pub fn see_other(path: &str) {
    let response = expect_context::<ResponseOptions>();
    if let Ok(location) = HeaderValue::from_str(path) {
        response.set_status(StatusCode::SEE_OTHER);
        response.insert_header(header::LOCATION, location);
    }
}

/// The `<h1>` of a page, with a sentence below it.
#[component]
pub fn Heading(#[prop(into)] title: String, #[prop(optional, into)] lead: String) -> impl IntoView {
    view! {
        <header class="page-heading">
            <h1>{title}</h1>
            {(!lead.is_empty()).then(|| view! { <p class="lead">{lead}</p> })}
        </header>
    }
}
