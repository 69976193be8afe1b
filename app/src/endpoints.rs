//! Server functions over HTTP: a redirect or page for a person, JSON for a script.
//!
//! | | a person (a form post or a link) | a script (`Accept: application/json`) |
//! |---|---|---|
//! | a redirect | 303 | 200, [`crate::api::SeeOther`] as JSON |
//! | an error about the form | the page with the form, the error at its field, the error's status | the error as JSON, its status |
//! | any other error | the error's page, the error's status | the same |
//!
//! leptos builds server_fn with its feature `form-redirects`: a function that is called with
//! `Accept: text/html` redirects to the `Referer` with the error in its query. These headers are
//! therefore removed before a function is called (`tests/http/server_functions.rs`).

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use engine::axum::login_url;
use leptos::prelude::provide_context;
use leptos::server_fn::axum::server_fn_paths;
use leptos::server_fn::error::FromServerFnError;
use server::Tollgate;

use crate::addresses;
use crate::after_form;
use crate::api::error::ApiError;
use crate::document;
use crate::failure::Failure;
use crate::form_page;
use crate::form_state::FormState;
use crate::query::with_next;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Returns the address and method of every server function in the program.
pub fn all() -> Vec<(&'static str, Method)> {
    server_fn_paths().collect()
}

/// Returns the route of a server function that is called by `method`.
pub fn route(method: &Method) -> MethodRouter<Tollgate> {
    if *method == Method::GET { get(respond) } else { post(respond) }
}

/// Returns whether a script reads the response, rather than a person.
pub fn is_script(headers: &HeaderMap) -> bool {
    let accepts = |kind| {
        headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(|kinds| kinds.contains(kind)))
    };
    accepts("application/json") && !accepts("text/html")
}

/// Returns an error as JSON.
pub fn error_for_script(error: &ApiError) -> Response {
    let response = (error.code.status(), [(header::CONTENT_TYPE, JSON)], error.ser());
    with_retry_after(response.into_response(), error)
}

fn with_retry_after(mut response: Response, error: &ApiError) -> Response {
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

struct Output {
    json: Bytes,
    location: Option<HeaderValue>,
}

async fn respond(State(tollgate): State<Tollgate>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = Bytes::from_request(Request::from_parts(parts.clone(), body), &tollgate).await;
    let (form, outcome) = match form {
        Ok(form) => (form.clone(), call(&tollgate, &parts, form).await),
        Err(rejection) => (Bytes::new(), Err(Failure::of_status(rejection.status()).into())),
    };
    match outcome {
        Ok(Output { json, location }) => match location.filter(|_| !is_script(&parts.headers)) {
            Some(address) if parts.method == Method::POST => {
                after_form::go_to(&tollgate, parts, address.to_str().unwrap_or_default()).await
            }
            Some(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
            None => ([(header::CONTENT_TYPE, JSON)], json).into_response(),
        },
        Err(error) if is_script(&parts.headers) => error_for_script(&error),
        Err(error) => page_for_error(&tollgate, parts, &form, &error).await,
    }
}

/// Calls the function at the request's address. Leptos registers it under GET or POST only; the method that was
/// sent is in its context.
async fn call(tollgate: &Tollgate, parts: &Parts, form: Bytes) -> Result<Output, ApiError> {
    let mut request = Request::from_parts(parts.clone(), Body::from(form));
    request.headers_mut().remove(header::ACCEPT);
    request.headers_mut().remove(header::REFERER);
    if request.method() == Method::HEAD {
        *request.method_mut() = Method::GET;
    }
    let tollgate = tollgate.clone();
    let method = parts.method.clone();
    let context = move || {
        provide_context(tollgate.clone());
        provide_context(method.clone());
    };
    let response = leptos_axum::handle_server_fns_with_context(context, request).await.into_response();
    let (head, body) = response.into_parts();
    let json = to_bytes(body, usize::MAX).await.map_err(|_| Failure::Broken)?;
    if head.status.is_client_error() || head.status.is_server_error() {
        return Err(ApiError::de(json));
    }
    Ok(Output { json, location: head.headers.get(header::LOCATION).cloned() })
}

/// Returns the response to a person: a redirect to the login or upgrade page, the page with the form,
/// or the page for the failure.
async fn page_for_error(tollgate: &Tollgate, parts: Parts, form: &[u8], error: &ApiError) -> Response {
    let page = addresses::form_page(parts.uri.path());
    let back = form_page::of_post(tollgate.catalog(), &parts, form);
    let back = back.as_deref().or(page).unwrap_or("/dashboard");
    let response = match error.code {
        Failure::SignedOut => Redirect::to(&login_url(tollgate.urls(), back)).into_response(),
        Failure::PlanTooLow => Redirect::to(&with_next("/billing/upgrade", back)).into_response(),
        code => match page.filter(|_| error.is_form_error()) {
            Some(page) => {
                let state = FormState::of_post(form);
                let state = match &error.field {
                    Some(field) => state.error(field, &error.message),
                    None => state.form_error(&error.message),
                };
                document::page_again(tollgate, parts, page, code.status(), state).await
            }
            None => document::failure(tollgate, parts, code).await,
        },
    };
    with_retry_after(response, error)
}
