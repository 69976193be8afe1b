//! What operators see and repair. Every function takes an [`OperatorPermit`]: nothing of another
//! account can be read without one.

pub mod accounts;
pub mod changes;
mod describe;
pub mod doctor;
pub mod drift;
pub mod events;
pub mod overview;
mod page;
pub mod roles;

pub use describe::{describe_flag, describe_reason};
pub use roles::{NotAnOperator, OperatorPermit, require_operator};
