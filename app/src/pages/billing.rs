//! `/billing`: the plan, its next payment, usage, invoices and purchases.

use billing::ledger::{InvoiceState, InvoiceStatus, Payment, PaymentStatus, Purchase};
use billing::{Catalog, Product, Status, Subscription, Timestamp};
use engine::overview::{self, BilledInvoice, BillingOverview};
use engine::store::Page;
use engine::store::purchases::PaidPurchase;
use futures::future::try_join3;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use server::Tollgate;

use crate::api::{CurrentPlan, MeterUsage, StartPurchase, current_plan, usage};
use crate::caller::Caller;
use crate::components::{
    CheckoutNotice, Column, DataTable, Day, Empty, FormError, Glyph, Heading, InvoiceBadge, PortalButton, StatusBadge,
    SubscriptionNotice, Tone, UsageMeter, UsageNotices, invoice_address, plan_name, purchase_title, signed_in_page,
};
use crate::failure::Failure;
use crate::query::{address, after, after_value, parameter};

/// Plan, usage, products, invoices, purchases and past subscriptions.
#[component]
pub fn Billing() -> impl IntoView {
    let notice = parameter("notice");
    let (invoices_after, purchases_after) = (after("invoices"), after("purchases"));
    signed_in_page("Billing", move |Caller { tollgate, permit, .. }| async move {
        let (account, entitlement) = (permit.account_id(), permit.entitlement());
        let billed = async {
            let read = try_join3(
                overview::overview(&tollgate, account, entitlement),
                overview::invoices(&tollgate, account, &invoices_after),
                overview::purchases(&tollgate, account, &purchases_after),
            );
            Ok(read.await.map_err(Failure::store)?)
        };
        let ((overview, invoices, purchases), plan, usage) = try_join3(billed, current_plan(), usage()).await?;
        Ok(view! {
            <Heading title="Billing"/>
            <FormError/>
            <CheckoutNotice notice/>
            <SubscriptionNotice tollgate=tollgate.clone() overview=overview.clone()/>
            <UsageNotices notices=usage.notices here="/billing"/>
            <div class="split">
                <PlanSection plan tollgate=tollgate.clone() overview=overview.clone()/>
                <UsageSection meters=usage.meters/>
            </div>
            <Products products=tollgate.catalog().products().to_vec()/>
            <Invoices page=invoices/>
            <Purchases page=purchases catalog=tollgate.catalog().clone()/>
            <PastSubscriptions catalog=tollgate.catalog().clone() past=overview.past/>
        }
        .into_any())
    })
}

#[component]
fn PlanSection(plan: CurrentPlan, tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let running = overview.subscription.as_ref().filter(|subscription| !subscription.status.has_ended());
    let facts = running.map(|subscription| {
        let until = overview.entitlement.until;
        view! { <Facts subscription=subscription.clone() catalog=tollgate.catalog().clone() until/> }
    });
    view! {
        <section class="card current-plan" aria-labelledby="plan-title">
            <h2 id="plan-title">"Your plan"</h2>
            <p class="current-plan-name">{plan.name}</p>
            <p class="quiet">{plan.summary}</p>
            {facts}
            <div class="actions">
                <a class="button" class:button-primary=!plan.is_highest && running.is_none() href="/pricing">"Compare plans"</a>
                {overview.has_customer.then(|| view! { <PortalButton label="Manage billing"/> })}
            </div>
        </section>
    }
}

#[component]
fn Facts(
    subscription: Subscription,
    catalog: Catalog,
    /// The end of the account's access, if it has any.
    #[prop(optional_no_strip)]
    until: Option<Timestamp>,
) -> impl IntoView {
    let price = subscription.price(&catalog).map(|price| format!("{}/{}", price.amount, price.interval));
    let next = match (&subscription.status, subscription.ends_at()) {
        (_, Some(at)) => Some(("Ends", at)),
        (Status::Trialing, None) => {
            Some(("First payment", subscription.trial_end.unwrap_or_else(|| subscription.period().end)))
        }
        (Status::Active, None) => Some(("Renews", subscription.period().end)),
        (_, None) if subscription.is_unpaid() => Some(match until {
            Some(end) => ("Access until", end),
            None => ("Access ended", subscription.grace_end(&catalog)),
        }),
        _ => None,
    };
    view! {
        <dl class="facts">
            <div><dt>"Status"</dt><dd><StatusBadge status=subscription.status.clone()/></dd></div>
            {price.map(|price| view! { <div><dt>"Price"</dt><dd class="money">{price}</dd></div> })}
            {next.map(|(label, at)| view! { <div><dt>{label}</dt><dd><Day at/></dd></div> })}
        </dl>
    }
}

