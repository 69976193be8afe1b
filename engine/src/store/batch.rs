//! Statements over many rows.
//!
//! On PostgreSQL each column is bound as one array (`UNNEST`): one statement for any number of rows,
//! planned once. SQLite has no arrays. Its statements list the rows, in a few fixed sizes, so that each
//! text is prepared once and cached; their parameters have no numbers, because SQLite would look each of
//! them up by name (docs/decisions/0010).

use std::fmt::Write;
use std::sync::OnceLock;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Postgres, query, query_as};

use super::db::Db;
use super::error::StoreError;
use super::run::Row;
use super::tx::Tx;
use super::value::Value;

/// A statement over many rows.
pub(crate) struct BatchStatement {
    name: &'static str,
    /// One text for each number of rows, the largest first.
    sqlite: Vec<(usize, String)>,
    postgres: Unnested,
    columns: Vec<Column>,
}

/// PostgreSQL's text of a statement, apart from the numbers of its parameters.
struct Unnested {
    before: String,
    row: String,
    after: String,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Text,
    Bigint,
}

impl BatchStatement {
    /// The numbers of rows in SQLite's statements; other numbers are split into several statements.
    const SIZES: [usize; 4] = [64, 16, 4, 1];

    /// Builds `before`, then the rows, then `after`. In `row`, each `$text` or `$bigint` is a parameter:
    /// `"$text, $bigint, 0"`.
    pub(crate) fn new(name: &'static str, before: &str, row: &str, after: &str) -> Self {
        let sqlite = Self::SIZES.map(|size| {
            let one = format!("({})", pieces(row).map(|(_, rest)| rest).collect::<Vec<_>>().join("?"));
            (size, format!("{before} VALUES {}{after}", vec![one; size].join(", ")))
        });
        let kinds = pieces(row).filter_map(|(kind, _)| kind);
        let columns = kinds.map(|kind| if kind == "bigint" { Column::Bigint } else { Column::Text }).collect();
        let mut postgres =
            Unnested { before: before.to_owned(), row: row.to_owned(), after: after.to_owned(), text: String::new() };
        postgres.text = postgres.numbered_from(1);
        Self { name, sqlite: sqlite.into(), postgres, columns }
    }

    /// Runs it for all `rows`, each with a value for each parameter, and returns the number of rows
    /// changed.
    pub(crate) async fn execute(&'static self, tx: &mut Tx, rows: Vec<Vec<Value>>) -> Result<u64, StoreError> {
        if let Tx::Postgres(tx) = tx {
            if rows.is_empty() {
                return Ok(0);
            }
            let query = self.arrays(rows).into_iter().fold(query(self.postgres.text.as_str()), bind);
            let done = query.execute(tx.connection()?).await;
            return Ok(tx.checked(done)?.rows_affected());
        }
        let mut changed = 0;
        for (sql, rows) in self.written_out(rows) {
            changed += tx.execute(sql, rows.into_iter().flatten().collect()).await?;
        }
        Ok(changed)
    }

    /// Runs it as a query for all `rows`, and returns the rows found.
    pub(crate) async fn fetch_all<R: Row>(
        &'static self,
        tx: &mut Tx,
        rows: Vec<Vec<Value>>,
    ) -> Result<Vec<R>, StoreError> {
        if let Tx::Postgres(tx) = tx {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let query = query_as(self.postgres.text.as_str());
            let query = self.arrays(rows).into_iter().fold(query, |query, array| match array {
                Array::Text(column) => query.bind(column),
                Array::Bigint(column) => query.bind(column),
            });
            let found = query.fetch_all(tx.connection()?).await;
            return tx.checked(found);
        }
        let mut all = Vec::new();
        for (sql, rows) in self.written_out(rows) {
            all.extend(tx.fetch_all::<R>(sql, rows.into_iter().flatten().collect()).await?);
        }
        Ok(all)
    }

    /// Transposes the rows into columns.
    fn arrays(&self, rows: Vec<Vec<Value>>) -> Vec<Array> {
        let mut arrays: Vec<Array> = self
            .columns
            .iter()
            .map(|column| match column {
                Column::Text => Array::Text(Vec::with_capacity(rows.len())),
                Column::Bigint => Array::Bigint(Vec::with_capacity(rows.len())),
            })
            .collect();
        for row in rows {
            debug_assert_eq!(row.len(), arrays.len(), "{}: one value for each parameter", self.name);
            for (array, value) in arrays.iter_mut().zip(row) {
                match (array, value) {
                    (Array::Text(column), Value::Text(text)) => column.push(text),
                    (Array::Bigint(column), Value::Integer(number)) => column.push(number),
                    (Array::Text(column), _) => column.push(None),
                    (Array::Bigint(column), _) => column.push(None),
                }
            }
        }
        arrays
    }

