//! The frame of a page that asks `server` for something.

use axum::http::{HeaderValue, StatusCode, header};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::Title;
use server::Tollgate;
use server::access::{self, OperatorPermit};
use server::auth::{SignedIn, Visitor};

use super::FailureView;
use crate::failure::Failure;

/// A page for whoever is signed in: `load` makes it, or says why there is none.
///
/// The guard has turned everybody else away already; should it ever not, they are
/// sent to log in here and `load` does not run.
pub fn signed_in_page<F, Fut>(title: &'static str, load: F) -> AnyView
where
    F: FnOnce(Tollgate, SignedIn) -> Fut,
    Fut: Future<Output = Result<AnyView, Failure>> + Send + 'static,
{
    let Some(who) = expect_context::<Visitor>().signed_in else {
        see_other("/login");
        return ().into_any();
    };
    let response = expect_context::<ResponseOptions>();
    let page = load(expect_context::<Tollgate>(), who);
    let page = Suspend::new(async move {
        match page.await {
            Ok(view) => view,
            Err(failure) => {
                response.set_status(failure.status());
                view! { <FailureView failure/> }.into_any()
            }
        }
    });
    view! { <Title text=title/> {page} }.into_any()
}

/// A page for operators; for anybody else it does not exist.
pub fn operator_page<F, Fut>(title: &'static str, load: F) -> AnyView
where
    F: FnOnce(Tollgate, OperatorPermit) -> Fut + Send + 'static,
    Fut: Future<Output = Result<AnyView, Failure>> + Send + 'static,
{
    signed_in_page(title, move |tollgate, who| async move {
        let permit = access::require_operator(&who).map_err(|_| Failure::NotFound)?;
        load(tollgate, permit).await
    })
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
