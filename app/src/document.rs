//! From a request to a whole HTML document.
//!
//! A page is rendered to its end before the first byte is sent: a browser without
//! JavaScript never sees a placeholder, and statuses and redirects decided while
//! loading still count. Leptos's trailing hydration data is left out where no
//! island could read it.

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

use crate::components::{FailureView, SiteFooter, SiteHeader};
use crate::content_security;
use crate::failure::Failure;
use crate::form_state::FormState;
use crate::pages::Pages;
use crate::routes;
use crate::theme::Theme;

/// The page at the request's address.
pub async fn page(tollgate: &Tollgate, parts: Parts) -> Response {
    render(tollgate, parts, None, FormState::default(), None).await
}

/// The page at `path` once more, after a post that was refused or has something to show.
pub async fn page_again(tollgate: &Tollgate, mut parts: Parts, path: &str, status: StatusCode, form: FormState) -> Response {
    if let Ok(uri) = path.parse() {
        parts.uri = uri;
    }
    render(tollgate, parts, Some(status), form, None).await
}

/// The page that says why there is none.
pub async fn failure(tollgate: &Tollgate, parts: Parts, failure: Failure) -> Response {
    render(tollgate, parts, Some(failure.status()), FormState::default(), Some(failure)).await
}

async fn render(
    tollgate: &Tollgate,
    mut parts: Parts,
    status: Option<StatusCode>,
    form: FormState,
    failure: Option<Failure>,
) -> Response {
    // What is rendered is a page, whatever was posted to get here.
    parts.method = Method::GET;
    let visitor = parts.extensions.get::<Visitor>().cloned().unwrap_or_default();
    let theme = Theme::of_request(&parts.headers);
    let is_private = visitor.signed_in.is_some();
    let nonce = (failure.is_none() && routes::has_islands(parts.uri.path())).then(Nonce::new);
    let csp = content_security::policy(nonce.as_deref(), &tollgate.config().stripe.checkout_origins());

    let with_islands = nonce.is_some();
    let context = {
        let tollgate = tollgate.clone();
        move || {
            provide_context(tollgate.clone());
            provide_context(visitor.clone());
            provide_context(theme);
            provide_context(form.clone());
            if let Some(nonce) = &nonce {
                provide_context(nonce.clone());
            }
        }
    };
    let document = move || document(failure, with_islands);
    let request = Request::from_parts(parts, Body::empty());
    let mut response = leptos_axum::handle_response_inner(context, document, request, |view, chunks, _| {
        Box::pin(async move {
            let html = view.to_html_stream_in_order().collect::<String>().await;
            drop(chunks);
            Box::pin(once(async move { html })) as _
        })
    })
    .await;

    if let Some(status) = status {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, csp);
    let caching = if is_private { "private, no-store" } else { "private, no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

fn document(failure: Option<Failure>, with_islands: bool) -> impl IntoView {
    provide_meta_context();
    let tollgate = expect_context::<Tollgate>();
    let theme = expect_context::<Theme>();
    let scheme = match theme {
        Theme::Auto => "light dark",
        chosen => chosen.as_str(),
    };
    let style = tollgate.assets().style_path().to_owned();
    let scripts = with_islands.then(|| {
        let options =
            LeptosOptions::builder().output_name(tollgate.assets().script_name()).site_pkg_dir("pkg").build();
        view! { <HydrationScripts options islands=true/> }
    });
    // Before the body, so that its title is the later and counts.
    let name = view! { <Title formatter=|title: String| title + " · Tollgate" text="Plans"/> };
    let body = match failure {
        Some(failure) => view! { <FailureView failure/> }.into_any(),
        None => view! { <Pages/> }.into_any(),
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
                {scripts}
                <MetaTags/>
            </head>
            <body>
                {name}
                <a class="skip-link" href="#main">"Skip to the content"</a>
                <SiteHeader/>
                <main id="main" tabindex="-1">{body}</main>
                <SiteFooter/>
            </body>
        </html>
    }
}