    /// Splits the rows into SQLite's statements, each with its rows.
    fn written_out(&'static self, mut rows: Vec<Vec<Value>>) -> Vec<(&'static str, Vec<Vec<Value>>)> {
        let mut all = Vec::new();
        for (size, sql) in &self.sqlite {
            while rows.len() >= *size {
                let later = rows.split_off(*size);
                all.push((sql.as_str(), std::mem::replace(&mut rows, later)));
            }
        }
        all
    }

    /// Returns all its SQL for this database, under its name.
    pub(crate) fn forms(&'static self, db: &Db) -> Vec<(&'static str, &'static str)> {
        match db {
            Db::Sqlite(_) => self.sqlite.iter().map(|(_, sql)| (self.name, sql.as_str())).collect(),
            Db::Postgres(_) => vec![(self.name, &self.postgres.text)],
        }
    }
}

impl Unnested {
    /// Returns the text with parameters numbered from `first`.
    fn numbered_from(&self, first: usize) -> String {
        let (mut selected, mut arrays, mut names) = (String::new(), Vec::new(), Vec::new());
        for (index, (kind, rest)) in pieces(&self.row).enumerate() {
            if let Some(kind) = kind {
                let parameter = first + index - 1;
                arrays.push(format!("${parameter}::{kind}[]"));
                names.push(format!("c{index}"));
                // Writing to a string cannot fail.
                let _ = write!(selected, "given.c{index}");
            }
            selected.push_str(rest);
        }
        let (arrays, names, Self { before, after, .. }) = (arrays.join(", "), names.join(", "), self);
        format!("{before} SELECT {selected} FROM UNNEST({arrays}) AS given ({names}){after}")
    }
}

/// Several writes over many rows, which PostgreSQL runs as one statement: one round trip for all of them.
pub(crate) struct CombinedStatement {
    name: &'static str,
    parts: Vec<&'static BatchStatement>,
    /// The text for each set of parts that has been needed: bit `n` of its index is part `n`. A part without rows
    /// is left out, because a statement that may write a table costs PostgreSQL about as much as one that does.
    postgres: Vec<OnceLock<String>>,
}

impl CombinedStatement {
    /// Combines writes. PostgreSQL runs them in no particular order and none sees another's effects, so no two may
    /// write the same row.
    pub(crate) fn new(name: &'static str, parts: Vec<&'static BatchStatement>) -> Self {
        let postgres = (0..1_usize << parts.len()).map(|_| OnceLock::new()).collect();
        Self { name, parts, postgres }
    }

    /// Runs each part for its rows, and returns the number of rows that the last part has changed.
    pub(crate) async fn execute(&'static self, tx: &mut Tx, rows: Vec<Vec<Vec<Value>>>) -> Result<u64, StoreError> {
        debug_assert_eq!(rows.len(), self.parts.len(), "{}: rows for each part", self.name);
        let has_last = rows.last().is_some_and(|rows| !rows.is_empty());
        let set = rows.iter().enumerate().map(|(index, rows)| usize::from(!rows.is_empty()) << index).sum();
        if set == 0 {
            return Ok(0);
        }
        let parts = self.parts.iter().zip(rows).filter(|(_, rows)| !rows.is_empty());
        let mut changed = 0;
        if let Tx::Postgres(tx) = tx {
            let arrays = parts.flat_map(|(part, rows)| part.arrays(rows));
            let query = arrays.fold(query(self.text(set)), bind);
            let done = query.execute(tx.connection()?).await;
            changed = tx.checked(done)?.rows_affected();
        } else {
            for (part, rows) in parts {
                changed = part.execute(tx, rows).await?;
            }
        }
        Ok(if has_last { changed } else { 0 })
    }

