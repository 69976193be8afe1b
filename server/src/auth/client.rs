//! Where a password comes from.

use std::net::IpAddr;

use super::device::Device;

/// Where a password comes from, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The client's address, or its network.
    pub address: Option<IpAddr>,
    /// The browser.
    pub device: Option<Device>,
}
