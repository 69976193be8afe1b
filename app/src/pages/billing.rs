//! `/billing`: what one pays for, what happens next, what was.

use billing::ledger::{Invoice, InvoiceStatus, Payment, PaymentStatus, Purchase};
use billing::{Catalog, Product, Status, Subscription, Timestamp};
use engine::overview::{self, BillingOverview};
use engine::store::Page;
use engine::store::purchases::PaidPurchase;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use server::Tollgate;

use crate::api::{CurrentPlan, MeterUsage, StartPurchase, current_plan, usage};
use crate::caller::Caller;
use crate::components::{
    Banner, Column, DataTable, Day, Empty, Glyph, Heading, InvoiceBadge, Moment, PortalButton, Refusal, StatusBadge,
    SubscriptionNotice, Tone, UsageMeter, UsageNotices, invoice_address, plan_name, signed_in_page, what_was_bought,
};
use crate::failure::Failure;
use crate::query::{address, after, after_value, parameter};

/// Plan, status in words, next date, usage, what can be bought, invoices, purchases, history.
#[component]
pub fn Billing() -> impl IntoView {
    let notice = parameter("notice");
    let (invoices_after, purchases_after) = (after("invoices"), after("purchases"));
    signed_in_page("Billing", move |Caller { tollgate, permit, .. }| async move {
        let (account, entitlement) = (permit.account_id(), permit.entitlement());
        let overview = overview::overview(&tollgate, account, entitlement).await.map_err(Failure::store)?;
        let (plan, usage) = (current_plan().await?, usage().await?);
        let invoices = overview::invoices(&tollgate, account, &invoices_after).await.map_err(Failure::store)?;
        let purchases = overview::purchases(&tollgate, account, &purchases_after).await.map_err(Failure::store)?;
        Ok(view! {
            <Heading title="Billing"/>
            <Refusal/>
            <Returned notice/>
            <SubscriptionNotice tollgate=tollgate.clone() overview=overview.clone()/>
            <UsageNotices notices=usage.notices here="/billing"/>
            <div class="split">
                <PlanSection plan tollgate=tollgate.clone() overview=overview.clone()/>
                <UsageSection meters=usage.meters/>
            </div>
            <Products products=tollgate.catalog().products().to_vec()/>
            <Invoices page=invoices/>
            <Purchases page=purchases catalog=tollgate.catalog().clone()/>
            <History catalog=tollgate.catalog().clone() past=overview.past/>
        }
        .into_any())
    })
}

/// What one was led here to be told.
#[component]
fn Returned(notice: Option<String>) -> impl IntoView {
    let (title, text) = match notice.as_deref()? {
        "already_subscribed" => (
            "You have a subscription already.",
            "An account has one at a time, so nothing was started and nothing was charged.",
        ),
        "canceled" => ("Nothing was bought.", "You left Stripe's page before paying, and nothing was charged."),
        _ => return None,
    };
    Some(view! { <Banner tone=Tone::Info title><p>{text}</p></Banner> })
}

#[component]
fn PlanSection(plan: CurrentPlan, tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let running = overview.subscription.as_ref().filter(|subscription| !subscription.status.has_ended());
    let facts = running.map(|subscription| {
        view! { <Facts subscription=subscription.clone() catalog=tollgate.catalog().clone() now=tollgate.now()/> }
    });
    view! {
        <section class="card current-plan" aria-labelledby="plan-title">
            <h2 id="plan-title">"Your plan"</h2>
            <p class="current-plan-name">{plan.name}</p>
            <p class="quiet">{plan.summary}</p>
            {facts}
            <div class="actions">
                <a class="button" class:button-primary=!plan.is_highest && running.is_none() href="/pricing">
                    {if plan.is_highest { "See the plans" } else { "Compare plans" }}
                </a>
                {overview.has_customer.then(|| view! { <PortalButton label="Cards, invoices, cancelling"/> })}
            </div>
        </section>
    }
}

