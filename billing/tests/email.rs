//! E-mail addresses: validation and canonical forms.

use billing::email::{Email, EmailError};
use proptest::prelude::*;

fn canonical(text: &str) -> String {
    Email::parse(text).expect("an accepted address").canonical()
}

#[test]
fn case_does_not_make_another_person() {
    assert_eq!(canonical("Ada@Example.COM"), "ada@example.com");
}

#[test]
fn an_alias_does_not_make_another_person_at_any_host() {
    assert_eq!(canonical("ada+trial2@example.com"), "ada@example.com");
    assert_eq!(canonical("ada+a+b@example.com"), "ada@example.com");
    assert_eq!(canonical("ada+@example.com"), "ada@example.com");
}

#[test]
fn dots_do_not_make_another_person_at_gmail() {
    for spelling in ["a.d.a@gmail.com", "ada@gmail.com", "A.Da+x.y@GMail.com", "ad.a@googlemail.com", "ada.@gmail.com"]
    {
        assert_eq!(canonical(spelling), "ada@gmail.com", "{spelling}");
    }
}

#[test]
fn dots_make_another_person_at_every_other_host() {
    assert_ne!(canonical("a.da@example.com"), canonical("ada@example.com"));
    assert_ne!(canonical("a.da@gmail.com.example"), canonical("ada@gmail.com.example"));
    assert_ne!(canonical("a.da@notgmail.com"), canonical("ada@notgmail.com"));
}

#[test]
fn a_local_part_of_nothing_but_an_alias_or_dots_is_kept() {
    assert_eq!(canonical("+news@example.com"), "+news@example.com");
    for odd in ["...@gmail.com", ".+x@gmail.com", "+x@gmail.com"] {
        assert_eq!(canonical(odd), odd);
    }
}

#[test]
fn the_login_key_differs_only_in_case() {
    let email = Email::parse("  Ada.B+Shop@GMail.com\n").expect("an accepted address");
    assert_eq!(email.as_str(), "Ada.B+Shop@GMail.com");
    assert_eq!(email.login_key(), "ada.b+shop@gmail.com");
}

#[test]
fn usual_and_unusual_addresses_are_accepted() {
    for text in [
        "a@b.co",
        "first.last@sub.example.org",
        "o'brien@example.com",
        "user_name-1%x@example.com",
        "ada@xn--mnchen-3ya.de",
        "ada@münchen.de",
        "用户@例子.公司",
    ] {
        assert!(Email::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn an_empty_address_has_an_error_of_its_own() {
    for text in ["", "   ", "\t\n"] {
        assert_eq!(Email::parse(text), Err(EmailError::Empty), "{text:?}");
    }
}

#[test]
fn malformed_addresses_are_rejected() {
    for text in [
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@.com",
        "ada@example.",
        "ada@example..com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@exa mple.com",
        "ada@exam_ple.com",
        "ada@[127.0.0.1]",
        "a da@example.com",
        "ada@b@example.com",
        "ada@example.com, eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\r\n@example.com",
        "ada\0@example.com",
        "<ada@example.com>",
        "\"ada\"@example.com",
        "ada;eve@example.com",
    ] {
        assert_eq!(Email::parse(text), Err(EmailError::Malformed), "{text:?}");
    }
}

#[test]
fn an_address_has_at_most_254_bytes_and_its_local_part_64() {
    let host = |length: usize| format!("{}.com", "h".repeat(length - 4));
    assert!(Email::parse(&format!("{}@{}", "a".repeat(64), host(189))).is_ok());
    assert_eq!(Email::parse(&format!("{}@{}", "a".repeat(64), host(190))), Err(EmailError::TooLong));
    assert_eq!(Email::parse(&format!("{}@{}", "a".repeat(65), host(20))), Err(EmailError::Malformed));
}

/// Mostly valid addresses, and many that are nearly valid.
fn nearly_an_address() -> impl Strategy<Value = String> {
    let local = prop_oneof!["[A-Za-z.+]{1,8}", "[a.+]{1,4}", "\\PC{1,6}"];
    let host = prop_oneof![
        prop::sample::select(vec!["gmail.com", "GoogleMail.com", "example.com"]).prop_map(str::to_owned),
        "[a-zA-Z0-9.-]{1,10}",
        "\\PC{1,4}\\.\\PC{1,4}",
    ];
    (local, host).prop_map(|(local, host)| format!("{local}@{host}"))
}

proptest! {
    #[test]
    fn the_canonical_form_is_an_address_and_its_own_canonical_form(text in nearly_an_address()) {
        if let Ok(email) = Email::parse(&text) {
            prop_assert_eq!(canonical(&email.canonical()), email.canonical());
        }
    }

    #[test]
    fn the_login_key_is_an_address_and_its_own_login_key(text in nearly_an_address()) {
        if let Ok(email) = Email::parse(&text) {
            let again = Email::parse(&email.login_key()).expect("the login key is an accepted address");
            prop_assert_eq!(again.login_key(), email.login_key());
            prop_assert_eq!(again.canonical(), email.canonical());
        }
    }

    #[test]
    fn every_spelling_of_a_gmail_address_is_one_person(
        name in "[a-z0-9]{1,12}", dots in any::<u16>(), upper in any::<u16>(), alias in "(\\+[a-z.]{0,6})?",
    ) {
        let mut spelling = String::new();
        for (place, letter) in name.chars().enumerate() {
            if place > 0 && dots >> place & 1 == 1 {
                spelling.push('.');
            }
            spelling.push(if upper >> place & 1 == 1 { letter.to_ascii_uppercase() } else { letter });
        }
        prop_assert_eq!(canonical(&format!("{spelling}{alias}@gmail.com")), format!("{name}@gmail.com"));
    }

    #[test]
    fn no_text_panics_and_no_accepted_address_can_break_a_header(text in any::<String>()) {
        if let Ok(email) = Email::parse(&text) {
            prop_assert!(!email.as_str().contains(|c: char| c.is_control() || c.is_whitespace()));
        }
    }
}
