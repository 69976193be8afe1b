//! The page size of operator tables.

/// Rows on a page.
pub(super) const ROWS: usize = 50;
/// Rows to read: one more than fits on a page, to know whether there is another.
pub(super) const READ: i64 = 51;
