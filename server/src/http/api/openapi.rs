//! The OpenAPI document without its paths, which the handlers add.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

/// Returns everything but the paths.
pub(super) fn info() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tollgate API")
        .version("1")
        .description(Some(
            "Calls count towards the plan's limits, and every response names the remaining quota \
             (`RateLimit`, `RateLimit-Policy`). A call with an `Idempotency-Key` counts once, \
             however often it is sent; the same key with a different request is rejected. \
             Errors are `application/problem+json`.",
        ))
        .build();
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, `tg_…`, created on `/dashboard/api-keys`."))
        .build();
    let session = ApiKey::Cookie(ApiKeyValue::with_description("tollgate", "The session of a signed-in user."));
    let components = ComponentsBuilder::new()
        .security_scheme("key", SecurityScheme::Http(key))
        .security_scheme("session", SecurityScheme::ApiKey(session))
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}
