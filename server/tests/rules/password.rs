//! Limits on passwords and e-mail addresses, and the messages about them.

use billing::email::{Email, EmailError};
use server::auth::{PASSWORD_MAX, PASSWORD_MIN, PasswordError};

#[test]
fn the_messages_about_passwords_contain_the_limits() {
    assert!(PasswordError::TooShort { min: PASSWORD_MIN }.to_string().contains(&format!(" {PASSWORD_MIN} ")));
    assert!(PasswordError::TooLong { max: PASSWORD_MAX }.to_string().contains(&format!(" {PASSWORD_MAX} ")));
}

/// NIST SP 800-63B: at least eight characters, and room for a passphrase of sixty-four.
const _: () = assert!(PASSWORD_MIN >= 8 && PASSWORD_MAX >= 64);

#[test]
fn an_address_longer_than_mail_systems_accept_is_rejected() {
    let host = format!("{}.{}.{}.com", "a".repeat(60), "b".repeat(60), "c".repeat(60));
    let address = |local: usize| format!("{}@{host}", "x".repeat(local));
    assert!(Email::parse(&address(64)).is_ok());
    assert_eq!(Email::parse(&address(65)), Err(EmailError::Malformed));
    let long_host = format!("x@{}.com", ["d".repeat(60).as_str(); 5].join("."));
    assert_eq!(Email::parse(&long_host), Err(EmailError::TooLong));
}
