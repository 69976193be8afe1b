//! The frame of a page that asks `server` for something.

use axum::http::{HeaderValue, StatusCode, header};
use billing::Policy;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::Title;

use super::failure_view::FailureView;
use crate::caller::{Caller, Denied, Operator};
use crate::failure::Failure;

/// A page for a signed-in visitor: `load` makes it, or says why there is none.
///
/// The guard has turned everybody else away. If it ever doesn't, they are sent to the login
/// here and `load` doesn't run.
pub fn signed_in_page<F, Fut>(title: &'static str, load: F) -> AnyView
where
    F: FnOnce(Caller) -> Fut,
    Fut: Future<Output = Result<AnyView, Failure>> + Send + 'static,
{
    match Caller::require(Policy::SignedIn) {
        Ok(caller) => page(title, load(caller)),
        Err(denied) => turned_away(title, denied),
    }
}

/// A page for operators; for anybody else it does not exist.
pub fn operator_page<F, Fut>(title: &'static str, load: F) -> AnyView
where
    F: FnOnce(Operator) -> Fut,
    Fut: Future<Output = Result<AnyView, Failure>> + Send + 'static,
{
    match Operator::require() {
        Ok(operator) => page(title, load(operator)),
        Err(denied) => turned_away(title, denied),
    }
}

/// A page that `loading` makes; the page that says why there is none, if it can't.
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

/// What somebody sees whom the guard should have turned away.
pub(super) fn turned_away(title: &'static str, denied: Denied) -> AnyView {
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

/// Answers with 303 to `path` instead of with the page being rendered.
pub fn see_other(path: &str) {
    let response = expect_context::<ResponseOptions>();
    if let Ok(location) = HeaderValue::from_str(path) {
        response.set_status(StatusCode::SEE_OTHER);
        response.insert_header(header::LOCATION, location);
    }
}

/// The one `<h1>` of a page, with a sentence below it.
#[component]
pub fn Heading(#[prop(into)] title: String, #[prop(optional, into)] lead: String) -> impl IntoView {
    view! {
        <header class="page-heading">
            <h1>{title}</h1>
            {(!lead.is_empty()).then(|| view! { <p class="lead">{lead}</p> })}
        </header>
    }
}
