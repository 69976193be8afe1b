//! `/api-reference`: the API reference as a page.
//!
//! It is generated from `/api/v1/openapi.json`, which is generated from the handlers.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use serde_json::Value;
use server::Tollgate;
use server::http::api;

use crate::components::{Column, DataTable, Heading};

/// Every call with its request, response and status codes.
#[component]
pub fn ApiReference() -> impl IntoView {
    let tollgate = expect_context::<Tollgate>();
    let document = api::document(&tollgate);
    let base = tollgate.config().app_url.as_str().trim_end_matches('/').to_owned();
    let description = text(document, "/info/description").replace('`', "");
    let schemas = document.pointer("/components/schemas").cloned().unwrap_or_default();
    let operations = each(document, "/paths")
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods
                .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
                .collect::<Vec<_>>()
        })
        .map(|(method, path, operation)| {
            view! { <Operation method path operation schemas=schemas.clone() base=base.clone()/> }
        })
        .collect_view();
    view! {
        <Title text="API reference"/>
        <Meta name="description" content="Every API call with its request, response and status codes."/>
        <Heading title="API reference" lead=description/>
        <section class="card" aria-labelledby="authentication-title">
            <h2 id="authentication-title">"Authentication"</h2>
            <p>"Send an API key as a bearer token. You create keys on the " <a href="/dashboard/api-keys">"API keys"</a> " page."</p>
            <pre class="code" tabindex="0"><code>{format!("curl {base}/api/v1/usage -H 'Authorization: Bearer tg_…'")}</code></pre>
            <p>"A signed-in browser can use its session instead. Generate a client from "
                <a href="/api/v1/openapi.json">"openapi.json"</a> " (OpenAPI 3.1)."</p>
        </section>
        {operations}
    }
}

#[component]
fn Operation(method: String, path: String, operation: Value, schemas: Value, base: String) -> impl IntoView {
    let id = text(&operation, "/operationId");
    let name = format!("{method} {path}");
    let body =
        operation.pointer("/requestBody/content/application~1json/schema").map(|schema| resolved(schema, &schemas));
    let example = match method.as_str() {
        "POST" => format!(
            "curl {base}{path} -H 'Authorization: Bearer tg_…' \\\n  -H 'Content-Type: application/json' \\\n  -H 'Idempotency-Key: my-unique-key' \\\n  -d '{{\"prompt\": \"A toll gate at dawn\"}}'"
        ),
        _ => format!("curl {base}{path} -H 'Authorization: Bearer tg_…'"),
    };
    let has_headers = operation.get("parameters").is_some();
    let headers = operation
        .pointer("/parameters")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|parameter| {
            let name = text(parameter, "/name");
            view! { <tr><th scope="row"><code>{name}</code></th><td class="prose">{prose(&text(parameter, "/description"))}</td></tr> }
        })
        .collect_view();
    let statuses = each(&operation, "/responses")
        .map(|(status, response)| {
            view! { <tr><th scope="row">{status}</th><td class="prose">{prose(&text(&response, "/description"))}</td></tr> }
        })
        .collect_view();
    let response = operation
        .pointer("/responses/200/content/application~1json/schema")
        .map(|schema| resolved(schema, &schemas))
        .filter(|schema| schema.get("properties").is_some());
    let (heading, labeled_by) = (id.clone(), id);
    view! {
        <section class="card" aria-labelledby=labeled_by>
            <h2 id=heading><code>{name.clone()}</code></h2>
            <p class="lead">{prose(&text(&operation, "/summary"))}</p>
            <p>{prose(&text(&operation, "/description"))}</p>
            <pre class="code" tabindex="0"><code>{example}</code></pre>
            {body.map(|schema| view! { <h3>"Request"</h3> <Fields label=format!("Request of {name}") schema schemas=schemas.clone()/> })}
            {response.map(|schema| view! { <h3>"Response"</h3> <Fields label=format!("Response of {name}") schema schemas=schemas.clone()/> })}
            {has_headers.then(|| view! {
                <h3>"Headers"</h3>
                <DataTable
                    label=format!("Headers of {name}")
                    columns=[Column::Text("Header"), Column::Text("Description")]
                >
                    {headers}
                </DataTable>
            })}
            <h3>"Status codes"</h3>
            <DataTable label=format!("Status codes of {name}") columns=[Column::Text("Status"), Column::Text("Meaning")]>
                {statuses}
            </DataTable>
        </section>
    }
}

/// A table of an object's fields, nested ones included.
#[component]
fn Fields(label: String, schema: Value, schemas: Value) -> impl IntoView {
    let mut rows = Vec::new();
    collect("", &schema, &schemas, &mut rows);
    let rows = rows
        .into_iter()
        .map(|(name, kind, description)| {
            view! { <tr><th scope="row"><code>{name}</code></th><td>{kind}</td><td class="prose">{prose(&description)}</td></tr> }
        })
        .collect_view();
    view! {
        <DataTable label=label columns=[Column::Text("Field"), Column::Text("Type"), Column::Text("Description")]>
            {rows}
        </DataTable>
    }
}

fn collect(prefix: &str, schema: &Value, schemas: &Value, rows: &mut Vec<(String, String, String)>) {
    for (name, member) in each(schema, "/properties") {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let inner = resolved(&member, schemas);
        rows.push((name.clone(), kind(&inner), text(&member, "/description")));
        let items = inner.get("items").map(|items| resolved(items, schemas));
        collect(&name, items.as_ref().unwrap_or(&inner), schemas, rows);
    }
}

/// Returns the schema that a `$ref` refers to, even if it may be null.
fn resolved(schema: &Value, schemas: &Value) -> Value {
    let choices = ["oneOf", "anyOf"].iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
    let reference = std::iter::once(schema).chain(choices).find_map(|schema| schema.get("$ref")?.as_str());
    let name = reference.and_then(|reference| reference.rsplit('/').next());
    name.and_then(|name| schemas.get(name)).unwrap_or(schema).clone()
}

fn kind(schema: &Value) -> String {
    match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "object".to_owned(),
    }
}

/// Renders a description, with text in backticks as code.
fn prose(text: &str) -> impl IntoView + use<> {
    let pieces = text.split('`').enumerate().map(|(number, piece)| {
        let piece = piece.to_owned();
        if number % 2 == 0 { piece.into_any() } else { view! { <code>{piece}</code> }.into_any() }
    });
    pieces.collect_view()
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn each(value: &Value, pointer: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    value.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default().into_iter()
}