#[component]
fn UsageSection(meters: Vec<MeterUsage>) -> impl IntoView {
    let meters = meters.into_iter().map(|meter| view! { <UsageMeter meter/> }).collect_view();
    view! {
        <section class="card" aria-labelledby="usage-title">
            <h2 id="usage-title">"Usage"</h2>
            <div class="meters">{meters}</div>
        </section>
    }
}

#[component]
fn Products(products: Vec<Product>) -> impl IntoView {
    if products.is_empty() {
        return ().into_any();
    }
    let (title, text) = if products.iter().all(|product| product.grants.is_some()) {
        ("Extra credits", "Pay once. Credits are used after your plan's limit and don't expire.")
    } else {
        ("Add-ons", "Pay once, with no subscription.")
    };
    let rows = products.into_iter().map(|product| view! { <ProductRow product/> }).collect_view();
    view! {
        <section class="card" aria-labelledby="products-title">
            <div class="section-head">
                <h2 id="products-title">{title}</h2>
                <p class="quiet">{text}</p>
            </div>
            <ul class="rows">{rows}</ul>
        </section>
    }
    .into_any()
}

#[component]
fn ProductRow(product: Product) -> impl IntoView {
    let price = product.amount.to_string();
    view! {
        <li class="row row-sale">
            <div class="row-text">
                <p class="row-title">{product.name.clone()}</p>
                <p class="quiet">{product.summary.clone()}</p>
            </div>
            <p class="money">{price.clone()}</p>
            <form method="post" action=StartPurchase::url()>
                <input type="hidden" name="product" value=product.key/>
                <button class="button" type="submit" aria-label=format!("Buy {} for {price}", product.name)>"Buy"</button>
            </form>
        </li>
    }
}

#[component]
fn Invoices(page: Page<BilledInvoice>) -> impl IntoView {
    let body = if page.rows.is_empty() {
        view! {
            <Empty glyph=Glyph::Receipt title="No invoices yet">
                "Each payment for your plan adds an invoice here, with a PDF."
            </Empty>
        }
        .into_any()
    } else {
        let older = page.next.as_ref().map(|next| address("/billing", &[("invoices", &after_value(next))]));
        let rows = page.rows.into_iter().map(|billed| view! { <InvoiceRow billed/> }).collect_view();
        view! {
            <DataTable
                label="Invoices, table"
                columns=[Column::Text("Number"), Column::Text("Date (UTC)"), Column::Text("Status"), Column::Money("Amount"), Column::Unseen("Links")]
            >
                {rows}
            </DataTable>
            {older.map(|older| view! { <p class="actions"><a class="button" href=older>"Older invoices"</a></p> })}
        }
        .into_any()
    };
    view! {
        <section class="card" aria-labelledby="invoices-title">
            <h2 id="invoices-title">"Invoices"</h2>
            {body}
        </section>
    }
}

#[component]
fn InvoiceRow(billed: BilledInvoice) -> impl IntoView {
    let invoice = &billed.invoice;
    let total = invoice.total.to_string();
    let number = invoice.number.clone().unwrap_or_else(|| "–".to_owned());
    let (page, pdf) = (invoice_address::page_of(&invoice.id), invoice_address::pdf_of(&invoice.id));
    let is_pending = billed.standing.state == InvoiceState::Pending;
    let verb = if invoice.status == InvoiceStatus::Open && !is_pending { "Pay" } else { "View" };
    view! {
        <tr>
            <th scope="row">{number.clone()}</th>
            <td><Day at=invoice.created/></td>
            <td><InvoiceBadge billed=billed.clone()/></td>
            <td class="money">{total}</td>
            <td class="links">
                <a href=page aria-label=format!("{verb} invoice {number}")>{verb}</a>
                " "
                <a href=pdf aria-label=format!("PDF of invoice {number}")>"PDF"</a>
            </td>
        </tr>
    }
}

