//! The engine in an axum app: [`webhook()`] receives events, a [`Gate`] guards routes by policy, and
//! [`Entitled`] is a handler's proof that its caller has the plan.

mod addresses;
mod canonical;
mod entitled;
mod gate;
mod identify;
mod policy;
mod request;
mod webhook;

pub use addresses::{login_url, upgrade_url};
pub use canonical::canonical;
pub use entitled::{Entitled, EntitledRejection, Requirement, SignedIn};
pub use gate::{FormPage, Gate, admit};
pub use identify::{Identify, Visitor};
pub use policy::{PolicyTable, PolicyTableError, Route, Verdict};
pub use request::host;
pub use webhook::webhook;
