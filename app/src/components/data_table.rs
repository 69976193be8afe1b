//! A labeled table. If it is too wide, it scrolls sideways on its own, with the keyboard too.

use leptos::prelude::*;

/// A column header.
#[derive(Clone, Debug)]
pub enum Column {
    /// Text.
    Text(&'static str),
    /// Amounts of money, aligned right.
    Money(&'static str),
    /// Numbers, aligned right.
    Number(String),
    /// A header for screen readers only, for a column of links.
    Unseen(&'static str),
}

/// A table; `children` are its rows.
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
