//! Keys of features and meters: constants, stored keys, and user input.

mod support;

use billing::{Feature, Meter};
use support::{API_CALLS, CUSTOM_DOMAIN, catalog};

#[test]
fn a_stored_key_equals_the_constant_of_the_same_name() {
    let meter: Meter = serde_json::from_str("\"apiCallsPerMonth\"").expect("a key");
    let feature: Feature = serde_json::from_str("\"customDomain\"").expect("a key");
    assert_eq!((meter, feature), (API_CALLS, CUSTOM_DOMAIN));
}

#[test]
fn a_key_is_serialized_and_displayed_as_its_name() {
    assert_eq!(serde_json::to_string(&API_CALLS).expect("a key"), "\"apiCallsPerMonth\"");
    assert_eq!((CUSTOM_DOMAIN.to_string(), CUSTOM_DOMAIN.as_str()), ("customDomain".to_owned(), "customDomain"));
}

#[test]
fn reading_a_stored_key_again_takes_no_more_memory() {
    let read = || serde_json::from_str::<Meter>("\"a key that is read twice\"").expect("a key");
    assert!(std::ptr::eq(read().as_str(), read().as_str()));
}

#[test]
fn a_key_that_is_no_longer_declared_is_still_read() {
    let meter: Meter = serde_json::from_str("\"retired\"").expect("a key");
    assert_eq!(meter, Meter::new("retired"));
    assert_eq!(catalog().meter("retired"), None);
}

#[test]
fn user_input_refers_only_to_declared_keys() {
    let catalog = catalog();
    assert_eq!(catalog.meter("apiCallsPerMonth"), Some(API_CALLS));
    assert_eq!(catalog.feature("customDomain"), Some(CUSTOM_DOMAIN));
    for input in ["", "apicallspermonth", "customDomain ", "<script>"] {
        assert_eq!((catalog.meter(input), catalog.feature(input)), (None, None), "{input:?}");
    }
}
