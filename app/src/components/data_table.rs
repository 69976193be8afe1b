//! A table that says what it is, and scrolls sideways by itself where it does not fit: with the
//! keyboard, too.

use leptos::prelude::*;

/// What stands above a column.
#[derive(Clone, Debug)]
pub enum Column {
    /// Words.
    Text(&'static str),
    /// Amounts, one below the other.
    Money(&'static str),
    /// Counts, one below the other.
    Number(String),
    /// Said and not shown, for a column of links.
    Unseen(&'static str),
}

/// The rows stand inside.
#[component]
pub fn DataTable(#[prop(into)] label: String, #[prop(into)] columns: Vec<Column>, children: Children) -> impl IntoView {
    let head = columns.into_iter().map(|column| match column {
        Column::Text(name) => view! { <th scope="col">{name}</th> }.into_any(),
        Column::Money(name) => view! { <th scope="col" class="money">{name}</th> }.into_any(),
        Column::Number(name) => view! { <th scope="col" class="number">{name}</th> }.into_any(),
        Column::Unseen(name) => view! { <th scope="col"><span class="visually-hidden">{name}</span></th> }.into_any(),
    });
    view! {
        <div class="table-scroll" tabindex="0" role="region" aria-label=label>
            <table>
                <thead><tr>{head.collect_view()}</tr></thead>
                <tbody>{children()}</tbody>
            </table>
        </div>
    }
}
