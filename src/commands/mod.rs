//! All commands except `serve`, a file for each, and their shared code.

pub mod catalog;
pub mod changes;
pub mod confirm;
pub mod customer;
pub mod database;
pub mod demo;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod operator;
pub mod reconcile;
pub mod webhook;
