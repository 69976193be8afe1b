//! Checks every request against the policy table before its handler runs.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use tower::ServiceExt;

use super::addresses::{login_url, upgrade_url};
use super::canonical::canonical;
use super::identify::{Identify, Visitor};
use super::policy::{PolicyTable, Verdict};
use super::request::{address, is_read, return_address, uri};
use crate::accounts::AccountError;
use crate::engine::Engine;

/// Guards routes with a policy table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate<I>(Arc<Inner<I>>);

/// Returns the page with the form that a request posts, with what was chosen in it; `None` leaves it to the
/// `Referer`.
pub type FormPage = fn(&Parts, &[u8]) -> Option<String>;

/// The longest form that is read for a [`FormPage`], in bytes.
const MAX_FORM: usize = 64 * 1024;

#[derive(Clone, Debug)]
struct Inner<I> {
    engine: Engine,
    identify: I,
    policies: PolicyTable,
    rejections: Router,
    form_page: FormPage,
}

impl<I: Identify> Gate<I> {
    /// Creates a gate that rejects requests with an empty body.
    pub fn new(engine: &Engine, identify: I, policies: PolicyTable) -> Self {
        let rejections = Router::new().fallback(|request: Request| async move {
            request.extensions().get::<StatusCode>().copied().unwrap_or(StatusCode::NOT_FOUND)
        });
        Self(Arc::new(Inner { engine: engine.clone(), identify, policies, rejections, form_page: |_, _| None }))
    }

    /// Renders rejected requests with this router. The `StatusCode` is in their extensions.
    #[must_use]
    pub fn reject_with(self, rejections: Router) -> Self {
        Self(Arc::new(Inner { rejections, ..(*self.0).clone() }))
    }

    /// Names the pages with forms, so that a visitor whose session ends under an open form returns to it after
    /// signing in, with what was chosen. The engine is in the request's extensions.
    #[must_use]
    pub fn with_form_pages(self, form_page: FormPage) -> Self {
        Self(Arc::new(Inner { form_page, ..(*self.0).clone() }))
    }

    /// Guards every route of a router.
    pub fn guard<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        router.layer(middleware::from_fn_with_state(self, admit))
    }
}

/// The middleware of a gate, for a host that builds its own stack of layers.
pub async fn admit<I: Identify>(State(Gate(gate)): State<Gate<I>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let visitor = match visitor(&gate, &mut parts).await {
        Ok(visitor) => visitor,
        Err(response) => return private(*response),
    };
    let Some(visitor) = visitor else {
        return reject(&gate.rejections, parts, body, StatusCode::SERVICE_UNAVAILABLE).await;
    };
    parts.extensions.insert(visitor.clone());
    parts.extensions.insert(gate.engine.clone());

    let path = uri(&parts).path();
    let Some(canonical) = canonical(path) else {
        return reject(&gate.rejections, parts, body, StatusCode::NOT_FOUND).await;
    };
    let Some(route) = gate.policies.route(&canonical) else {
        if gate.policies.is_open(path) {
            return next.run(Request::from_parts(parts, body)).await;
        }
        return reject(&gate.rejections, parts, body, StatusCode::NOT_FOUND).await;
    };
    let (engine, signed_in) = (&gate.engine, visitor.0.as_ref());
    let signed_in = signed_in.map(|(billable, entitlement)| (&**entitlement, billable.is_operator));
    let response = match route.verdict(signed_in, engine.catalog()) {
        Verdict::SignIn => {
            let back = gate.return_address(&parts, body, &canonical).await;
            Redirect::to(&login_url(engine.urls(), back.as_deref())).into_response()
        }
        Verdict::Upgrade => {
            let back = gate.return_address(&parts, body, &canonical).await;
            Redirect::to(&upgrade_url(engine.urls(), route.subject(), back.as_deref())).into_response()
        }
        Verdict::Hide => reject(&gate.rejections, parts, body, StatusCode::NOT_FOUND).await,
        Verdict::Admit if canonical == path => next.run(Request::from_parts(parts, body)).await,
        // Another spelling of a page is redirected to the canonical one, where the gate checks again. A
        // browser would encode anything but plain ASCII, and be redirected forever.
        Verdict::Admit if is_read(&parts) && canonical.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Redirect::permanent(&address(&parts, &canonical)).into_response()
        }
        Verdict::Admit => reject(&gate.rejections, parts, body, StatusCode::NOT_FOUND).await,
    };
    private(response)
}

impl<I> Inner<I> {
    async fn return_address(&self, parts: &Parts, body: Body, path: &str) -> Option<String> {
        if !is_read(parts) {
            let form = to_bytes(body, MAX_FORM).await.unwrap_or_default();
            if let Some(page) = (self.form_page)(parts, &form) {
                return Some(page);
            }
        }
        return_address(parts, path, self.engine.urls())
    }
}

/// Identifies the visitor; `None` if the database failed.
async fn visitor<I: Identify>(gate: &Inner<I>, parts: &mut Parts) -> Result<Option<Visitor>, Box<Response>> {
    let identified = gate.identify.identify(parts).await.map_err(|error| Box::new(error.into_response()))?;
    let Some(billable) = identified else { return Ok(Some(Visitor::default())) };
    let found = async {
        gate.engine.ensure_account(&billable).await?;
        Ok::<_, AccountError>(gate.engine.entitlement(&billable.account).await?)
    };
    match found.await {
        Ok(entitlement) => Ok(Some(Visitor(Some((billable, Arc::new(entitlement)))))),
        Err(error) => {
            tracing::error!(%error, "cannot read the entitlement");
            Ok(None)
        }
    }
}

async fn reject(rejections: &Router, mut parts: Parts, body: Body, status: StatusCode) -> Response {
    parts.extensions.insert(status);
    let Ok(response) = rejections.clone().oneshot(Request::from_parts(parts, body)).await;
    private(response)
}

/// Marks a response that depends on the visitor, so that it is not cached.
fn private(mut response: Response) -> Response {
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(value);
    response
}
