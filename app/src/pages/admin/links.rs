//! Addresses of the pages about one event and one account.

use billing::EventId;

use crate::query::address;

/// Returns the address of an event's page.
pub(super) fn event_address(id: &EventId) -> String {
    address("/admin/event", &[("id", id.as_str())])
}

/// Returns the address of an account's page.
pub(super) fn account_address(id: &str) -> String {
    address("/admin/account", &[("id", id)])
}
