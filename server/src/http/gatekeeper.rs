//! The guard at work: asks the policy table about every request before its route runs.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use tower::ServiceExt;

use crate::auth::{Session, Visitor};
use crate::guard::{self, PolicyTable, Standing, Verdict};
use crate::tollgate::Tollgate;

/// What the guard needs to decide.
#[derive(Clone, Debug)]
pub(super) struct Gatekeeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tollgate: Tollgate,
    policies: PolicyTable,
    refusals: Router,
}

impl Gatekeeper {
    pub(super) fn new(tollgate: Tollgate, policies: PolicyTable, refusals: Router) -> Self {
        Self(Arc::new(Inner { tollgate, policies, refusals }))
    }
}

pub(super) async fn admit(
    State(Gatekeeper(keeper)): State<Gatekeeper>,
    session: Session,
    mut request: Request,
    next: Next,
) -> Response {
    let signed_in = session.user.map(|identity| identity.signed_in);
    request.extensions_mut().insert(Visitor { signed_in: signed_in.clone() });

    let path = request.uri().path();
    let canonical = guard::canonical(path);
    let Some((canonical, route)) =
        canonical.and_then(|path| keeper.policies.route(&path).copied().map(|route| (path, route)))
    else {
        return refusal(&keeper.refusals, request, StatusCode::NOT_FOUND).await;
    };

    let next_address = match request.uri().query() {
        Some(query) if request.method() == Method::GET => format!("{canonical}?{query}"),
        _ => canonical.clone(),
    };
    let standing = match &signed_in {
        None => None,
        Some(who) => match keeper.tollgate.entitlement(&who.account_id).await {
            Ok(entitlement) => Some(Standing { entitlement, is_operator: who.is_operator }),
            Err(error) => {
                tracing::error!(%error, "the guard cannot tell who may come in");
                return refusal(&keeper.refusals, request, StatusCode::SERVICE_UNAVAILABLE).await;
            }
        },
    };
    let response = match route.verdict(standing.as_ref(), keeper.tollgate.catalog()) {
        Verdict::SignIn => Redirect::to(&guard::login_address(&next_address)).into_response(),
        Verdict::Upgrade => Redirect::to(&guard::upgrade_address(route.feature(), &next_address)).into_response(),
        Verdict::Hide => refusal(&keeper.refusals, request, StatusCode::NOT_FOUND).await,
        Verdict::Pass if canonical == path => next.run(request).await,
        // Another spelling of a page is led to the page itself, where the guard asks again. What is
        // no plain address would be encoded by the browser and come back for ever.
        Verdict::Pass
            if matches!(*request.method(), Method::GET | Method::HEAD)
                && canonical.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Redirect::permanent(&next_address).into_response()
        }
        Verdict::Pass => refusal(&keeper.refusals, request, StatusCode::NOT_FOUND).await,
    };
    private(response)
}

/// The page that says why not.
pub(super) async fn refusal(pages: &Router, mut request: Request, status: StatusCode) -> Response {
    request.extensions_mut().insert(status);
    let Ok(response) = pages.clone().oneshot(request).await;
    private(response)
}

/// What depends on who asks must not be kept by anything between here and their browser.
fn private(mut response: Response) -> Response {
    let value = header::HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(value);
    response
}
