//! Reading rows into structs, on either database.
//!
//! sqlx can derive this too, but its macros compile both drivers a second time for the build host, which
//! costs a minute of the first build on a small machine.

#[doc(hidden)]
pub use sqlx as driver;

/// `columns!(Event { id, kind: "type" })`: reads each field of the struct from the column with its name,
/// or with the given name.
#[macro_export]
macro_rules! columns {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $column:literal) => { $column };
    (@row $sql_row:ty, $row:ident { $($field:ident $($column:literal)?),* }) => {
        impl<'r> $crate::store::driver::FromRow<'r, $sql_row> for $row {
            fn from_row(row: &'r $sql_row) -> Result<Self, $crate::store::driver::Error> {
                use $crate::store::driver::Row as _;
                Ok(Self { $($field: row.try_get($crate::columns!(@name $field $($column)?))?),* })
            }
        }
    };
    ($row:ident { $($field:ident $(: $column:literal)?),* $(,)? }) => {
        $crate::columns!(@row $crate::store::driver::sqlite::SqliteRow, $row { $($field $($column)?),* });
        $crate::columns!(@row $crate::store::driver::postgres::PgRow, $row { $($field $($column)?),* });
    };
}

pub use crate::columns;

/// Two structs that are read from one row.
#[derive(Debug)]
pub(crate) struct Both<A, B>(pub(crate) A, pub(crate) B);

impl<'r, D: sqlx::Row, A: sqlx::FromRow<'r, D>, B: sqlx::FromRow<'r, D>> sqlx::FromRow<'r, D> for Both<A, B> {
    fn from_row(row: &'r D) -> Result<Self, sqlx::Error> {
        Ok(Self(A::from_row(row)?, B::from_row(row)?))
    }
}
