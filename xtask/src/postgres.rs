//! A temporary PostgreSQL for tests: a new cluster on a free port, deleted afterwards.
//!
//! It listens on the loopback address only and without passwords.

use std::fs;
use std::iter;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::process::{self, interrupted, step};

/// More than the default, because every test has its own database and pool.
const MAX_CONNECTIONS: &str = "max_connections=300";

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It does, as in production.
    Durable,
    /// It does not. These tests do not crash the server itself, and a slow disk would make them slow.
    Fast,
}

/// A running cluster. Dropping it stops the server and deletes the data.
pub struct Cluster {
    folder: TempDir,
    account: Option<Account>,
    port: u16,
    durability: Durability,
}

/// The user to run the server as if we are root, because PostgreSQL refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// Creates a cluster and waits until it accepts connections.
    pub fn start(durability: Durability) -> anyhow::Result<Self> {
        step("Starting a temporary PostgreSQL");
        let account = Account::when_root()?;
        let folder = tempfile::Builder::new()
            .prefix("tollgate-postgres-")
            .tempdir()
            .context("cannot create a temporary folder")?;
        if let Some(Account { uid, gid }) = account {
            chown(folder.path(), Some(uid), Some(gid)).context("cannot change the owner of the folder")?;
        }
        let mut cluster = Self { folder, account, port: 0, durability };
        process::run(cluster.program("initdb").args([
            "--pgdata=data",
            "--username=tollgate",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]))
        .with_context(|| cluster.log("initdb.log"))?;

        // Another process may take a free port before the server does.
        for _ in 0..5 {
            cluster.port = free_port()?;
            let started = process::run(cluster.control().arg("start"));
            if started.is_ok() || interrupted() {
                return started.map(|()| cluster);
            }
        }
        bail!("PostgreSQL did not start:\n{}", cluster.log("server.log"));
    }

    /// Returns the URL of the default database, for a superuser.
    pub fn url(&self) -> String {
        format!("postgres://tollgate@127.0.0.1:{}/postgres", self.port)
    }

    /// Creates a database and returns its URL.
    pub fn database(&self, name: &str) -> anyhow::Result<String> {
        let port = self.port.to_string();
        process::run(self.program("createdb").args([
            "--host=127.0.0.1",
            "--username=tollgate",
            "--port",
            &port,
            name,
        ]))?;
        Ok(format!("postgres://tollgate@127.0.0.1:{port}/{name}"))
    }

    /// Returns a shell command that crashes the server if `stop` is appended, and starts it if `start` is appended.
    pub fn control_line(&self) -> String {
        let control = self.control();
        let words = iter::once(control.get_program()).chain(control.get_args());
        let words = words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
        let folder = quoted(&self.folder.path().to_string_lossy());
        let as_user = self.account.map_or_else(String::new, |Account { uid, gid }| {
            format!("setpriv --reuid={uid} --regid={gid} --clear-groups ")
        });
        format!("cd {folder} && {as_user}{words}")
    }

    /// Returns the command that starts and stops the server, without the action. To stop it is to crash it.
    fn control(&self) -> Command {
        let mut command = self.program("pg_ctl");
        let fsync = if self.durability == Durability::Durable { "on" } else { "off" };
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c {MAX_CONNECTIONS} -c fsync={fsync}",
            self.port
        );
        command.args(["--wait", "--timeout=60", "--silent", "--mode=immediate", "--pgdata=data", "--log=server.log"]);
        command.args(["--options", &options]);
        command
    }

    /// Returns a command of PostgreSQL that runs in the cluster's folder and as its user.
    fn program(&self, name: &str) -> Command {
        let path = std::env::var_os("POSTGRES_BIN").map_or_else(|| name.into(), |folder| Path::new(&folder).join(name));
        let mut command = Command::new(path);
        // Not a pipe: the server would inherit it and keep it open.
        let log = fs::File::create(self.folder.path().join(format!("{name}.log")));
        command.stdin(Stdio::null()).stdout(log.map_or_else(|_| Stdio::null(), Stdio::from)).stderr(Stdio::inherit());
        command.current_dir(self.folder.path()).env_remove("PGDATA").env_remove("PGPORT").env("LC_ALL", "C");
        if let Some(Account { uid, gid }) = self.account {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.port != 0 {
            // The data is deleted, so there is nothing to flush.
            let _ = self.control().arg("stop").status();
        }
    }
}

impl Account {
    fn when_root() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id("-u", name), id("-g", name)) {
                return Ok(Some(Self { uid, gid }));
            }
        }
        bail!("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as")
    }
}

fn id(option: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([option, name]).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Returns a port that is currently free.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_cluster_listens_on_its_port_restarts_and_is_deleted_when_dropped() {
        let cluster = Cluster::start(Durability::Fast).expect("PostgreSQL is installed by `make test`");
        let (port, folder) = (cluster.port, cluster.folder.path().to_owned());
        assert!(cluster.url().ends_with(&format!("@127.0.0.1:{port}/postgres")));
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        for (action, accepts) in [("stop", false), ("start", true)] {
            process::run(Command::new("sh").args(["-c", &format!("{} {action}", cluster.control_line())])).unwrap();
            assert_eq!(TcpStream::connect(("127.0.0.1", port)).is_ok(), accepts, "{action}");
        }
        drop(cluster);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the server is still running");
        assert!(!folder.exists(), "the data was not deleted");
    }
}
