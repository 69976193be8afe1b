//! Amounts: minor units per currency, and how they are displayed.

use billing::money::grouped;
use billing::{Currency, Money};
use proptest::prelude::*;

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a currency code")
}

fn display(minor: i64, code: &str) -> String {
    Money::new(minor, currency(code)).to_string()
}

#[test]
fn dollars_have_cents_and_whole_amounts_hide_them() {
    assert_eq!(display(2900, "usd"), "$29");
    assert_eq!(display(2950, "usd"), "$29.50");
    assert_eq!(display(5, "usd"), "$0.05");
    assert_eq!(display(0, "usd"), "$0");
    assert_eq!(display(1999, "eur"), "€19.99");
    assert_eq!(display(100, "gbp"), "£1");
}

#[test]
fn yen_have_no_minor_unit() {
    assert_eq!(currency("jpy").exponent(), 0);
    assert_eq!(display(500, "jpy"), "¥500");
    assert_eq!(display(1, "jpy"), "¥1");
}

#[test]
fn kuwaiti_dinars_have_thousandths() {
    assert_eq!(currency("kwd").exponent(), 3);
    assert_eq!(display(1234, "kwd"), "1.234 KWD");
    assert_eq!(display(1230, "kwd"), "1.230 KWD");
    assert_eq!(display(7, "kwd"), "0.007 KWD");
    assert_eq!(display(5000, "kwd"), "5 KWD");
}

#[test]
fn the_exponents_match_stripes_lists() {
    let zero =
        ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
    let three = ["bhd", "jod", "kwd", "omr", "tnd"];
    // The last ones include the special cases of Stripe's page: whole units only, but sent in hundredths.
    let two = ["usd", "eur", "gbp", "chf", "isk", "ugx", "huf", "twd"];
    let exponents = |codes: &[&str]| codes.iter().map(|code| currency(code).exponent()).collect::<Vec<_>>();
    assert_eq!(exponents(&zero), [0; 15]);
    assert_eq!(exponents(&three), [3; 5]);
    assert_eq!(exponents(&two), [2; 8]);
}

#[test]
fn thousands_are_grouped() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (10_000, "10,000"),
        (123_456, "123,456"),
        (1_234_567, "1,234,567"),
        (u64::MAX, "18,446,744,073,709,551,615"),
    ] {
        assert_eq!(grouped(number), text);
    }
    assert_eq!(display(123_456_789, "usd"), "$1,234,567.89");
    assert_eq!(display(1_000_000, "jpy"), "¥1,000,000");
}

#[test]
fn negative_amounts_have_their_sign_in_front() {
    assert_eq!(display(-2950, "usd"), "-$29.50");
    assert_eq!(display(-5, "usd"), "-$0.05");
    assert_eq!(display(-1500, "jpy"), "-¥1,500");
    assert_eq!(display(-1234, "kwd"), "-1.234 KWD");
}

#[test]
fn the_extremes_of_the_range_are_displayed_to_the_last_cent() {
    assert_eq!(display(i64::MAX, "usd"), "$92,233,720,368,547,758.07");
    assert_eq!(display(i64::MIN, "usd"), "-$92,233,720,368,547,758.08");
}

#[test]
fn a_currency_is_three_letters_in_any_case() {
    assert_eq!(currency("USD"), currency("usd"));
    assert_eq!(currency("EuR").as_str(), "eur");
    for text in ["", "us", "usdt", "u5d", " usd", "€", "€€€", "üsd"] {
        assert!(Currency::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn an_invalid_currency_is_rejected_in_json() {
    let money: Money = serde_json::from_str(r#"{"minor": 2900, "currency": "USD"}"#).expect("valid");
    assert_eq!(money, Money::new(2900, currency("usd")));
    assert!(serde_json::from_str::<Money>(r#"{"minor": 2900, "currency": "dollars"}"#).is_err());
    assert!(serde_json::from_str::<Money>(r#"{"minor": 29.5, "currency": "usd"}"#).is_err(), "no floats");
}

/// Reads a displayed amount back from its digits.
fn read_back(text: &str, exponent: usize) -> i128 {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let (major, minor) = text.split_once('.').unwrap_or((text, ""));
    let minor = digits(minor);
    assert!(minor.is_empty() || minor.len() == exponent, "all decimals or none: {text}");
    let all = format!("{}{minor:0<exponent$}", digits(major));
    let amount: i128 = all.parse().expect("digits");
    if text.starts_with('-') { -amount } else { amount }
}

proptest! {
    #[test]
    fn the_displayed_amount_is_exact(
        minor in prop_oneof![any::<i64>(), -100_000..100_000_i64],
        code in prop_oneof![prop::sample::select(vec!["usd", "jpy", "kwd", "chf"]).prop_map(str::to_owned), "[a-z]{3}"],
    ) {
        let currency = currency(&code);
        let exponent = currency.exponent() as usize;
        prop_assert_eq!(read_back(&Money::new(minor, currency).to_string(), exponent), i128::from(minor));
    }

    #[test]
    fn grouping_only_adds_a_comma_every_three_digits(number in any::<u64>()) {
        let text = grouped(number);
        prop_assert_eq!(text.replace(',', ""), number.to_string());
        let mut groups = text.split(',');
        prop_assert!((1..=3).contains(&groups.next().map_or(0, str::len)));
        prop_assert!(groups.all(|group| group.len() == 3));
    }

    #[test]
    fn no_currency_text_panics(text in any::<String>()) {
        if let Ok(currency) = Currency::parse(&text) {
            prop_assert_eq!(currency.as_str(), text.to_lowercase());
        }
    }
}
