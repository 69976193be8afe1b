//! The API for programs, `/api/v1`.
//!
//! A caller sends a session cookie or `Authorization: Bearer tg_…`. Each call is counted before it is
//! handled; a call that is repeated with its `Idempotency-Key` counts once. Every response reports the
//! remaining limits, including timeouts and panics ([`limits`]); errors are `application/problem+json`
//! ([`problem`]). The gate does not guard the API: only its description is served before the caller is
//! authenticated. The description at `/api/v1/openapi.json` is generated from the handlers and covers
//! every route, and the tests check the API against it (`tests/http/api.rs`, `make test`).

mod caller;
mod calls;
mod entitlements;
mod generate;
mod limits;
mod openapi;
mod problem;
mod usage;

pub use calls::document;
pub(super) use calls::routes;
