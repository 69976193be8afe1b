//! The client that sent a password.

use std::net::IpAddr;

use super::device::Device;

/// The client that sent a password, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The client's address, or its network.
    pub address: Option<IpAddr>,
    /// The browser.
    pub device: Option<Device>,
}
