//! Statements that take many rows at once.
//!
//! PostgreSQL is given each column as one array (`UNNEST`): one statement for any number of rows,
//! with a plan that is made once. SQLite has no arrays. It is given the rows written out, for a few
//! numbers of them, so that each text is prepared once and stays so; its binds have no numbers,
//! because it would look for each of them by its name among all the others.

use std::fmt::Write;

use super::db::{Db, Tx};

/// Runs one statement of a [`ManyRows`] with the binds of every row.
macro_rules! query_rows {
    ($on:expr, execute, $sql:expr, $rows:expr, |$row:ident| $($bind:expr),+ $(,)?) => {
        match $on {
            $crate::store::db::Tx::Sqlite(on) => {
                let mut query = sqlx::query($sql);
                for $row in $rows { query = query$(.bind($bind))+; }
                query.execute(on.conn()).await.map(|done| done.rows_affected())
            }
            $crate::store::db::Tx::Postgres(on) =>
                sqlx::query($sql)$(.bind($rows.iter().map(|$row| $bind).collect::<Vec<_>>()))+
                    .execute(on.conn()).await.map(|done| done.rows_affected()),
        }
        .map_err($crate::store::db::StoreError::from)
    };
    ($on:expr, fetch_all as $as:ty, $sql:expr, $rows:expr, |$row:ident| $($bind:expr),+ $(,)?) => {
        match $on {
            $crate::store::db::Tx::Sqlite(on) => {
                let mut query = sqlx::query_as::<_, $as>($sql);
                for $row in $rows { query = query$(.bind($bind))+; }
                query.fetch_all(on.conn()).await
            }
            $crate::store::db::Tx::Postgres(on) =>
                sqlx::query_as::<_, $as>($sql)$(.bind($rows.iter().map(|$row| $bind).collect::<Vec<_>>()))+
                    .fetch_all(on.conn()).await,
        }
        .map_err($crate::store::db::StoreError::from)
    };
}

pub(crate) use query_rows;

/// A statement that takes many rows at once.
pub(crate) struct ManyRows {
    name: &'static str,
    /// By the number of rows, the largest first.
    sqlite: Vec<(usize, String)>,
    postgres: String,
}

impl ManyRows {
    /// How many rows SQLite is given at once: more are sent as several statements.
    const SIZES: [usize; 4] = [64, 16, 4, 1];

    /// `before`, then the rows, then `after`. In `row`, one row of them, each `$type` is a bind:
    /// `"$text, $bigint, 0"`.
    pub(crate) fn new(name: &'static str, before: &str, row: &str, after: &str) -> Self {
        let sqlite = Self::SIZES.map(|size| {
            let one = format!("({})", pieces(row).map(|(_, rest)| rest).collect::<Vec<_>>().join("?"));
            (size, format!("{before} VALUES {}{after}", vec![one; size].join(", ")))
        });
        let (mut columns, mut arrays, mut names) = (String::new(), Vec::new(), Vec::new());
        for (number, (kind, rest)) in pieces(row).enumerate() {
            if let Some(kind) = kind {
                arrays.push(format!("${number}::{kind}[]"));
                names.push(format!("c{number}"));
                // Writing to a text cannot fail.
                let _ = write!(columns, "given.c{number}");
            }
            columns.push_str(rest);
        }
        let (arrays, names) = (arrays.join(", "), names.join(", "));
        let postgres = format!("{before} SELECT {columns} FROM UNNEST({arrays}) AS given ({names}){after}");
        Self { name, sqlite: sqlite.into(), postgres }
    }

    /// The statements for all of `rows`, each with the rows it takes.
    pub(crate) fn split<'a, T>(&'static self, tx: &Tx, rows: &'a [T]) -> Vec<(&'static str, &'a [T])> {
        match tx {
            Tx::Sqlite(_) => self.written_out(rows),
            Tx::Postgres(_) if rows.is_empty() => Vec::new(),
            Tx::Postgres(_) => vec![(&self.postgres, rows)],
        }
    }

    fn written_out<'a, T>(&'static self, mut rows: &'a [T]) -> Vec<(&'static str, &'a [T])> {
        let mut all = Vec::new();
        for (size, text) in &self.sqlite {
            while rows.len() >= *size {
                let (now, later) = rows.split_at(*size);
                all.push((text.as_str(), now));
                rows = later;
            }
        }
        all
    }

    /// Every form of it for an engine, under its name.
    pub(crate) fn forms(&'static self, db: &Db) -> Vec<(&'static str, &'static str)> {
        match db {
            Db::Sqlite(_) => self.sqlite.iter().map(|(_, text)| (self.name, text.as_str())).collect(),
            Db::Postgres(_) => vec![(self.name, &self.postgres)],
        }
    }
}

/// What stands before the first bind, then for each bind its type and what stands after it.
fn pieces(row: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    row.split('$').enumerate().map(|(number, piece)| {
        let end = piece.find(|each: char| !each.is_ascii_lowercase()).unwrap_or(piece.len());
        if number == 0 { (None, piece) } else { (Some(&piece[..end]), &piece[end..]) }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static ROWS: LazyLock<ManyRows> =
        LazyLock::new(|| ManyRows::new("ROWS", "INSERT INTO t", "$text, 0, $bigint", " END"));

    #[test]
    fn each_engine_is_given_the_rows_in_its_own_way() {
        let rows = [0; 5];
        let [(four, first), (one, last)] = ROWS.written_out(&rows)[..] else { panic!("four and one") };
        assert_eq!(one, "INSERT INTO t VALUES (?, 0, ?) END");
        assert!(four.ends_with("(?, 0, ?), (?, 0, ?), (?, 0, ?) END"), "{four}");
        assert_eq!((first.len(), last.len()), (4, 1));
        assert_eq!(
            ROWS.postgres,
            "INSERT INTO t SELECT given.c1, 0, given.c2 FROM UNNEST($1::text[], $2::bigint[]) AS given (c1, c2) END"
        );
    }

    #[test]
    fn any_number_of_rows_is_sent_once() {
        for number in 0..300 {
            let rows: Vec<usize> = (0..number).collect();
            let sent: Vec<usize> = ROWS.written_out(&rows).into_iter().flat_map(|(_, rows)| rows.to_vec()).collect();
            assert_eq!(sent, rows);
        }
    }
}
