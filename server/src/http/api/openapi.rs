//! The OpenAPI document without its paths, which the handlers add.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

use crate::auth::session_store::COOKIE;

/// Returns everything but the paths. `is_https`: whether the app is served over TLS.
pub(super) fn info(is_https: bool) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tollgate API")
        .version("1")
        .description(Some(
            "Calls count towards the plan's limits, and every response reports the remaining quota \
             (`RateLimit`, `RateLimit-Policy`). A call with an `Idempotency-Key` counts once, \
             however often it is sent; the same key with a different request is rejected. \
             Errors are `application/problem+json`.",
        ))
        .build();
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, `tg_…`, created on `/dashboard/api-keys`."))
        .build();
    let description = "The session of a signed-in user.".to_owned();
    let session = ApiKey::Cookie(ApiKeyValue::with_description(COOKIE.name(is_https), description));
    let components = ComponentsBuilder::new()
        .security_scheme("key", SecurityScheme::Http(key))
        .security_scheme("session", SecurityScheme::ApiKey(session))
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}
