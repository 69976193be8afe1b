//! `/admin/accounts?search=&payments=&after=`

use billing::{Catalog, Reason, Timestamp};
use engine::store::accounts::{AccountFilter, PaymentFilter};
use leptos::prelude::*;
use server::admin::accounts::{self, AccountSummary};

use super::filter::{Choice, FilterForm, Search};
use super::links::account_address;
use super::older::Older;
use super::sections::Sections;
use crate::caller::Operator;
use crate::components::{Column, DataTable, Day, Empty, Glyph, Heading, operator_page};
use crate::failure::Failure;
use crate::query::{after, parameter};

/// Accounts, newest first or, when searched, by address, each with its plan and the reason.
#[component]
pub fn Accounts() -> impl IntoView {
    let search = parameter("search").unwrap_or_default().trim().to_owned();
    let payment = parameter("payments").as_deref().and_then(PaymentFilter::parse);
    let payments = payment.map(PaymentFilter::as_str);
    let cursor = after("after");
    operator_page("Accounts", move |Operator { tollgate, permit }| async move {
        let filter = AccountFilter { text: search.clone(), payment };
        let page = accounts::accounts(&tollgate, &permit, &filter, &cursor).await.map_err(Failure::store)?;
        let catalog = tollgate.catalog();
        let body = if page.rows.is_empty() {
            view! {
                <Empty glyph=Glyph::Info title="No accounts">
                    "Search for the beginning of an e-mail address, or for the id of an account or a Stripe customer."
                </Empty>
            }
            .into_any()
        } else {
            let rows = page.rows.into_iter().map(|row| view! { <Row row catalog=catalog.clone()/> }).collect_view();
            view! {
                <DataTable
                    label="Accounts, table"
                    columns=[Column::Text("Owner"), Column::Text("Plan"), Column::Text("Reason"), Column::Text("Customer"), Column::Text("Created (UTC)")]
                >
                    {rows}
                </DataTable>
                <Older path="/admin/accounts" kept=vec![("search", search.clone()), ("payments", payments.unwrap_or_default().to_owned())] next=page.next/>
            }
            .into_any()
        };
        Ok(view! {
            <Heading title="Accounts"/>
            <Sections/>
            <section class="card" aria-label="Accounts">
                <FilterForm action="/admin/accounts" label="Search accounts" button="Search">
                    <Search name="search" label="E-mail, account or customer" value=search placeholder="ada@, cus_…"/>
                    <Choice name="payments" label="Payments" values=PaymentFilter::ALL.map(PaymentFilter::as_str).to_vec() chosen=payments/>
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
    let reason = match &entitlement.reason {
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
                {reason}
                {is_flagged.then(|| view! { " " <span class="badge badge-warning">"needs attention"</span> })}
            </td>
            <td>{account.customer_id.map(|customer| view! { <code>{customer}</code> })}</td>
            <td><Day at=Timestamp(account.created_at)/></td>
        </tr>
    }
}