#[component]
fn Purchases(page: Page<PaidPurchase>, catalog: Catalog) -> impl IntoView {
    if page.rows.is_empty() {
        return ().into_any();
    }
    let older = page.next.as_ref().map(|next| address("/billing", &[("purchases", &after_value(next))]));
    let rows = page
        .rows
        .into_iter()
        .map(|PaidPurchase { purchase, payment }| view! { <PurchaseRow purchase payment catalog=catalog.clone()/> })
        .collect_view();
    view! {
        <section class="card" aria-labelledby="purchases-title">
            <h2 id="purchases-title">"Purchases"</h2>
            <DataTable
                label="Purchases, table"
                columns=[Column::Text("Item"), Column::Text("Date (UTC)"), Column::Text("Status"), Column::Money("Amount"), Column::Unseen("Receipt")]
            >
                {rows}
            </DataTable>
            {older.map(|older| view! { <p class="actions"><a class="button" href=older>"Older purchases"</a></p> })}
        </section>
    }
    .into_any()
}

#[component]
fn PurchaseRow(purchase: Purchase, payment: Option<Payment>, catalog: Catalog) -> impl IntoView {
    let what = purchase_title(&purchase, &catalog);
    let (status, tone, detail) = purchase_status(&purchase, payment.as_ref());
    let class = tone.map_or_else(|| "badge".to_owned(), |tone| format!("badge badge-{}", tone.as_str()));
    let receipt = payment.and_then(|payment| payment.receipt_url);
    view! {
        <tr>
            <th scope="row">{what.clone()}</th>
            <td><Day at=purchase.created/></td>
            <td>
                <span class=class>{status}</span>
                {detail.map(|detail| view! { <p class="quiet">{detail}</p> })}
            </td>
            <td class="money">{purchase.total.to_string()}</td>
            <td class="links">
                {receipt.map(|url| view! { <a href=url rel="noreferrer" aria-label=format!("Receipt for {what}")>"Receipt"</a> })}
            </td>
        </tr>
    }
}

/// Returns a purchase's status, its tone and a detail, such as how much was refunded.
fn purchase_status(purchase: &Purchase, payment: Option<&Payment>) -> (&'static str, Option<Tone>, Option<String>) {
    let Some(payment) = payment else {
        return if purchase.is_paid { ("Paid", Some(Tone::Good), None) } else { ("Pending", Some(Tone::Info), None) };
    };
    let money = |minor| billing::Money::new(minor, payment.amount.currency.clone()).to_string();
    let (refunded, disputed) = (payment.amount_refunded, payment.amount_disputed());
    match &payment.status {
        _ if disputed > 0 => ("Disputed", Some(Tone::Warning), Some(format!("{} held by your bank", money(disputed)))),
        _ if refunded >= payment.amount.minor && refunded > 0 => ("Refunded", None, None),
        _ if refunded > 0 => ("Partly refunded", None, Some(format!("{} refunded", money(refunded)))),
        PaymentStatus::Succeeded => ("Paid", Some(Tone::Good), None),
        PaymentStatus::Processing => ("Pending", Some(Tone::Info), None),
        PaymentStatus::Canceled => ("Canceled", None, None),
        _ => ("Unpaid", Some(Tone::Warning), payment.failure.clone()),
    }
}

#[component]
fn PastSubscriptions(catalog: Catalog, past: Vec<Subscription>) -> impl IntoView {
    if past.is_empty() {
        return ().into_any();
    }
    let rows = past
        .into_iter()
        .map(|subscription| {
            let ended = subscription.ended_at.unwrap_or_else(|| subscription.period().end);
            view! {
                <tr>
                    <th scope="row">{plan_name(&catalog, &subscription)}</th>
                    <td><StatusBadge status=subscription.status.clone()/></td>
                    <td><Day at=subscription.created/></td>
                    <td><Day at=ended/></td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="card" aria-labelledby="past-title">
            <h2 id="past-title">"Past subscriptions"</h2>
            <DataTable
                label="Past subscriptions, table"
                columns=[Column::Text("Plan"), Column::Text("Status"), Column::Text("Started (UTC)"), Column::Text("Ended (UTC)")]
            >
                {rows}
            </DataTable>
        </section>
    }
    .into_any()
}
