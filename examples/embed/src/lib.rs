//! An axum app with its own users that adds billing: [`host`] is the app before, [`billing`] the added
//! code.

pub mod billing;
pub mod host;
