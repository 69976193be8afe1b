//! An axum app with users of its own, which adds billing: [`host`] is the app as it was, [`billing`] what
//! was added.

pub mod billing;
pub mod host;
