//! The size of a table's page.

/// Rows on a page.
pub(super) const ROWS: usize = 50;
/// Rows to read: one more than a page has says whether there is another.
pub(super) const READ: i64 = 51;