    /// Returns PostgreSQL's text for a set of parts, of which the last is the statement itself.
    fn text(&'static self, set: usize) -> &'static str {
        self.postgres[set].get_or_init(|| {
            let mut first = 1;
            let texts =
                self.parts.iter().enumerate().filter(|(index, _)| set & (1 << index) != 0).map(|(index, part)| {
                    let text = part.postgres.numbered_from(first);
                    first += part.columns.len();
                    (index, text)
                });
            let mut texts: Vec<(usize, String)> = texts.collect();
            let Some((_, last)) = texts.pop() else { return String::new() };
            let mut before: Vec<String> =
                texts.into_iter().map(|(index, text)| format!("w{index} AS ({text})")).collect();
            let last = match last.strip_prefix("WITH ") {
                Some(own) if !before.is_empty() => {
                    before.push(own.to_owned());
                    String::new()
                }
                _ => last,
            };
            let with = if before.is_empty() { String::new() } else { format!("WITH {}", before.join(", ")) };
            if last.is_empty() || with.is_empty() { with + &last } else { format!("{with} {last}") }
        })
    }

    /// Returns its SQL for this database with all parts, and with all but the last, under its name.
    pub(crate) fn forms(&'static self, db: &Db) -> Vec<(&'static str, &'static str)> {
        let all = self.postgres.len() - 1;
        let sets = if db.is_shared() { vec![all, all >> 1] } else { Vec::new() };
        sets.into_iter().map(|set| (self.name, self.text(set))).collect()
    }
}

fn bind(query: Query<'static, Postgres, PgArguments>, array: Array) -> Query<'static, Postgres, PgArguments> {
    match array {
        Array::Text(column) => query.bind(column),
        Array::Bigint(column) => query.bind(column),
    }
}

enum Array {
    Text(Vec<Option<String>>),
    Bigint(Vec<Option<i64>>),
}

/// Splits `row` into the text before the first parameter, then each parameter's type and the text after
/// it.
fn pieces(row: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    row.split('$').enumerate().map(|(number, piece)| {
        let end = piece.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(piece.len());
        if number == 0 { (None, piece) } else { (Some(&piece[..end]), &piece[end..]) }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::store::values;

    static ROWS: LazyLock<BatchStatement> =
        LazyLock::new(|| BatchStatement::new("ROWS", "INSERT INTO t", "$text, 0, $bigint", " END"));

    #[test]
    fn each_engine_is_given_the_rows_in_its_own_way() {
        let rows = vec![values!["a", 1_i64]; 5];
        let [(four, first), (one, last)] = &ROWS.written_out(rows)[..] else { panic!("four and one") };
        assert_eq!(*one, "INSERT INTO t VALUES (?, 0, ?) END");
        assert!(four.ends_with("(?, 0, ?), (?, 0, ?), (?, 0, ?) END"), "{four}");
        assert_eq!((first.len(), last.len()), (4, 1));
        assert_eq!(
            ROWS.postgres.text,
            "INSERT INTO t SELECT given.c1, 0, given.c2 FROM UNNEST($1::text[], $2::bigint[]) AS given (c1, c2) END"
        );
        assert_eq!(ROWS.columns, [Column::Text, Column::Bigint]);
    }

    #[test]
    fn combined_writes_number_their_parameters_in_one_sequence_and_leave_out_parts_without_rows() {
        static UPDATE: LazyLock<BatchStatement> =
            LazyLock::new(|| BatchStatement::new("UPDATE", "WITH given (a) AS (", "$text", ") UPDATE t FROM given"));
        static BOTH: LazyLock<CombinedStatement> =
            LazyLock::new(|| CombinedStatement::new("BOTH", vec![&ROWS, &ROWS, &UPDATE]));
        let first = ROWS.postgres.text.as_str();
        let second = first.replace("$2", "$4").replace("$1", "$3");
        let update = UPDATE.postgres.text.as_str();
        assert_eq!(BOTH.text(0b001), first);
        assert_eq!(BOTH.text(0b011), format!("WITH w0 AS ({first}) {second}"));
        assert_eq!(BOTH.text(0b100), update);
        let third = update.strip_prefix("WITH ").unwrap().replace("$1", "$5");
        assert_eq!(BOTH.text(0b111), format!("WITH w0 AS ({first}), w1 AS ({second}), {third}"));
    }

    #[test]
    fn any_number_of_rows_is_sent_exactly_once() {
        for number in 0..300_i64 {
            let rows: Vec<_> = (0..number).map(|n| values!["a", n]).collect();
            let sent = ROWS.written_out(rows).into_iter().flat_map(|(_, rows)| rows);
            let sent: Vec<i64> = sent
                .filter_map(|row| match row[1] {
                    Value::Integer(n) => n,
                    _ => None,
                })
                .collect();
            assert_eq!(sent, (0..number).collect::<Vec<_>>());
        }
    }
}
