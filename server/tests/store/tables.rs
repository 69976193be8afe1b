//! The tables of a test's database: the engine's and the app's.

pub use server::store::migrate;
