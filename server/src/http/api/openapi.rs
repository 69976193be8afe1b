//! `GET /api/v1/openapi.json`: the API as its own code describes it.

use axum::Json;
use axum::extract::State;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Server};

use crate::tollgate::Tollgate;

/// All but the paths, which the handlers add.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tollgate API")
        .version("1")
        .description(Some(
            "Calls are counted against the plan's limits, and every answer says what is left \
             (`RateLimit`, `RateLimit-Policy`). A call with an `Idempotency-Key` counts once, \
             however often it is sent; the same key with another request is refused. \
             What is refused is refused as `application/problem+json`.",
        ))
        .build();
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, `tg_…`, made on `/dashboard/api-keys`."))
        .build();
    let session = ApiKey::Cookie(ApiKeyValue::with_description("tollgate", "The session of somebody signed in."));
    let components = ComponentsBuilder::new()
        .security_scheme("key", SecurityScheme::Http(key))
        .security_scheme("session", SecurityScheme::ApiKey(session))
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// The whole description, for the app at its own address.
pub fn document(tollgate: &Tollgate) -> OpenApi {
    let mut document = super::described(tollgate).into_openapi();
    document.servers = Some(vec![Server::new(tollgate.config().app_url.as_str().trim_end_matches('/'))]);
    document
}

/// This description
///
/// Open to anybody, and not counted.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
        (status = 429, description = "Too many calls at once", body = super::problem::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn openapi(State(tollgate): State<Tollgate>) -> Json<OpenApi> {
    Json(document(&tollgate))
}
