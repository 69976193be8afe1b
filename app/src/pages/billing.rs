//! `/billing`: what one pays for, what happens next, what was.

use billing::ledger::{Invoice, Payment, PaymentStatus, Purchase};
use billing::{Catalog, Item, Pause, PauseBehavior, Price, Product, Reason, Rule, Status, Subscription, Timestamp};
use leptos::prelude::*;
use server::overview::LedgerPage;
use server::{BillingOverview, Tollgate};

use crate::components::{
    Banner, Column, DataTable, Day, Empty, Glyph, Heading, InvoiceBadge, Moment, PortalButton, Refusal, StatusBadge,
    Tone, UsageNotices, signed_in_page, usage_meters,
};
use crate::failure::Failure;
use crate::query::{address, after, after_value, parameter};

/// Days before its end in which a trial asks for attention.
const TRIAL_ENDS_SOON: i64 = 3;

/// Plan, status in words, next date, usage, what can be bought, invoices, purchases, history.
#[component]
pub fn Billing() -> impl IntoView {
    let notice = parameter("notice");
    let (invoices_after, purchases_after) = (after("invoices"), after("purchases"));
    signed_in_page("Billing", move |tollgate, who| async move {
        let account = &who.account_id;
        let overview = tollgate.billing_overview(account).await.map_err(Failure::store)?;
        let invoices = tollgate.invoices(account, &invoices_after).await.map_err(Failure::store)?;
        let purchases = tollgate.purchases(account, &purchases_after).await.map_err(Failure::store)?;
        Ok(view! {
            <Heading title="Billing"/>
            <Refusal/>
            <Returned notice/>
            <Notices tollgate=tollgate.clone() overview=overview.clone()/>
            <UsageNotices notices=overview.notices.clone() here="/billing"/>
            <div class="split">
                <CurrentPlan tollgate=tollgate.clone() overview=overview.clone()/>
                <Usage tollgate=tollgate.clone() overview=overview.clone()/>
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

/// What needs to be known or done about the subscription, as banners.
#[component]
pub fn Notices(tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let catalog = tollgate.catalog();
    let subscription = overview.subscription.as_ref()?;
    let Reason::Subscription { id, status, rule } = &overview.entitlement.reason else { return None };
    if *id != subscription.id {
        return None;
    }
    let plan = plan_name(catalog, subscription);
    let grace_end = grace_end(catalog, subscription);
    let pay = overview.owed.as_ref().map(|owed| pay_address(&owed.invoice));
    if let Some(owed) = overview.owed.as_ref().filter(|owed| owed.needs_action) {
        let amount = owed_amount(&owed.invoice);
        return Some(
            view! {
                <Banner tone=Tone::Danger title=format!("Your bank asks you to confirm {amount} for {plan}.")>
                    <p>"The payment waits for you. Confirm it on Stripe's page; it takes a moment."</p>
                    <p class="actions"><a class="button button-primary" href=pay>"Confirm the payment"</a></p>
                </Banner>
            }
            .into_any(),
        );
    }
    if let (Rule::PeriodPaid, Some(pause)) = (rule, &subscription.pause) {
        return Some(view! { <Paused plan pause=pause.clone()/> }.into_any());
    }
    let banner = match rule {
        Rule::PeriodPaid if *status == Status::Trialing => {
            let ends = subscription.trial_end.unwrap_or_else(|| subscription.period().end);
            let is_soon = ends <= tollgate.now().plus_days(TRIAL_ENDS_SOON);
            let due = price_of(catalog, subscription).map(|price| format!("{} per {}", price.amount, price.interval));
            let (tone, title) = match is_soon {
                true => (Tone::Warning, format!("Your free trial of {plan} ends soon.")),
                false => (Tone::Info, format!("Your free trial of {plan} is running.")),
            };
            view! {
                <Banner tone title>
                    <p>
                        "It ends on " <Moment at=ends/> ". "
                        {due.map(|due| format!("Then {plan} goes on for {due}, unless you cancel before."))}
                    </p>
                    <div class="actions"><PortalButton label="Change card or cancel"/></div>
                </Banner>
            }
            .into_any()
        }
        Rule::PeriodPaid => return None,
        Rule::EndsLater => {
            let ends = subscription.ends_at().unwrap_or_else(|| subscription.period().end);
            view! {
                <Banner tone=Tone::Warning title=format!("{plan} is cancelled.")>
                    <p>"Everything stays open until " <Moment at=ends/> ". Then your account is on the free plan. Nothing more is charged."</p>
                    <div class="actions"><PortalButton label="Keep the plan"/></div>
                </Banner>
            }
            .into_any()
        }
        Rule::InGrace => view! {
            <Banner tone=Tone::Warning title=format!("The last payment for {plan} failed.")>
                <p>"Everything stays open until " <Moment at=grace_end/> ". Pay, or give us another card, before then."</p>
                <Mend pay/>
            </Banner>
        }
        .into_any(),
        Rule::GraceOver => view! {
            <Banner tone=Tone::Danger title=format!("{plan} is closed because a payment failed.")>
                <p>"It was open until " <Moment at=grace_end/> ". Pay what is owed and it opens again at once."</p>
                <Mend pay/>
            </Banner>
        }
        .into_any(),
        Rule::Ended => return None,
        Rule::StalePeriod | Rule::UnknownStatus | Rule::UnknownPrice => view! {
            <Banner tone=Tone::Warning title="We are checking your subscription.">
                <p>"What Stripe tells us about it does not add up yet. Nothing for you to do; if this stays for a day, write to us."</p>
            </Banner>
        }
        .into_any(),
        Rule::StatusGivesNothing => match status {
            Status::Incomplete => view! {
                <Banner tone=Tone::Warning title=format!("The first payment for {plan} is not finished.")>
                    <p>"Your bank has to confirm it, or the card was declined. Finish the payment and the plan opens."</p>
                    <Mend pay/>
                </Banner>
            }
            .into_any(),
            Status::Unpaid => view! {
                <Banner tone=Tone::Danger title=format!("{plan} is unpaid and closed.")>
                    <p>"All attempts to collect the payment failed. Pay what is owed and it opens again."</p>
                    <Mend pay/>
                </Banner>
            }
            .into_any(),
            Status::Paused => view! {
                <Banner tone=Tone::Warning title=format!("{plan} is paused.")>
                    <p>"The trial ended without a card. Add one and the plan goes on."</p>
                    <div class="actions"><PortalButton label="Add a card" flow="card" is_primary=true/></div>
                </Banner>
            }
            .into_any(),
            _ => return None,
        },
    };
    Some(banner)
}

/// Payments are paused, which only we can do: there is nothing to do for whoever reads it.
#[component]
fn Paused(plan: String, pause: Pause) -> impl IntoView {
    let until = match pause.resumes_at {
        Some(at) => view! { "Nothing is charged until " <Moment at/> ". " }.into_any(),
        None => view! { "Nothing is charged until we go on with it. " }.into_any(),
    };
    let meanwhile = match pause.behavior {
        PauseBehavior::KeepAsDraft => "What falls due meanwhile is charged then.",
        PauseBehavior::MarkUncollectible | PauseBehavior::Void => {
            "What falls due meanwhile is not charged later either."
        }
        PauseBehavior::Unknown(_) => "",
    };
    view! {
        <Banner tone=Tone::Info title=format!("Payments for {plan} are paused.")>
            <p>{until} "The plan stays as it is. " {meanwhile}</p>
        </Banner>
    }
}

/// The two ways to pay what is owed: on the invoice's page, or by another card.
#[component]
fn Mend(pay: Option<String>) -> impl IntoView {
    let has_page = pay.is_some();
    view! {
        <div class="actions">
            {pay.map(|pay| view! { <a class="button button-primary" href=pay>"Pay now"</a> })}
            <PortalButton label="Change the card" flow="card" is_primary=!has_page/>
        </div>
    }
}

#[component]
fn CurrentPlan(tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let catalog = tollgate.catalog();
    let plan = catalog.plan(&overview.entitlement.tier).unwrap_or_else(|| catalog.free());
    let is_highest = overview.entitlement.rank + 1 == catalog.plans().len();
    let running = overview.subscription.as_ref().filter(|subscription| !subscription.status.has_ended());
    let facts = running.map(|subscription| {
        view! { <Facts subscription=subscription.clone() catalog=catalog.clone() now=tollgate.now()/> }
    });
    view! {
        <section class="card current-plan" aria-labelledby="plan-title">
            <h2 id="plan-title">"Your plan"</h2>
            <p class="current-plan-name">{plan.name.clone()}</p>
            <p class="quiet">{plan.summary.clone()}</p>
            {facts}
            <div class="actions">
                <a class="button" class:button-primary=!is_highest && running.is_none() href="/pricing">
                    {if is_highest { "See the plans" } else { "Compare plans" }}
                </a>
                {overview.has_customer.then(|| view! { <PortalButton label="Cards, invoices, cancelling"/> })}
            </div>
        </section>
    }
}

#[component]
fn Facts(subscription: Subscription, catalog: Catalog, now: Timestamp) -> impl IntoView {
    let price = price_of(&catalog, &subscription).map(|price| format!("{} per {}", price.amount, price.interval));
    let next = match (&subscription.status, subscription.ends_at()) {
        (_, Some(at)) => Some(("Ends", at)),
        (Status::Trialing, None) => {
            Some(("First payment", subscription.trial_end.unwrap_or_else(|| subscription.period().end)))
        }
        (Status::Active, None) => Some(("Renews", subscription.period().end)),
        (Status::PastDue, None) => {
            let end = grace_end(&catalog, &subscription);
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
fn Usage(tollgate: Tollgate, overview: BillingOverview) -> impl IntoView {
    let meters = usage_meters(overview.usage, tollgate.catalog());
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
            <form method="post" action="/api/billing/checkout">
                <input type="hidden" name="product" value=product.key/>
                <button class="button" type="submit" aria-label=format!("Buy {} for {price}", product.name)>"Buy"</button>
            </form>
        </li>
    }
}

#[component]
fn Invoices(page: LedgerPage<Invoice>) -> impl IntoView {
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
    let pdf = address("/billing/invoice", &[("id", invoice.id.as_str()), ("as", "pdf")]);
    let is_open = invoice.status == billing::ledger::InvoiceStatus::Open;
    let (word, page) = (if is_open { "Pay" } else { "View" }, pay_address(&invoice));
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
fn Purchases(page: LedgerPage<(Purchase, Option<Payment>)>, catalog: Catalog) -> impl IntoView {
    if page.rows.is_empty() {
        return ().into_any();
    }
    let older = page.next.as_ref().map(|next| address("/billing", &[("purchases", &after_value(next))]));
    let rows = page
        .rows
        .into_iter()
        .map(|(purchase, payment)| view! { <PurchaseRow purchase payment catalog=catalog.clone()/> })
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

/// The names of what was bought, as the catalogue or, for what it no longer has, Stripe says them.
pub fn what_was_bought(purchase: &Purchase, catalog: &Catalog) -> String {
    let name = |item: &billing::ledger::LineItem| {
        let known = item.product.as_deref().and_then(|key| catalog.product(key));
        let name = known.map_or_else(|| item.description.clone(), |product| product.name.clone());
        if item.quantity > 1 { format!("{} × {name}", item.quantity) } else { name }
    };
    let names: Vec<String> = purchase.items.iter().map(name).filter(|name| !name.is_empty()).collect();
    if names.is_empty() { "A purchase".to_owned() } else { names.join(", ") }
}

/// How many units of which meter a purchase was good for on the day it was bought.
pub fn what_it_grants(purchase: &Purchase, catalog: &Catalog) -> Option<String> {
    let granted = purchase.items.iter().filter_map(|item| item.grants);
    let words: Vec<String> = granted
        .map(|(meter, units)| format!("{} {}", billing::money::grouped(units), catalog.meter_label(meter)))
        .collect();
    (!words.is_empty()).then(|| words.join(" and "))
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

/// Stripe's page of an invoice, by way of ours.
fn pay_address(invoice: &Invoice) -> String {
    address("/billing/invoice", &[("id", invoice.id.as_str())])
}

fn owed_amount(invoice: &Invoice) -> String {
    billing::Money::new(invoice.amount_remaining, invoice.total.currency.clone()).to_string()
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

/// Until when a failed payment is waited for.
fn grace_end(catalog: &Catalog, subscription: &Subscription) -> Timestamp {
    let failed = subscription.past_due_since.unwrap_or_else(|| subscription.period().start);
    failed.plus_days(i64::from(catalog.grace_days()))
}

/// The plan that a subscription stands for, as people know it.
fn plan_name(catalog: &Catalog, subscription: &Subscription) -> String {
    let (tier, _) = subscription.tier(catalog);
    let plan = tier.and_then(|tier| catalog.plan(tier));
    plan.map_or_else(|| "Your plan".to_owned(), |plan| plan.name.clone())
}

/// The catalogue's price of the item that decides the tier; `None` for one no longer sold.
fn price_of<'a>(catalog: &'a Catalog, subscription: &Subscription) -> Option<&'a Price> {
    let plan = catalog.plan(subscription.tier(catalog).0?)?;
    let is_of = |price: &Price, item: &Item| {
        price.id.as_ref() == Some(&item.price) || item.lookup_key.as_deref() == Some(price.lookup_key.as_str())
    };
    plan.prices.iter().find(|price| subscription.items.iter().any(|item| is_of(price, item)))
}
