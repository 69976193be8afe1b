//! Only payloads that Stripe signed within the last five minutes are accepted.

use billing::Timestamp;
use engine::inbox::signature::{SignatureError, TOLERANCE, verify};
use hmac::{Hmac, Mac};
use proptest::prelude::*;
use secrecy::SecretString;
use sha2::Sha256;

const NOW: Timestamp = Timestamp(1_777_636_800);
const SECRET: &str = "whsec_current";
const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;

/// Stripe's scheme, implemented a second time from its documentation.
fn v1(secret: &str, signed_at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{signed_at}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header(signed_at: i64) -> String {
    format!("t={signed_at},v1={}", v1(SECRET, signed_at, BODY))
}

fn check(header: &str, body: &[u8]) -> Result<(), SignatureError> {
    verify(Some(header), body, &[SecretString::from(SECRET)], NOW)
}

#[test]
fn a_signed_body_is_accepted() {
    assert_eq!(check(&header(NOW.0), BODY), Ok(()));
}

/// Computed with OpenSSL: `printf '1777636800.{"id":"evt_1","object":"event"}' | openssl dgst -sha256 -hmac whsec_current`.
#[test]
fn a_signature_computed_by_openssl_is_accepted() {
    let header = "t=1777636800,v1=1de84d1ba0c6dc6fdcd689038e6d20bad067a9add015936e194870cb5cedc243";
    assert_eq!(check(header, BODY), Ok(()));
}

#[test]
fn one_valid_signature_of_several_is_enough_in_any_position() {
    let (right, wrong) = (v1(SECRET, NOW.0, BODY), v1("whsec_other", NOW.0, BODY));
    assert_eq!(check(&format!("t={},v1={wrong},v1={right}", NOW.0), BODY), Ok(()));
    assert_eq!(check(&format!("t={},v1={right},v1={wrong}", NOW.0), BODY), Ok(()));
    assert_eq!(check(&format!("v1={right},t={},v0={wrong}", NOW.0), BODY), Ok(()));
    assert_eq!(
        check(&format!("t={}, v1=zz, v1={right}", NOW.0), BODY),
        Ok(()),
        "a signature that is not hex is ignored"
    );
}

#[test]
fn every_configured_secret_and_no_other_is_accepted_during_a_rotation() {
    let secrets = [SecretString::from("whsec_new"), SecretString::from(SECRET)];
    for (secret, is_accepted) in [(SECRET, true), ("whsec_new", true), ("whsec_other", false)] {
        let header = format!("t={},v1={}", NOW.0, v1(secret, NOW.0, BODY));
        assert_eq!(verify(Some(&header), BODY, &secrets, NOW).is_ok(), is_accepted, "{secret}");
    }
}

#[test]
fn nothing_is_accepted_without_a_secret() {
    assert_eq!(verify(Some(&header(NOW.0)), BODY, &[], NOW), Err(SignatureError::Mismatch));
}

#[test]
fn a_signature_with_another_secret_is_rejected() {
    let header = format!("t={},v1={}", NOW.0, v1("whsec_other", NOW.0, BODY));
    assert_eq!(check(&header, BODY), Err(SignatureError::Mismatch));
}

/// `v0` is for Stripe's own tests; it proves nothing.
#[test]
fn a_signature_of_another_scheme_is_rejected() {
    let header = format!("t={},v0={}", NOW.0, v1(SECRET, NOW.0, BODY));
    assert_eq!(check(&header, BODY), Err(SignatureError::Missing));
}

#[test]
fn a_signature_may_be_at_most_five_minutes_old() {
    for (age, expected) in [
        (0, Ok(())),
        (300, Ok(())),
        (301, Err(SignatureError::Stale)),
        (-300, Ok(())),
        (-301, Err(SignatureError::Stale)),
        (86_400, Err(SignatureError::Stale)),
    ] {
        assert_eq!(check(&header(NOW.0 - age), BODY), expected, "{age} s old");
    }
    assert_eq!(TOLERANCE, 300);
}

#[test]
fn the_earliest_and_latest_times_are_rejected_without_a_panic() {
    for signed_at in [i64::MIN, i64::MAX] {
        assert_eq!(check(&header(signed_at), BODY), Err(SignatureError::Stale));
    }
}

#[test]
fn an_incomplete_header_is_rejected() {
    let right = v1(SECRET, NOW.0, BODY);
    assert_eq!(verify(None, BODY, &[SecretString::from(SECRET)], NOW), Err(SignatureError::Missing));
    for header in [
        String::new(),
        ",,,".to_owned(),
        right.clone(),
        format!("v1={right}"),
        format!("t={}", NOW.0),
        format!("t={},v1=", NOW.0),
        format!("t={},v1=not-hex", NOW.0),
        format!("t={},v1={}", NOW.0, &right[1..]),
        format!("t=,v1={right}"),
        format!("t=yesterday,v1={right}"),
        format!("t=99999999999999999999,v1={right}"),
    ] {
        assert!(check(&header, BODY).is_err(), "accepted: {header:?}");
    }
}

#[test]
fn part_of_a_signature_is_rejected() {
    let right = v1(SECRET, NOW.0, BODY);
    for length in [2, 32, 62] {
        assert_eq!(check(&format!("t={},v1={}", NOW.0, &right[..length]), BODY), Err(SignatureError::Mismatch));
    }
    assert_eq!(check(&format!("t={},v1={right}00", NOW.0), BODY), Err(SignatureError::Mismatch));
}

#[test]
fn errors_do_not_show_the_secret() {
    for error in [SignatureError::Missing, SignatureError::Stale, SignatureError::Mismatch] {
        assert!(!format!("{error} {error:?}").contains("whsec"));
    }
}

proptest! {
    #[test]
    fn any_signed_body_is_accepted(body in proptest::collection::vec(any::<u8>(), 0..400), age in -300_i64..=300) {
        let signed_at = NOW.0 - age;
        let header = format!("t={signed_at},v1={}", v1(SECRET, signed_at, &body));
        prop_assert_eq!(check(&header, &body), Ok(()));
    }

    #[test]
    fn a_body_changed_by_one_byte_is_rejected(
        mut body in proptest::collection::vec(any::<u8>(), 1..400),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let header = format!("t={},v1={}", NOW.0, v1(SECRET, NOW.0, &body));
        let at = at.index(body.len());
        body[at] ^= change;
        prop_assert_eq!(check(&header, &body), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_body_that_was_cut_or_extended_is_rejected(
        body in proptest::collection::vec(any::<u8>(), 1..100),
        more in proptest::collection::vec(any::<u8>(), 1..10),
        cut in any::<prop::sample::Index>(),
    ) {
        let header = format!("t={},v1={}", NOW.0, v1(SECRET, NOW.0, &body));
        prop_assert!(check(&header, &body[..cut.index(body.len())]).is_err());
        prop_assert!(check(&header, &[body.clone(), more.clone()].concat()).is_err());
        prop_assert!(check(&header, &[more, body].concat()).is_err());
    }

    #[test]
    fn a_changed_time_is_rejected(change in prop_oneof![-300_i64..0, 1_i64..=300]) {
        let header = format!("t={},v1={}", NOW.0 + change, v1(SECRET, NOW.0, BODY));
        prop_assert_eq!(check(&header, BODY), Err(SignatureError::Mismatch));
    }

    /// The dot between time and body must not be movable: `12` + `.` + `3.…` is not `1` + `.` + `23.…`.
    #[test]
    fn digits_cannot_move_from_the_time_to_the_body(digits in 1_usize..10) {
        let time = NOW.0.to_string();
        let (kept, moved) = time.split_at(time.len() - digits);
        let body = [moved.as_bytes(), b".", BODY].concat();
        let header = format!("t={kept},v1={}", v1(SECRET, NOW.0, BODY));
        prop_assert!(check(&header, &body).is_err());
    }

    #[test]
    fn an_arbitrary_header_is_rejected_without_a_panic(header in ".*", body in proptest::collection::vec(any::<u8>(), 0..50)) {
        prop_assert!(check(&header, &body).is_err());
    }
}
