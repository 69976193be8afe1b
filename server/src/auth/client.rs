//! The client that sent a password.

use std::net::IpAddr;

use super::device::Device;

/// What is known of the client that sent a password.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The client's address, or its network.
    pub address: Option<IpAddr>,
    /// The browser.
    pub device: Option<Device>,
}
