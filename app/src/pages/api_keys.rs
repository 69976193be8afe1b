//! `/dashboard/api-keys`. A key is shown once, when it is created.

use billing::Catalog;
use billing::money::grouped;
use leptos::prelude::*;
use server::workspace::UsageRange;
use server::workspace::api_keys::{ApiKey, NAME_MAX, api_keys};

use crate::areas::API_KEYS;
use crate::caller::Caller;
use crate::components::{Banner, Day, Empty, Field, Gate, Glyph, Moment, Tone};
use crate::failure::Failure;
use crate::form_state::FormState;

/// The account's keys, and the form that creates one.
#[component]
pub fn ApiKeys() -> impl IntoView {
    let new_key = use_context::<FormState>().and_then(|state| state.new_api_key);
    let inside = move |Caller { tollgate, permit, .. }| async move {
        let keys = api_keys(&tollgate, &permit).await.map_err(Failure::store)?;
        let list = if keys.is_empty() {
            view! {
                <Empty glyph=Glyph::Key title="No keys yet">
                    "A key lets your code call the API. Create one above. " <a href="/api-reference">"Read the API reference"</a>
                </Empty>
            }
            .into_any()
        } else {
            view! { <ul class="rows">{keys.into_iter().map(|key| view! { <Row counts=counts(&key, tollgate.catalog()) key_=key/> }).collect_view()}</ul> }
                .into_any()
        };
        Ok(view! {
            {new_key.map(|key| view! { <NewKey secret=key/> })}
            <section class="card" aria-labelledby="create-title">
                <h2 id="create-title">"Create a key"</h2>
                <form class="form-row" method="post" action=API_KEYS.path novalidate aria-labelledby="create-title">
                    <Field name="name" label="Name" max=NAME_MAX hint="Where you'll use it, so that you can tell your keys apart." placeholder="Billing worker" autocomplete="off"/>
                    <button class="button button-primary" type="submit">"Create key"</button>
                </form>
            </section>
            <section class="card" aria-labelledby="keys-title">
                <h2 id="keys-title">"Your keys"</h2>
                {list}
            </section>
        }
        .into_any())
    };
    view! { <Gate area=&API_KEYS inside/> }
}

#[component]
fn NewKey(secret: String) -> impl IntoView {
    view! {
        <Banner tone=Tone::Good title="Your new key">
            <p>"Copy it now and store it like a password. You won't see it again."</p>
            <label class="visually-hidden" for="new-key">"New API key"</label>
            <input class="secret" id="new-key" type="text" readonly autofocus spellcheck="false" autocomplete="off" value=secret/>
        </Banner>
    }
}

/// Describes a key's usage; empty if it has none.
fn counts(key: &ApiKey, catalog: &Catalog) -> String {
    let used = catalog.meters().iter().filter_map(|each| Some((key.counts.get(&each.meter)?, &each.label)));
    let counts: Vec<String> = used.map(|(count, label)| format!("{} {label}", grouped(*count))).collect();
    if counts.is_empty() {
        String::new()
    } else {
        format!("{} in the last {}", counts.join(", "), UsageRange::Month.label())
    }
}

#[component]
fn Row(key_: ApiKey, counts: String) -> impl IntoView {
    let used = match key_.last_used_at {
        Some(at) => view! { "last used " <Moment at/> }.into_any(),
        None => view! { "never used" }.into_any(),
    };
    let name = key_.name.clone();
    view! {
        <li class="row">
            <div class="row-text">
                <p class="row-title">{key_.name} " " <code>{key_.hint}</code></p>
                <p class="quiet">"Created " <Day at=key_.created_at/> ", " {used}</p>
                {(!counts.is_empty()).then(|| view! { <p class="quiet">{counts}</p> })}
            </div>
            <details class="confirm">
                <summary class="button button-quiet" aria-label=format!("Revoke {name}")>"Revoke"</summary>
                <form method="post" action="/dashboard/api-keys/revoke">
                    <p>{format!("Requests with “{name}” will fail immediately.")}</p>
                    <input type="hidden" name="id" value=key_.id/>
                    <button class="button button-danger" type="submit">"Revoke key"</button>
                </form>
            </details>
        </li>
    }
}
