//! Usage as CSV, for spreadsheets.

use billing::{Timestamp, usage_window};
use engine::store::usage;
use engine::{Permit, StoreError};

use super::api_keys::key_names;
use super::usage_range::UsageRange;
use crate::tollgate::Tollgate;

/// Writes the usage of a range by day, meter and key, as CSV (RFC 4180).
pub async fn usage_as_csv(tollgate: &Tollgate, permit: &Permit, range: UsageRange) -> Result<String, StoreError> {
    let now = tollgate.now();
    let window = usage_window(permit.entitlement().window_anchor, now).start;
    let from = range.from(window, now);
    let rows = usage::days(tollgate.db(), permit.account_id(), from, now.plus_seconds(1)).await?;
    let names = key_names(tollgate, permit).await?;
    let mut csv = String::from("day,meter,api_key_id,api_key_name,used\r\n");
    for row in rows {
        let day = Timestamp(row.day).to_string();
        let name = names.get(&row.source).map(|key| key.name.as_str()).unwrap_or_default();
        let used = row.used.to_string();
        let cells = [day.split(' ').next().unwrap_or_default(), &row.meter, &row.source, name, &used];
        csv.push_str(&cells.map(cell).join(","));
        csv.push_str("\r\n");
    }
    Ok(csv)
}

/// Quotes a cell, and marks as text anything that a spreadsheet would take for a formula.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        assert_eq!(cell("build server"), "build server");
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("a, \"b\""), "\"a, \"\"b\"\"\"");
    }
}
