//! What a sandbox is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// How to start a sandbox.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one; see [`Sandbox::url`](crate::Sandbox::url).
    pub addr: SocketAddr,
    /// The journal file. `None` keeps everything in memory; with `Some`, all that was answered
    /// for survives a restart, even one by `kill -9`.
    pub state_path: Option<PathBuf>,
    /// The API keys that are accepted; any other gets Stripe's 401.
    pub secret_keys: Vec<String>,
    /// Webhook endpoints that are there from the start. An endpoint with a known `url` replaces
    /// the secret and version of the one in the state.
    pub endpoints: Vec<Endpoint>,
}

/// A webhook endpoint that receives every type of event.
#[derive(Clone)]
pub struct Endpoint {
    /// Where events are posted to.
    pub url: String,
    /// The signing secret, `whsec_…`.
    pub secret: String,
    /// The API version that events are rendered in; `None` is the default version.
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
    /// `127.0.0.1:12111` with the key `sk_test_sandbox`, in memory, without endpoints.
    pub fn development() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 12_111)),
            state_path: None,
            secret_keys: vec!["sk_test_sandbox".to_owned()],
            endpoints: Vec::new(),
        }
    }
}
