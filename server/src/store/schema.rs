//! Every statement of this crate, for the test that prepares them all on both databases.

use super::{api_keys, custom_domains, known_devices, login_throttle, sessions, support_messages, users};

/// Returns the statements, by name.
pub fn all_statements() -> Vec<(&'static str, &'static str)> {
    [
        api_keys::STATEMENTS,
        custom_domains::STATEMENTS,
        known_devices::STATEMENTS,
        login_throttle::STATEMENTS,
        sessions::STATEMENTS,
        support_messages::STATEMENTS,
        users::STATEMENTS,
    ]
    .concat()
}
