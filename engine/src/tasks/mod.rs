//! Background tasks: a file per task, and [`supervisor`], which keeps them running.

pub mod apply;
pub mod cache_listener;
pub mod changes;
pub mod outbox;
pub mod reconciler;
pub mod supervisor;
pub mod sweeper;
pub mod worker;
