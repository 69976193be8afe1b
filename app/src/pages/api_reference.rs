//! `/api-reference`: the API's own description, to be read by people.
//!
//! Everything on it comes out of `/api/v1/openapi.json`, and so out of the handlers.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use serde_json::Value;
use server::Tollgate;
use server::http::api;

use crate::components::{Column, DataTable, Heading};

/// Every call, what it takes and what it answers.
#[component]
pub fn ApiReference() -> impl IntoView {
    let tollgate = expect_context::<Tollgate>();
    // It is made of texts and maps of texts: there is nothing to fail on.
    let document = serde_json::to_value(api::document(&tollgate)).unwrap_or_default();
    let base = tollgate.config().app_url.as_str().trim_end_matches('/').to_owned();
    let description = text(&document, "/info/description").replace('`', "");
    let schemas = document.pointer("/components/schemas").cloned().unwrap_or_default();
    let operations = each(&document, "/paths")
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
        <Meta name="description" content="Every call of the API: what it takes, what it answers, what it counts."/>
        <Heading title="API reference" lead=description/>
        <section class="card" aria-labelledby="who-title">
            <h2 id="who-title">"Saying who you are"</h2>
            <p>"Send an API key, which paid plans make on " <a href="/dashboard/api-keys">"API keys"</a> ":"</p>
            <pre class="code" tabindex="0"><code>{format!("curl {base}/api/v1/usage -H 'Authorization: Bearer tg_…'")}</code></pre>
            <p>"A browser that is signed in may call with its session. The description for programs is "
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
            "curl {base}{path} -H 'Authorization: Bearer tg_…' \\\n  -H 'Content-Type: application/json' \\\n  -H 'Idempotency-Key: my-own-key' \\\n  -d '{{\"prompt\": \"A toll gate at dawn\"}}'"
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
    let answers = each(&operation, "/responses")
        .map(|(status, answer)| {
            view! { <tr><th scope="row">{status}</th><td class="prose">{prose(&text(&answer, "/description"))}</td></tr> }
        })
        .collect_view();
    let answer = operation
        .pointer("/responses/200/content/application~1json/schema")
        .map(|schema| resolved(schema, &schemas))
        .filter(|schema| schema.get("properties").is_some());
    let (heading, labelled_by) = (id.clone(), id);
    view! {
        <section class="card" aria-labelledby=labelled_by>
            <h2 id=heading><code>{name.clone()}</code></h2>
            <p class="lead">{prose(&text(&operation, "/summary"))}</p>
            <p>{prose(&text(&operation, "/description"))}</p>
            <pre class="code" tabindex="0"><code>{example}</code></pre>
            {body.map(|schema| view! { <h3>"What it takes"</h3> <Fields label=format!("Fields of {name}") schema schemas=schemas.clone()/> })}
            {answer.map(|schema| view! { <h3>"What it answers"</h3> <Fields label=format!("Answer of {name}") schema schemas=schemas.clone()/> })}
            {has_headers.then(|| view! {
                <h3>"Headers"</h3>
                <DataTable
                    label=format!("Headers of {name}")
                    columns=[Column::Text("Header"), Column::Text("What for")]
                >
                    {headers}
                </DataTable>
            })}
            <h3>"Statuses"</h3>
            <DataTable label=format!("Statuses of {name}") columns=[Column::Text("Status"), Column::Text("When")]>
                {answers}
            </DataTable>
        </section>
    }
}

/// The members of an object, and of the objects in it.
#[component]
fn Fields(label: String, schema: Value, schemas: Value) -> impl IntoView {
    let mut rows = Vec::new();
    collect("", &schema, &schemas, &mut rows);
    let rows = rows
        .into_iter()
        .map(|(name, kind, what)| {
            view! { <tr><th scope="row"><code>{name}</code></th><td>{kind}</td><td class="prose">{prose(&what)}</td></tr> }
        })
        .collect_view();
    view! {
        <DataTable label=label columns=[Column::Text("Field"), Column::Text("Kind"), Column::Text("What it is")]>
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

/// What a `$ref` refers to, also when null may stand in its place.
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

/// A description, with what stands between backticks as code.
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
