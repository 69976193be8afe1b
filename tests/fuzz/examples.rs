//! Valid requests, each with the part that is fuzzed.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::{App, Visitor};

/// A valid request.
pub struct Example {
    pub method: &'static str,
    pub path: &'static str,
    pub visitor: Visitor,
    pub part: Part,
}

/// The part of a request that is fuzzed.
pub enum Part {
    /// The path itself.
    Path,
    /// The names and values of the query.
    Query(Vec<(&'static str, String)>),
    /// The names and values of a posted form.
    Form(Vec<(&'static str, String)>),
    /// The cookies of a posted form.
    Cookies(String, Vec<(&'static str, String)>),
    /// A header. With a body, it is a JSON request.
    Header(&'static str, String),
    /// A body of JSON.
    Json(Value),
    /// The body of a webhook, signed after it was changed.
    Event(Value),
    /// The signature of a webhook.
    Signature(Value),
}

/// The examples, each with its weight.
pub fn examples(app: &App, events: Vec<Value>) -> Vec<(u32, Example)> {
    let mut all = forms(app);
    all.extend(queries(app));
    all.extend(headers(app));
    all.extend(prompts());
    for address in &app.addresses {
        assert!(all.iter().any(|(_, example)| example.path == *address), "{address} needs an example");
    }
    let webhook = |part| Example { method: "POST", path: "/api/stripe/webhook", visitor: Visitor::Anonymous, part };
    all.push((40, webhook(Part::Signature(events[0].clone()))));
    let events = events.into_iter().chain(fixtures());
    all.extend(events.map(|event| (1, webhook(Part::Event(event)))));
    all
}

/// The weight, the address, the visitor, and the names and values of a form or query.
type Fields<'a> = (u32, &'static str, Visitor, &'a [(&'static str, &'a str)]);

fn fields(fields: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// Every address that takes a form. Logging out and closing the account would end the session, so the
/// first is sent without one, and the second with a wrong password.
fn forms(app: &App) -> Vec<(u32, Example)> {
    use Visitor::{Anonymous, Customer, Operator};
    let id = app.account.as_str();
    let forms: [Fields<'_>; 20] = [
        // Mostly too short, because hashing a password is slow.
        (4, "/signup", Anonymous, &[("email", "eve@example.com"), ("password", "short"), ("next", "/pricing")]),
        (1, "/login", Anonymous, &[("email", "eve@example.com"), ("password", "wrong"), ("next", "/billing")]),
        (1, "/logout", Anonymous, &[]),
        (3, "/theme", Anonymous, &[("theme", "dark"), ("next", "/pricing?plan=PRO")]),
        (1, "/account/close", Customer, &[("password", "wrong horse")]),
        (3, "/admin/changes/retry", Operator, &[("account", id), ("number", "1")]),
        (3, "/admin/changes/skip", Operator, &[("account", id), ("number", "1")]),
        (3, "/admin/replay", Operator, &[("id", "evt_1")]),
        (1, "/admin/compare", Operator, &[]),
        (4, "/api/billing/checkout", Customer, &[("product", "ai-500")]),
        (4, "/api/billing/portal", Customer, &[("flow", "card")]),
        (4, "/api/billing/subscribe", Customer, &[("plan", "PRO"), ("interval", "month")]),
        (4, "/dashboard/notices/dismiss", Customer, &[("meter", "apiCallsPerMonth"), ("percent", "80"), ("next", "/")]),
        (3, "/dashboard/api-keys", Operator, &[("name", "build server")]),
        (3, "/dashboard/api-keys/revoke", Operator, &[("id", "key_1")]),
        (3, "/dashboard/custom-domain", Operator, &[("domain", "app.example.com")]),
        (3, "/dashboard/support", Operator, &[("subject", "Hello"), ("body", "There is a problem.\nPlease help.")]),
        // A form at an address that takes none.
        (1, "/pricing", Anonymous, &[("plan", "PRO")]),
        (1, "/api/v1/usage", Visitor::Key, &[("a", "b")]),
        (1, "/readyz", Anonymous, &[("a", "b")]),
    ];
    let forms = forms.into_iter().map(|(weight, path, visitor, form)| {
        (weight, Example { method: "POST", path, visitor, part: Part::Form(fields(form)) })
    });
    let replayed = fields(&[("id", &app.event)]);
    let replay = Example { method: "POST", path: "/admin/replay", visitor: Operator, part: Part::Form(replayed) };
    // Only logins read it.
    let device = app.cookie.split("; ").find(|cookie| cookie.starts_with("tollgate-device=")).unwrap().to_owned();
    let right = fields(&[("email", "ada@example.com"), ("password", "correct horse")]);
    let known = Example { method: "POST", path: "/login", visitor: Anonymous, part: Part::Cookies(device, right) };
    forms.chain([(2, replay), (1, known)]).collect()
}

/// Every page and link that reads its query, and the spelling of paths.
fn queries(app: &App) -> Vec<(u32, Example)> {
    use Visitor::{Anonymous, Customer, Key, Operator};
    let id = app.account.as_str();
    let queries: [Fields<'_>; 31] = [
        (2, "/", Anonymous, &[("notice", "closed")]),
        (3, "/pricing", Customer, &[("plan", "PRO"), ("interval", "year"), ("notice", "canceled")]),
        (2, "/signup", Anonymous, &[("next", "/billing/upgrade?feature=analytics")]),
        (2, "/login", Anonymous, &[("next", "/dashboard/analytics?from=a&to=b")]),
        (
            2,
            "/billing",
            Customer,
            &[("notice", "already_subscribed"), ("invoices", "1790000000.in_1"), ("purchases", "1.x")],
        ),
        (3, "/billing/success", Customer, &[("session_id", "cs_test_1")]),
        (2, "/billing/upgrade", Customer, &[("feature", "analytics"), ("next", "/dashboard")]),
        (3, "/billing/invoice", Operator, &[("id", "in_1"), ("as", "pdf")]),
        (2, "/billing/return", Customer, &[]),
        (1, "/api/billing/plan", Customer, &[]),
        (1, "/api/billing/usage", Customer, &[]),
        (1, "/account", Customer, &[("notice", "a")]),
        (1, "/dashboard", Customer, &[("notice", "a")]),
        (1, "/dashboard/meters", Customer, &[("a", "b")]),
        (3, "/dashboard/analytics", Operator, &[("range", "90d")]),
        // The file contains the names that customers gave their keys.
        (3, "/dashboard/analytics/export", Operator, &[("range", "30d")]),
        (2, "/dashboard/api-keys", Operator, &[("a", "b")]),
        (1, "/dashboard/custom-domain", Operator, &[("a", "b")]),
        (1, "/dashboard/support", Operator, &[("notice", "sent")]),
        (1, "/admin", Operator, &[("notice", "a")]),
        (3, "/admin/events", Operator, &[("state", "parked"), ("about", "cus_1"), ("after", "1790000000.evt_1")]),
        (2, "/admin/changes", Operator, &[("state", "pending"), ("account", "acc_1"), ("after", "1790000000.evt_1")]),
        (2, "/admin/drift", Operator, &[("state", "open"), ("kind", "subscription"), ("after", "1790000000.d_1")]),
        (2, "/admin/event", Operator, &[("id", &app.event), ("notice", "replayed")]),
        (2, "/admin/accounts", Operator, &[("search", "ada"), ("disputes", "open"), ("after", "1790000000.acc_1")]),
        (3, "/admin/account", Operator, &[("id", id), ("invoices", "1.a"), ("purchases", "1.a")]),
        (1, "/api-reference", Anonymous, &[("a", "b")]),
        (2, "/api/v1/usage", Key, &[("a", "b")]),
        (1, "/api/v1/openapi.json", Anonymous, &[("a", "b")]),
        (1, "/theme", Anonymous, &[("theme", "dark")]),
        (1, "/pkg/style-0.css", Anonymous, &[("v", "1")]),
    ];
    let queries = queries.into_iter().map(|(weight, path, visitor, query)| {
        (weight, Example { method: "GET", path, visitor, part: Part::Query(fields(query)) })
    });
    let paths = [
        ("/dashboard/analytics", Anonymous),
        ("/dashboard/analytics/export", Customer),
        ("/admin/account", Operator),
        ("/api/v1/usage", Key),
        ("/pkg/style-0.css", Anonymous),
    ];
    let paths =
        paths.into_iter().map(|(path, visitor)| (4, Example { method: "GET", path, visitor, part: Part::Path }));
    queries.chain(paths).collect()
}

/// Cookies, keys and the other headers that the app reads.
fn headers(app: &App) -> Vec<(u32, Example)> {
    use Visitor::{Anonymous, Customer, Key};
    let get = |weight, path, visitor, name, value: String| {
        (weight, Example { method: "GET", path, visitor, part: Part::Header(name, value) })
    };
    let generate = |weight, name, value: &str| {
        let part = Part::Header(name, value.to_owned());
        (weight, Example { method: "POST", path: "/api/v1/generate", visitor: Key, part })
    };
    let cookies = format!("{}; theme=dark", app.cookie);
    vec![
        get(12, "/dashboard", Anonymous, "cookie", cookies.clone()),
        get(6, "/api/v1/usage", Anonymous, "cookie", cookies),
        get(4, "/pricing", Anonymous, "cookie", "theme=light".to_owned()),
        get(8, "/api/v1/usage", Anonymous, "authorization", format!("Bearer {}", app.key)),
        get(4, "/api/v1/entitlements", Key, "idempotency-key", "a-key".to_owned()),
        get(3, "/login", Anonymous, "x-forwarded-for", "198.51.100.7, 10.0.0.1".to_owned()),
        get(3, "/dashboard", Customer, "host", "localhost:3000".to_owned()),
        get(2, "/pkg/style-0.css", Anonymous, "if-none-match", "\"style\"".to_owned()),
        get(2, "/pricing", Anonymous, "accept-encoding", "br;q=1.0, gzip;q=0.8".to_owned()),
        get(2, "/api/billing/usage", Customer, "accept", "application/json, text/html;q=0.5".to_owned()),
        get(2, "/pricing", Anonymous, "x-request-id", "0190aa".to_owned()),
        generate(20, "idempotency-key", "order-17"),
        generate(4, "content-type", "application/json; charset=utf-8"),
        generate(3, "accept", "text/event-stream"),
        generate(3, "origin", "https://evil.example"),
    ]
}

fn prompts() -> Vec<(u32, Example)> {
    let prompts = [json!({ "prompt": "A toll gate at dawn" }), json!({ "prompt": "A gate", "stream": true })];
    let example = |part| Example { method: "POST", path: "/api/v1/generate", visitor: Visitor::Key, part };
    prompts.into_iter().map(|prompt| (10, example(Part::Json(prompt)))).collect()
}

/// An event of every type that is handled, in both versions.
fn fixtures() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/tests/fixtures");
    let mut files: Vec<_> = ["basil_and_later", "before_basil"]
        .iter()
        .flat_map(|shape| fs::read_dir(folder.join(shape)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    // The same order on every machine, so that a seed repeats a run.
    files.sort();
    files.iter().map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap()).collect()
}
