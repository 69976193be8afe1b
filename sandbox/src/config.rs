//! Configuration of a sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The configuration of a sandbox.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on. Port 0 picks a free port; see [`Sandbox::url`](crate::Sandbox::url).
    pub addr: SocketAddr,
    /// The journal file. `None` keeps everything in memory. With a file, every change that was
    /// acknowledged survives a restart, even after `kill -9`.
    pub state_path: Option<PathBuf>,
    /// The accepted API keys; any other key gets Stripe's 401.
    pub secret_keys: Vec<String>,
    /// Webhook endpoints to register at startup. When the state already has an endpoint with the
    /// same `url`, its secret and API version are replaced.
    pub endpoints: Vec<Endpoint>,
}

/// A webhook endpoint that receives every type of event.
#[derive(Clone)]
pub struct Endpoint {
    /// The URL that events are posted to.
    pub url: String,
    /// The signing secret, `whsec_…`.
    pub secret: String,
    /// The API version that events are rendered in; `None` means the default version.
    pub api_version: Option<String>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("secret", &"[hidden]")
            .field("api_version", &self.api_version)
            .finish()
    }
}

impl Config {
    /// Returns the development defaults: `127.0.0.1:12111`, the key `sk_test_sandbox`, state in memory,
    /// no endpoints.
    pub fn development() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 12_111)),
            state_path: None,
            secret_keys: vec!["sk_test_sandbox".to_owned()],
            endpoints: Vec::new(),
        }
    }
}
