//! `/admin/accounts?search=&after=`

use billing::{Catalog, Reason, Timestamp};
use leptos::prelude::*;
use server::operations::{self, AccountSummary};

use super::filter::{FilterForm, Search};
use super::{Older, Sections, account_address};
use crate::components::{Column, DataTable, Day, Empty, Glyph, Heading, operator_page};
use crate::failure::Failure;
use crate::query::{after, parameter};

/// Accounts, newest first, with what each may do and why.
#[component]
pub fn Accounts() -> impl IntoView {
    let search = parameter("search").unwrap_or_default().trim().to_owned();
    let place = after("after");
    operator_page("Accounts", move |tollgate, permit| async move {
        let table = operations::accounts(&tollgate, &permit, &search, &place).await.map_err(Failure::store)?;
        let catalog = tollgate.catalog();
        let body = if table.rows.is_empty() {
            view! {
                <Empty glyph=Glyph::Info title="No such account">
                    "Everybody who signs up has one. Search for a part of an address, or for a Stripe customer."
                </Empty>
            }
            .into_any()
        } else {
            let rows = table.rows.into_iter().map(|row| view! { <Row row catalog=catalog.clone()/> }).collect_view();
            view! {
                <DataTable
                    label="Accounts, table"
                    columns=[Column::Text("Owner"), Column::Text("Plan"), Column::Text("Because"), Column::Text("Customer"), Column::Text("Since (UTC)")]
                >
                    {rows}
                </DataTable>
                <Older path="/admin/accounts" kept=vec![("search", search.clone())] next=table.next/>
            }
            .into_any()
        };
        Ok(view! {
            <Heading title="Accounts"/>
            <Sections/>
            <section class="card" aria-label="Accounts">
                <FilterForm action="/admin/accounts" label="Search accounts" button="Search">
                    <Search name="search" label="Address, account or customer" value=search placeholder="ada@, cus_…"/>
                </FilterForm>
                {body}
            </section>
        }
        .into_any())
    })
}

#[component]
fn Row(row: AccountSummary, catalog: Catalog) -> impl IntoView {
    let AccountSummary { account, entitlement } = row;
    let plan = catalog.plan(&entitlement.tier).map_or_else(|| entitlement.tier.to_string(), |plan| plan.name.clone());
    let because = match &entitlement.reason {
        Reason::NoSubscription => "no subscription".to_owned(),
        Reason::Subscription { status, rule, .. } => format!("{}: {}", status.as_str(), rule.describe()),
    };
    let is_flagged = !entitlement.flags.is_empty();
    view! {
        <tr>
            <th scope="row">
                <a href=account_address(&account.id)>{account.email}</a>
                {account.closed_at.map(|_| view! { " " <span class="badge">"closed"</span> })}
            </th>
            <td>{plan}</td>
            <td>
                {because}
                {is_flagged.then(|| view! { " " <span class="badge badge-warning">"look"</span> })}
            </td>
            <td>{account.customer_id.map(|customer| view! { <code>{customer}</code> })}</td>
            <td><Day at=Timestamp(account.created_at)/></td>
        </tr>
    }
}
