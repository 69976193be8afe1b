//! The code that adds billing: the engine, a gated page, a pricing page, a metered call, and a handler
//! that is notified of changes. `docs/EMBED.md` walks through it.

use axum::extract::{Path, RawQuery, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Router, http::StatusCode, http::request::Parts, routing::get, routing::post};
use billing::{Catalog, Feature, Meter, Policy};
use engine::axum::{Entitled, Gate, Identify, PolicyTable, Requirement, Route, SignedIn, webhook};
use engine::{Billable, DatabaseUrl, Engine, StripeSettings, Urls, checkout, ids, metering};
use sandbox::{Config, Endpoint, Sandbox};

use crate::host::Users;

const REPORTS: Feature = Feature::new("reports");
const EXPORTS: Meter = Meter::new("exports");

impl Identify for Users {
    type Error = StatusCode;

    async fn identify(&self, parts: &mut Parts) -> Result<Option<Billable>, StatusCode> {
        let user = self.of_session(&parts.headers).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        Ok(user.map(|user| Billable::new(user.id, user.email)))
    }
}

/// Starts the sandbox, which replaces Stripe in development.
pub async fn sandbox(at: std::net::SocketAddr, urls: &Urls) -> anyhow::Result<(Sandbox, StripeSettings)> {
    let endpoint = Endpoint { url: urls.webhook.to_string(), secret: "whsec_sandbox".to_owned(), api_version: None };
    let sandbox = sandbox::start(Config { addr: at, endpoints: vec![endpoint], ..Config::development() }).await?;
    let api_base = Some(sandbox.url().parse()?);
    Ok((sandbox, StripeSettings { api_base, ..StripeSettings::new("sk_test_sandbox", "whsec_sandbox") }))
}

/// Builds the engine, with its tables in a separate file or schema.
pub async fn engine(database: DatabaseUrl, stripe: StripeSettings, urls: Urls) -> anyhow::Result<Engine> {
    let catalog = Catalog::parse(include_str!("../plans.toml"), &|_| None)?;
    let builder = Engine::builder().catalog(catalog).database(database).stripe(stripe).urls(urls);
    let builder = builder.features(&[REPORTS]).meters(&[EXPORTS]).on_change(async |change| {
        println!("{}: {} is {}", change.id(), change.after.id, change.after.status.as_str());
        Ok(())
    });
    Ok(builder.build().await?)
}

/// Adds billing to the app's router.
pub fn add(host: Router, engine: &Engine, users: Users) -> anyhow::Result<Router> {
    let gated = vec![Route { path: "/reports", policy: Reports::POLICY }];
    let policies = PolicyTable::new(gated, engine.catalog())?.otherwise_public();
    let added = Router::new()
        .route("/reports", get(reports))
        .route("/exports", post(export))
        .route("/pricing", get(pricing))
        .route("/subscribe/{plan}", post(subscribe))
        .route("/billing/success", get(success))
        .with_state(engine.clone());
    Ok(Gate::new(engine, users, policies).guard(host.merge(added)).merge(webhook(engine)))
}

struct Reports;

impl Requirement for Reports {
    const POLICY: Policy = Policy::Feature(REPORTS);
}

async fn reports(permit: Entitled<Reports>) -> Html<String> {
    Html(format!("<h1>Reports of account {}</h1>", permit.account_id()))
}

async fn pricing(State(engine): State<Engine>) -> Html<String> {
    let (form, button) = ("<form method=post action=/subscribe/", "><button>Buy");
    let paid = engine.catalog().plans().iter().skip(1);
    Html(paid.map(|plan| format!("{form}{}{button} {}</button></form>", plan.tier, plan.name)).collect())
}

async fn subscribe(State(engine): State<Engine>, permit: Entitled<SignedIn>, Path(plan): Path<String>) -> Response {
    match checkout::start_subscription(&engine, permit.account_id(), &plan, "month").await {
        Ok(url) => Redirect::to(&url).into_response(),
        Err(error) => (StatusCode::CONFLICT, error.to_string()).into_response(),
    }
}

async fn success(State(engine): State<Engine>, permit: Entitled<SignedIn>, RawQuery(query): RawQuery) -> Redirect {
    // Fetches from Stripe, so that access starts even if the webhook has yet to arrive. If this fails, the
    // webhook grants it.
    let session = query.unwrap_or_default().replace("session_id=", "");
    let _ = checkout::outcome(&engine, permit.account_id(), &session).await;
    Redirect::to("/reports")
}

async fn export(State(engine): State<Engine>, permit: Entitled<SignedIn>) -> Response {
    match metering::record(&engine, permit.account_id(), metering::UsageEvent::new(EXPORTS, 1, &ids::new_id())).await {
        Ok(metering::Recorded::Denied(_)) => (StatusCode::PAYMENT_REQUIRED, "Upgrade for more exports").into_response(),
        Ok(_) => "Exported".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}