#[component]
fn Facts(subscription: Subscription, catalog: Catalog, now: Timestamp) -> impl IntoView {
    let price = subscription.price(&catalog).map(|price| format!("{} per {}", price.amount, price.interval));
    let next = match (&subscription.status, subscription.ends_at()) {
        (_, Some(at)) => Some(("Ends", at)),
        (Status::Trialing, None) => {
            Some(("First payment", subscription.trial_end.unwrap_or_else(|| subscription.period().end)))
        }
        (Status::Active, None) => Some(("Renews", subscription.period().end)),
        (Status::PastDue, None) => {
            let end = subscription.grace_end(&catalog);
            Some((if end > now { "Open until" } else { "Closed since" }, end))
        }
        _ => None,
    };
    view! {
        <dl class="facts">
            <div><dt>"Status"</dt><dd><StatusBadge status=subscription.status.clone()/></dd></div>
            {price.map(|price| view! { <div><dt>"Price"</dt><dd class="money">{price}</dd></div> })}
            {next.map(|(word, at)| view! { <div><dt>{word}</dt><dd><Moment at/></dd></div> })}
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

/// What can be bought once.
#[component]
fn Products(products: Vec<Product>) -> impl IntoView {
    if products.is_empty() {
        return ().into_any();
    }
    let rows = products.into_iter().map(|product| view! { <ProductRow product/> }).collect_view();
    view! {
        <section class="card" aria-labelledby="products-title">
            <div class="section-head">
                <h2 id="products-title">"More when you need it"</h2>
                <p class="quiet">"Bought once. Used when your plan's own are used up, and never out of date."</p>
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
fn Invoices(page: Page<Invoice>) -> impl IntoView {
    let body = if page.rows.is_empty() {
        view! {
            <Empty glyph=Glyph::Receipt title="No invoices yet">
                "With every payment for a plan there is an invoice here, as a page and as a PDF."
            </Empty>
        }
        .into_any()
    } else {
        let older = page.next.as_ref().map(|next| address("/billing", &[("invoices", &after_value(next))]));
        let rows = page.rows.into_iter().map(|invoice| view! { <InvoiceRow invoice/> }).collect_view();
        view! {
            <DataTable
                label="Invoices, table"
                columns=[Column::Text("Number"), Column::Text("Date (UTC)"), Column::Text("Status"), Column::Money("Amount"), Column::Unseen("See it")]
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
fn InvoiceRow(invoice: Invoice) -> impl IntoView {
    let number = invoice.number.clone().unwrap_or_else(|| "–".to_owned());
    let (page, pdf) = (invoice_address::page_of(&invoice.id), invoice_address::pdf_of(&invoice.id));
    let word = if invoice.status == InvoiceStatus::Open { "Pay" } else { "View" };
    view! {
        <tr>
            <th scope="row">{number.clone()}</th>
            <td><Day at=invoice.created/></td>
            <td><InvoiceBadge status=invoice.status.clone()/></td>
            <td class="money">{invoice.total.to_string()}</td>
            <td class="links">
                <a href=page aria-label=format!("{word} invoice {number}")>{word}</a>
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
                columns=[Column::Text("What"), Column::Text("Date (UTC)"), Column::Text("Status"), Column::Money("Amount"), Column::Unseen("Receipt")]
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
    let what = what_was_bought(&purchase, &catalog);
    let (word, tone, more) = standing(&purchase, payment.as_ref());
    let class = tone.map_or_else(|| "badge".to_owned(), |tone| format!("badge badge-{}", tone.as_str()));
    let receipt = payment.and_then(|payment| payment.receipt_url);
    view! {
        <tr>
            <th scope="row">{what.clone()}</th>
            <td><Day at=purchase.created/></td>
            <td>
                <span class=class>{word}</span>
                {more.map(|more| view! { <p class="quiet">{more}</p> })}
            </td>
            <td class="money">{purchase.total.to_string()}</td>
            <td class="links">
                {receipt.map(|url| view! { <a href=url rel="noreferrer" aria-label=format!("Receipt for {what}")>"Receipt"</a> })}
            </td>
        </tr>
    }
}

/// What became of a purchase: a word, its tone, and how much of it is gone.
fn standing(purchase: &Purchase, payment: Option<&Payment>) -> (&'static str, Option<Tone>, Option<String>) {
    let Some(payment) = payment else {
        return if purchase.is_paid {
            ("Paid", Some(Tone::Good), None)
        } else {
            ("On its way", Some(Tone::Info), None)
        };
    };
    let money = |minor| billing::Money::new(minor, payment.amount.currency.clone()).to_string();
    let (refunded, disputed) = (payment.amount_refunded, payment.amount_disputed());
    match &payment.status {
        _ if disputed > 0 => ("Disputed", Some(Tone::Warning), Some(format!("{} held by the bank", money(disputed)))),
        _ if refunded >= payment.amount.minor && refunded > 0 => ("Refunded", None, None),
        _ if refunded > 0 => ("Refunded in part", None, Some(format!("{} came back", money(refunded)))),
        PaymentStatus::Succeeded => ("Paid", Some(Tone::Good), None),
        PaymentStatus::Processing => ("On its way", Some(Tone::Info), None),
        PaymentStatus::Canceled => ("Given up", None, None),
        _ => ("Not paid", Some(Tone::Warning), payment.failure.clone()),
    }
}

#[component]
fn History(catalog: Catalog, past: Vec<Subscription>) -> impl IntoView {
    let body = if past.is_empty() {
        view! {
            <Empty glyph=Glyph::Receipt title="No earlier subscriptions">
                "When a subscription ends, it is kept here with its dates."
            </Empty>
        }
        .into_any()
    } else {
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
            <DataTable
                label="Earlier subscriptions, table"
                columns=[Column::Text("Plan"), Column::Text("Status"), Column::Text("Started (UTC)"), Column::Text("Ended (UTC)")]
            >
                {rows}
            </DataTable>
        }
        .into_any()
    };
    view! {
        <section class="card" aria-labelledby="history-title">
            <h2 id="history-title">"History"</h2>
            {body}
        </section>
    }
}
