//! The header of every page: navigation, the signed-in user and their plan.

use axum::http::request::Parts;
use leptos::prelude::*;
use server::auth::{SignedIn, Visitor};

use super::icon::{Glyph, Icon};
use crate::api::current_plan;

#[component]
pub fn SiteHeader() -> impl IntoView {
    let who = expect_context::<Visitor>().signed_in;
    let home = if who.is_some() { "/dashboard" } else { "/" };
    view! {
        <header class="site-header">
            <div class="site-bar">
                <Brand home/>
                {match who {
                    Some(who) => view! { <SignedInBar who/> }.into_any(),
                    None => view! { <AnonymousBar/> }.into_any(),
                }}
            </div>
        </header>
    }
}

/// The header without a visitor.
#[component]
pub fn BareHeader() -> impl IntoView {
    view! {
        <header class="site-header">
            <div class="site-bar">
                <Brand home="/"/>
            </div>
        </header>
    }
}

#[component]
fn Brand(home: &'static str) -> impl IntoView {
    view! {
        <a class="brand" href=home>
            <svg class="brand-mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">
                <path d="M4 20V9a8 8 0 0 1 16 0v11M4 14h16M9 14v6M15 14v6"></path>
            </svg>
            <span>"Tollgate"</span>
        </a>
    }
}

#[component]
fn AnonymousBar() -> impl IntoView {
    view! {
        <nav class="site-nav" aria-label="Main">
            <ul>
                <NavLink href="/pricing" name="Pricing"/>
            </ul>
        </nav>
        <div class="site-account">
            <a class="button button-quiet" href="/login" aria-current=current("/login")>"Log in"</a>
            <a class="button" href="/signup" aria-current=current("/signup")>"Sign up"</a>
        </div>
    }
}

#[component]
fn SignedInBar(who: SignedIn) -> impl IntoView {
    let email = who.email.clone();
    view! {
        <nav class="site-nav" aria-label="Main">
            <ul>
                <NavLink href="/dashboard" name="Dashboard"/>
                <NavLink href="/billing" name="Billing"/>
                <NavLink href="/pricing" name="Pricing"/>
                {who.is_operator.then(|| view! { <NavLink href="/admin" name="Operations"/> })}
            </ul>
        </nav>
        <div class="site-account">
            <a class="site-who" href="/account" title=email aria-current=current("/account")>
                <Icon glyph=Glyph::Person/>
                <span class="visually-hidden">"Account"</span>
                <span class="site-email">{who.email}</span>
            </a>
            <PlanBadge/>
            <form method="post" action="/logout">
                <button class="button button-quiet" type="submit">"Log out"</button>
            </form>
        </div>
    }
}

/// The plan's name; nothing on an error page without an entitlement.
#[component]
fn PlanBadge() -> impl IntoView {
    // The success page fetches from Stripe while it renders, which may change the plan.
    let may_have_changed = current("/billing/success").is_some();
    Suspend::new(async move {
        let plan = if may_have_changed { None } else { current_plan().await.ok() }?;
        let class = if plan.is_paid { "badge badge-accent" } else { "badge" };
        Some(view! { <span class=class><span class="visually-hidden">"Plan: "</span>{plan.name}</span> })
    })
}

#[component]
fn NavLink(href: &'static str, name: &'static str) -> impl IntoView {
    view! { <li><a href=href aria-current=current(href)>{name}</a></li> }
}

/// Returns `page` for a link to the current page.
fn current(href: &str) -> Option<&'static str> {
    let parts = use_context::<Parts>()?;
    (parts.uri.path() == href).then_some("page")
}
