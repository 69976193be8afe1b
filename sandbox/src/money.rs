//! Currencies, and formatting of amounts in minor units.

/// Currencies that have no minor unit in Stripe.
const ZERO_DECIMAL: &[&str] =
    &["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"];
/// Currencies with three decimals.
const THREE_DECIMAL: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];
/// The other currencies that Stripe supports for prices.
const TWO_DECIMAL: &[&str] = &[
    "usd", "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt", "bgn", "bmd",
    "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad", "cdf", "chf", "cny", "cop", "crc", "cve", "czk", "dkk",
    "dop", "dzd", "egp", "etb", "eur", "fjd", "fkp", "gbp", "gel", "gip", "gmd", "gtq", "gyd", "hkd", "hnl", "htg",
    "huf", "idr", "ils", "inr", "isk", "jmd", "kes", "kgs", "khr", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl",
    "mad", "mdl", "mkd", "mmk", "mnt", "mop", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio", "nok",
    "npr", "nzd", "pab", "pen", "pgk", "php", "pkr", "pln", "qar", "ron", "rsd", "rub", "sar", "sbd", "scr", "sek",
    "sgd", "shp", "sle", "sos", "srd", "std", "szl", "thb", "tjs", "top", "try", "ttd", "twd", "tzs", "uah", "uyu",
    "uzs", "wst", "xcd", "xcg", "yer", "zar", "zmw",
];

/// Returns whether Stripe supports a currency, given its code in lower case.
pub(crate) fn is_currency(code: &str) -> bool {
    [ZERO_DECIMAL, THREE_DECIMAL, TWO_DECIMAL].iter().any(|codes| codes.contains(&code))
}

/// Multiplies a decimal price in minor units, such as `0.25`, by a quantity, and rounds half away from
/// zero. Stripe allows twelve decimals.
pub(crate) fn times(unit: &str, quantity: i64) -> i64 {
    const SCALE: i128 = 1_000_000_000_000;
    let (negative, digits) = unit.strip_prefix('-').map_or((false, unit), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction: String = format!("{fraction:0<12}").chars().take(12).collect();
    let scaled = whole.parse::<i128>().unwrap_or(0) * SCALE + fraction.parse::<i128>().unwrap_or(0);
    let product = scaled * i128::from(quantity);
    let rounded = (product.abs() * 2 + SCALE) / (SCALE * 2) * product.signum();
    i64::try_from(if negative { -rounded } else { rounded }).unwrap_or(i64::MAX)
}

/// Formats an amount: "$19.00", "¥500", "KWD 1.250".
pub(crate) fn format(amount: i64, currency: &str) -> String {
    let decimals = match currency {
        code if ZERO_DECIMAL.contains(&code) => 0,
        code if THREE_DECIMAL.contains(&code) => 3,
        _ => 2,
    };
    let unit = 10_u64.pow(decimals);
    let value = amount.unsigned_abs();
    let mut text = grouped(value / unit);
    if decimals > 0 {
        let width = decimals as usize;
        text.push_str(&format!(".{:0width$}", value % unit));
    }
    let sign = if amount < 0 { "-" } else { "" };
    match currency {
        "usd" => format!("{sign}${text}"),
        "eur" => format!("{sign}€{text}"),
        "gbp" => format!("{sign}£{text}"),
        "jpy" => format!("{sign}¥{text}"),
        code => format!("{sign}{} {text}", code.to_ascii_uppercase()),
    }
}

/// Formats a decimal price in minor units: like [`format()`] for whole numbers, otherwise as written.
pub(crate) fn format_decimal(unit: &str, currency: &str) -> String {
    match unit.parse::<i64>() {
        Ok(amount) => format(amount, currency),
        Err(_) => format!("{unit} {} (in minor units)", currency.to_ascii_uppercase()),
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{format, times};

    #[test]
    fn fractional_prices_are_multiplied_before_rounding() {
        assert_eq!(times("0.25", 3), 1);
        assert_eq!(times("0.5", 1), 1);
        assert_eq!(times("0.000000000001", 1_000_000), 0);
        assert_eq!(times("1900", 2), 3_800);
        assert_eq!(times("-0.5", 3), -2);
    }

    #[test]
    fn amounts_are_formatted_for_their_currency() {
        assert_eq!(format(1_900, "usd"), "$19.00");
        assert_eq!(format(-50, "usd"), "-$0.50");
        assert_eq!(format(123_456_789, "eur"), "€1,234,567.89");
        assert_eq!(format(500, "jpy"), "¥500");
        assert_eq!(format(1_250, "kwd"), "KWD 1.250");
    }
}
