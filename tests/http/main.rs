//! The whole stack over HTTP: pages, actions, guard, webhook and API in front of a
//! real database and the sandbox. Every test runs on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a failing unwrap shows its line")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod alongside;
mod api;
mod auth;
mod broken_disk;
mod catalog;
mod checkout;
mod closing;
mod collection;
mod commands;
mod credit_notes;
mod customer;
mod delinquency;
mod disputes;
mod doctor;
mod generate;
mod guard;
mod inbox;
mod ledger;
mod outage;
mod outbox;
mod pages;
mod portal;
mod purchase;
mod reconcile;
mod restore;
mod restricted_key;
mod server_functions;
mod start;
mod statements;
mod storage;
mod stripe_account;
mod stripe_rate;
mod trial;
mod webhook;
