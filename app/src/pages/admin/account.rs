//! `/admin/account?id=`: an account, its plan and the reason for it.

use billing::{AccountId, Catalog, Subscription, Timestamp};
use engine::overview::BilledInvoice;
use engine::store::purchases::PaidPurchase;
use engine::store::subscriptions::Revision;
use leptos::prelude::*;
use server::admin::accounts::{self, AccountDetail};
use server::admin::{describe_flag, describe_reason};

use super::sections::Sections;
use crate::api::MeterUsage;
use crate::caller::Operator;
use crate::components::{
    Banner, Column, DataTable, Day, Heading, InvoiceBadge, Moment, StatusBadge, Tone, UsageMeter, operator_page,
    purchase_title,
};
use crate::failure::Failure;
use crate::query::{address, parameter};

/// Entitlement and reason, subscriptions and their revisions, usage, invoices and purchases.
#[component]
pub fn AccountPage() -> impl IntoView {
    let id = AccountId::new(parameter("id").unwrap_or_default());
    operator_page("Account", move |Operator { tollgate, permit }| async move {
        let found = accounts::account(&tollgate, &permit, &id).await.map_err(Failure::store)?;
        let detail = found.ok_or(Failure::NotFound)?;
        let flags = detail.entitlement.flags.iter().map(describe_flag);
        let flags = flags.map(|flag| view! { <Banner tone=Tone::Warning title=flag/> }).collect_view();
        let usage = detail.usage.iter().map(|reading| MeterUsage::of(tollgate.catalog(), reading));
        let meters = usage.map(|meter| view! { <UsageMeter meter/> }).collect_view();
        Ok(view! {
            <Heading title=detail.account.email.clone()/>
            <Sections/>
            {flags}
            <div class="split">
                <Plan detail=detail.clone() catalog=tollgate.catalog().clone()/>
                <section class="card" aria-labelledby="usage-title">
                    <h2 id="usage-title">"Usage"</h2>
                    <div class="meters">{meters}</div>
                </section>
            </div>
            <Subscriptions revisions=detail.subscriptions/>
            <Ledger invoices=detail.invoices purchases=detail.purchases catalog=tollgate.catalog().clone()/>
        }
        .into_any())
    })
}

#[component]
fn Plan(detail: AccountDetail, catalog: Catalog) -> impl IntoView {
    let entitlement = &detail.entitlement;
    let plan = catalog.plan(&entitlement.tier).map_or_else(|| entitlement.tier.to_string(), |plan| plan.name.clone());
    let customer = detail.customer.map(|customer| {
        let href = address("/admin/events", &[("about", customer.as_str())]);
        view! { <div><dt>"Customer"</dt><dd><a href=href><code>{customer.to_string()}</code></a></dd></div> }
    });
    view! {
        <section class="card" aria-labelledby="plan-title">
            <h2 id="plan-title">{plan}</h2>
            <p>{describe_reason(&entitlement.reason)}</p>
            <dl class="facts">
                {entitlement.until.map(|at| view! { <div><dt>"Until"</dt><dd><Moment at/></dd></div> })}
                <div><dt>"Account"</dt><dd><code>{detail.account.id}</code></dd></div>
                {customer}
                <div><dt>"Signed up"</dt><dd><Moment at=Timestamp(detail.account.created_at)/></dd></div>
                {detail.account.closed_at.map(|at| view! { <div><dt>"Closed"</dt><dd><Moment at=Timestamp(at)/></dd></div> })}
            </dl>
        </section>
    }
}

#[component]
fn Subscriptions(revisions: Vec<Revision>) -> impl IntoView {
    if revisions.is_empty() {
        return ().into_any();
    }
    let rows = revisions.into_iter().map(|revision| view! { <SubscriptionRow revision/> }).collect_view();
    view! {
        <section class="card" aria-labelledby="subscriptions-title">
            <h2 id="subscriptions-title">"Subscriptions"</h2>
            <DataTable
                label="Subscriptions, table"
                columns=[Column::Text("Subscription"), Column::Text("Status"), Column::Text("Period (UTC)"), Column::Text("Last change")]
            >
                {rows}
            </DataTable>
        </section>
    }
    .into_any()
}

#[component]
fn SubscriptionRow(revision: Revision) -> impl IntoView {
    let Revision { subscription, cause, written_at, version } = revision;
    let href = address("/admin/events", &[("about", subscription.id.as_str())]);
    let (id, period) = (subscription.id.to_string(), subscription.period());
    let prices: Vec<String> = subscription
        .items
        .iter()
        .map(|item| item.lookup_key.clone().unwrap_or_else(|| item.price.to_string()))
        .collect();
    view! {
        <tr>
            <th scope="row"><a href=href><code>{id}</code></a><p class="quiet">{prices.join(", ")}</p></th>
            <td><StatusBadge status=subscription.status.clone()/> <Upcoming subscription/></td>
            <td><Day at=period.start/> " – " <Day at=period.end/></td>
            <td><Moment at=written_at/><p class="quiet">{format!("revision {version}, cause: {cause}")}</p></td>
        </tr>
    }
}

#[component]
fn Upcoming(subscription: Subscription) -> impl IntoView {
    let ends = subscription.ends_at().filter(|_| !subscription.status.has_ended());
    let paused = subscription.pause.map(|pause| {
        let until = pause.resumes_at.map(|at| view! { " until " <Moment at/> });
        view! { <p class="quiet">{format!("payments paused ({})", pause.behavior.as_str())} {until}</p> }
    });
    view! {
        {ends.map(|at| view! { <p class="quiet">"ends " <Moment at/></p> })}
        {paused}
    }
}

#[component]
fn Ledger(invoices: Vec<BilledInvoice>, purchases: Vec<PaidPurchase>, catalog: Catalog) -> impl IntoView {
    if invoices.is_empty() && purchases.is_empty() {
        return ().into_any();
    }
    let invoices = invoices
        .into_iter()
        .map(|billed| {
            let invoice = billed.invoice.clone();
            view! {
                <tr>
                    <th scope="row"><code>{invoice.id.to_string()}</code></th>
                    <td>{invoice.number.clone()}</td>
                    <td><Day at=invoice.created/></td>
                    <td><InvoiceBadge billed/></td>
                    <td class="money">{invoice.total.to_string()}</td>
                </tr>
            }
        })
        .collect_view();
    let purchases = purchases
        .into_iter()
        .map(|PaidPurchase { purchase, payment }| {
            let state = payment.map_or_else(|| "free".to_owned(), |payment| payment.status.as_str().to_owned());
            view! {
                <tr>
                    <th scope="row"><code>{purchase.payment.as_ref().map_or("–", |id| id.as_str()).to_owned()}</code></th>
                    <td>{purchase_title(&purchase, &catalog)}</td>
                    <td><Day at=purchase.created/></td>
                    <td>{state}</td>
                    <td class="money">{purchase.total.to_string()}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="card" aria-labelledby="ledger-title">
            <h2 id="ledger-title">"Invoices and purchases"</h2>
            <DataTable
                label="Invoices and purchases, table"
                columns=[Column::Text("Stripe id"), Column::Text("Item"), Column::Text("Date (UTC)"), Column::Text("Status"), Column::Money("Amount")]
            >
                {invoices}{purchases}
            </DataTable>
        </section>
    }
    .into_any()
}
