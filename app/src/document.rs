//! Renders a request's HTML document.
//!
//! A page is rendered completely before the first byte is sent, so that a browser without
//! JavaScript never sees a placeholder, and a page can set its status or redirect while it loads.
//! A document without islands contains no script and may run none.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use futures::StreamExt;
use futures::stream::once;
use leptos::config::LeptosOptions;
use leptos::nonce::Nonce;
use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use server::Tollgate;
use server::auth::Visitor;

use crate::components::{BareHeader, FailureView, RedirectPage, SiteFooter, SiteHeader};
use crate::content_security;
use crate::failure::Failure;
use crate::form_state::FormState;
use crate::pages::Pages;
use crate::theme::Theme;

/// Renders the page at the request's address.
pub async fn page(tollgate: &Tollgate, parts: Parts) -> Response {
    render(tollgate, parts, None, FormState::default(), None).await
}

/// Renders the page at `path` after a form post, with the form's errors or result.
pub async fn page_again(
    tollgate: &Tollgate,
    mut parts: Parts,
    path: &str,
    status: StatusCode,
    form: FormState,
) -> Response {
    if let Ok(uri) = path.parse() {
        parts.uri = uri;
    }
    refresh_entitlement(tollgate, &mut parts).await;
    render(tollgate, parts, Some(status), form, None).await
}

/// Renders the page for a failure.
pub async fn failure(tollgate: &Tollgate, mut parts: Parts, failure: Failure) -> Response {
    refresh_entitlement(tollgate, &mut parts).await;
    render(tollgate, parts, Some(failure.status()), FormState::default(), Some(Instead::Failure(failure))).await
}

/// Renders a page that continues to `address` automatically.
pub async fn redirect_page(tollgate: &Tollgate, parts: Parts, address: &str) -> Response {
    let instead = Instead::RedirectTo(address.to_owned());
    render(tollgate, parts, Some(StatusCode::OK), FormState::default(), Some(instead)).await
}

/// What a document shows instead of the page at its address.
#[derive(Clone)]
enum Instead {
    Failure(Failure),
    RedirectTo(String),
}

/// Replaces the entitlement that the gate computed: the form post may have changed it.
async fn refresh_entitlement(tollgate: &Tollgate, parts: &mut Parts) {
    let visitor = parts.extensions.get::<engine::axum::Visitor>();
    let Some((billable, _)) = visitor.and_then(|visitor| visitor.0.clone()) else { return };
    // If the database fails, the earlier entitlement is better than none.
    if parts.method != Method::GET
        && let Ok(entitlement) = tollgate.entitlement(&billable.account).await
    {
        parts.extensions.insert(engine::axum::Visitor(Some((billable, Arc::new(entitlement)))));
    }
}

async fn render(
    tollgate: &Tollgate,
    mut parts: Parts,
    status: Option<StatusCode>,
    form: FormState,
    instead: Option<Instead>,
) -> Response {
    // The router renders pages for GET only.
    parts.method = Method::GET;
    let visitor = parts.extensions.get::<Visitor>().cloned().unwrap_or_default();
    let theme = Theme::of_request(&parts.headers, tollgate.config().is_https());
    let is_private = visitor.signed_in.is_some() || matches!(instead, Some(Instead::RedirectTo(_)));
    let nonce = Nonce::new();
    let context = {
        let (tollgate, nonce) = (tollgate.clone(), nonce.clone());
        move || {
            provide_context(tollgate.clone());
            provide_context(visitor.clone());
            provide_context(theme);
            provide_context(form.clone());
            provide_context(nonce.clone());
        }
    };
    let scripts = Arc::new(OnceLock::new());
    let document = {
        let scripts = Arc::clone(&scripts);
        move || {
            let _ = scripts.set(island_scripts().to_html());
            document(instead.clone())
        }
    };
    let request = Request::from_parts(parts, Body::empty());
    let response = leptos_axum::handle_response_inner(context, document, request, |view, chunks, _| {
        Box::pin(async move {
            let html = view.to_html_stream_in_order().collect::<String>().await;
            drop(chunks);
            Box::pin(once(async move { html })) as _
        })
    })
    .await;
    let scripts = scripts.get().map(String::as_str).unwrap_or_default();
    let (mut response, has_islands) = with_scripts(response, scripts).await;
    let nonce = has_islands.then_some(&*nonce);
    let csp = content_security::policy(nonce, &tollgate.config().stripe.hosted_origins());

    if let Some(status) = status {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, csp);
    let caching = if is_private { "private, no-store" } else { "private, no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

/// Adds the scripts if the document has islands, and returns whether it has.
async fn with_scripts(response: Response, scripts: &str) -> (Response, bool) {
    let (head, body) = response.into_parts();
    // The document is already in memory, so this cannot fail.
    let html = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let html = String::from_utf8_lossy(&html);
    let has_islands = html.contains("<leptos-island");
    let html = if has_islands { html.replacen("</head>", &format!("{scripts}</head>"), 1) } else { html.into_owned() };
    (Response::from_parts(head, Body::from(html)), has_islands)
}

/// Returns the scripts that hydrate islands.
fn island_scripts() -> impl IntoView {
    let tollgate = expect_context::<Tollgate>();
    let options = LeptosOptions::builder().output_name(tollgate.assets().script_name()).site_pkg_dir("pkg").build();
    view! { <HydrationScripts options islands=true/> }
}

fn document(instead: Option<Instead>) -> impl IntoView {
    provide_meta_context();
    let tollgate = expect_context::<Tollgate>();
    let theme = expect_context::<Theme>();
    let scheme = match theme {
        Theme::Auto => "light dark",
        chosen => chosen.as_str(),
    };
    let style = tollgate.assets().style_path().to_owned();
    // Before the body, because the last title takes precedence.
    let name = view! { <Title formatter=|title: String| title + " · Tollgate" text="Plans"/> };
    let (header, body) = match instead {
        // The form post may have changed who is signed in.
        Some(Instead::RedirectTo(address)) => {
            (view! { <BareHeader/> }.into_any(), view! { <RedirectPage address/> }.into_any())
        }
        Some(Instead::Failure(failure)) => {
            (view! { <SiteHeader/> }.into_any(), view! { <FailureView failure/> }.into_any())
        }
        None => (view! { <SiteHeader/> }.into_any(), view! { <Pages/> }.into_any()),
    };
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme.as_str()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content=scheme/>
                <link rel="stylesheet" href=style/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <MetaTags/>
            </head>
            <body>
                {name}
                <a class="skip-link" href="#main">"Skip to content"</a>
                {header}
                <main id="main" tabindex="-1">{body}</main>
                <SiteFooter/>
            </body>
        </html>
    }
}
