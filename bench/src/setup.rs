//! The environment of a measurement: a database with customers, and a sandbox in place of Stripe.

use std::path::Path;

use anyhow::Context;
use sandbox::Sandbox;
use tempfile::TempDir;

use crate::database::new_database;
use crate::program::Program;
use crate::seed::{Customer, seed};
use crate::subscriber::Subscriber;

/// A seeded database and a running sandbox.
pub struct Setup {
    pub folder: TempDir,
    pub sandbox: Sandbox,
    pub database: String,
    /// The first customer, who also has a subscription in the sandbox.
    pub subscriber: Subscriber,
    pub customers: Vec<Customer>,
}

impl Setup {
    /// Creates a database and seeds it.
    pub async fn new(postgres: Option<&str>, name: &str) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let config = sandbox::Config { addr: ([127, 0, 0, 1], 0).into(), ..sandbox::Config::development() };
        let sandbox = sandbox::start(config).await.context("cannot start the sandbox")?;
        let database = new_database(postgres, folder.path(), name).await?;
        let subscriber = Subscriber::create(&sandbox.url()).await?;
        let customers = seed(&database, &sandbox.url(), &subscriber).await?;
        Ok(Self { folder, sandbox, database, subscriber, customers })
    }

    /// Starts the binary on the database.
    pub async fn start(&self, binary: &Path) -> anyhow::Result<Program> {
        Program::tollgate(binary, self.folder.path(), &self.database, &self.sandbox.url()).await
    }
}
