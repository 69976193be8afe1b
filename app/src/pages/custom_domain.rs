//! `/dashboard/custom-domain`: the account's domain and its DNS record.

use leptos::prelude::*;
use server::workspace::custom_domain::custom_domain;

use crate::areas::CUSTOM_DOMAIN;
use crate::caller::Caller;
use crate::components::{Empty, Field, Gate, Glyph};
use crate::failure::Failure;

/// The account's domain, and the form that sets it.
#[component]
pub fn CustomDomain() -> impl IntoView {
    let inside = move |Caller { tollgate, permit, .. }| async move {
        let domain = custom_domain(&tollgate, &permit).await.map_err(Failure::store)?;
        let target = tollgate.config().app_url.host_str().unwrap_or("localhost").to_owned();
        let record = match domain.clone() {
            Some(domain) => view! { <Record domain target/> }.into_any(),
            None => view! {
                <Empty glyph=Glyph::Globe title="No domain yet">
                    "Save a domain above to see the DNS record to add."
                </Empty>
            }
            .into_any(),
        };
        Ok(view! {
            <section class="card" aria-labelledby="domain-title">
                <h2 id="domain-title">"Your domain"</h2>
                <form class="form-row" method="post" action=CUSTOM_DOMAIN.path novalidate aria-labelledby="domain-title">
                    <Field name="domain" label="Domain" initial=domain.unwrap_or_default() placeholder="app.example.com" hint="A subdomain of a domain you own." autocomplete="off"/>
                    <button class="button button-primary" type="submit">"Save domain"</button>
                </form>
            </section>
            <section class="card" aria-labelledby="record-title">
                <h2 id="record-title">"DNS record"</h2>
                {record}
            </section>
        }
        .into_any())
    };
    view! { <Gate area=&CUSTOM_DOMAIN inside/> }
}

#[component]
fn Record(domain: String, target: String) -> impl IntoView {
    view! {
        <p class="quiet">"Add this record at your DNS provider. DNS changes can take up to 24 h."</p>
        <dl class="facts facts-code">
            <div><dt>"Type"</dt><dd><code>"CNAME"</code></dd></div>
            <div><dt>"Name"</dt><dd><code>{domain}</code></dd></div>
            <div><dt>"Target"</dt><dd><code>{target}</code></dd></div>
        </dl>
    }
}
