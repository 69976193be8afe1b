//! Amounts in a currency's minor unit, without floats.
//!
//! The number of decimal places follows Stripe's lists of zero-decimal and three-decimal
//! currencies (Stripe docs, "Supported currencies"). The Ugandan shilling is on the first list but
//! not on ours: it is one of the page's special cases, sent in hundredths like the Icelandic
//! króna (`tests/money.rs`).

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code in lower case, as Stripe writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(String);

/// Text that is not a currency code.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a currency: three letters, such as `usd`")]
pub struct NotACurrency(String);

const ZERO_DECIMAL: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

impl Currency {
    /// Parses three ASCII letters in any case.
    pub fn parse(code: &str) -> Result<Self, NotACurrency> {
        if code.len() == 3 && code.bytes().all(|b| b.is_ascii_alphabetic()) {
            Ok(Self(code.to_ascii_lowercase()))
        } else {
            Err(NotACurrency(code.to_owned()))
        }
    }

    /// Returns the code in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number of decimal places: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn exponent(&self) -> u32 {
        if ZERO_DECIMAL.contains(&self.as_str()) {
            0
        } else if THREE_DECIMAL.contains(&self.as_str()) {
            3
        } else {
            2
        }
    }

    fn symbol(&self) -> Option<&'static str> {
        Some(match self.as_str() {
            "usd" => "$",
            "eur" => "€",
            "gbp" => "£",
            "jpy" => "¥",
            _ => return None,
        })
    }
}

impl TryFrom<String> for Currency {
    type Error = NotACurrency;
    fn try_from(code: String) -> Result<Self, NotACurrency> {
        Self::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.0
    }
}

/// An amount in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The amount in the currency's minor unit (cents, whole yen); negative for a credit.
    pub minor: i64,
    /// The currency, which also determines the number of decimal places.
    pub currency: Currency,
}

impl Money {
    /// Returns an amount of `minor` units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }
}

/// Formats as `$29`, `$1,029.50`, `¥500` or `1.234 KWD`; whole amounts have no decimals.
impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let (major, minor) = (self.minor.unsigned_abs() / unit, self.minor.unsigned_abs() % unit);
        let symbol = self.currency.symbol();
        if self.minor < 0 {
            f.write_str("-")?;
        }
        f.write_str(symbol.unwrap_or_default())?;
        f.write_str(&grouped(major))?;
        if minor != 0 {
            write!(f, ".{minor:0width$}", width = exponent as usize)?;
        }
        if symbol.is_none() {
            write!(f, " {}", self.currency.as_str().to_ascii_uppercase())?;
        }
        Ok(())
    }
}

/// Formats `10000` as `10,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
