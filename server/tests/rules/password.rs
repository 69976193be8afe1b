//! What people are told about passwords and addresses is what is checked.

use billing::email::{Email, EmailError};
use server::auth::{PASSWORD_LEAST, PASSWORD_MOST, PasswordFault};

#[test]
fn the_sentences_about_passwords_name_the_limits() {
    assert!(PasswordFault::TooShort.to_string().contains(&format!(" {PASSWORD_LEAST} ")));
    assert!(PasswordFault::TooLong.to_string().contains(&format!(" {PASSWORD_MOST} ")));
}

/// NIST SP 800-63B: at least eight characters, and room for a passphrase of sixty-four.
const _: () = assert!(PASSWORD_LEAST >= 8 && PASSWORD_MOST >= 64);

#[test]
fn an_address_longer_than_mail_systems_take_is_refused() {
    let host = format!("{}.{}.{}.com", "a".repeat(60), "b".repeat(60), "c".repeat(60));
    let address = |local: usize| format!("{}@{host}", "x".repeat(local));
    assert!(Email::parse(&address(64)).is_ok());
    assert_eq!(Email::parse(&address(65)), Err(EmailError::Malformed));
    let long_host = format!("x@{}.com", ["d".repeat(60).as_str(); 5].join("."));
    assert_eq!(Email::parse(&long_host), Err(EmailError::TooLong));
}
