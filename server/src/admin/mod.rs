//! The operators' view of billing, and their repairs. Every function takes an [`OperatorPermit`]: other
//! accounts cannot be read without one.

pub mod accounts;
pub mod changes;
pub mod demo_accounts;
mod describe;
pub mod doctor;
pub mod drift;
pub mod events;
pub mod overview;
mod page;
pub mod roles;

pub use describe::{describe_flag, describe_reason};
pub use roles::{NotAnOperator, OperatorPermit, require_operator};
