//! The API for programs, over HTTP.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use billing::{AccountId, Policy};
use engine::StoreError;
use engine::metering::{self, UsageEvent};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use server::config::Config;
use server::product::API_CALLS;
use server::workspace::api_keys::{self, api_keys, revoke_api_key};

use crate::support::{Browser, Harness, PAYS, Page, on_both_databases};

on_both_databases! {
    async fn a_signed_in_user_reads_entitlements_and_each_call_counts(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let page = browser.get("/api/v1/entitlements").await;
        assert_eq!(page.status, 200);
        let response = page.json();
        assert_eq!((&response["tier"], &response["limits"]["apiCallsPerMonth"]), (&json!("FREE"), &json!(100)));
        assert_eq!(response["features"], json!([]));
        let usage = browser.get("/api/v1/usage").await.json();
        assert_eq!(meter(&usage, "apiCallsPerMonth")["used"], json!(2));
    }

    async fn a_call_without_a_session_or_a_valid_key_returns_401(database) {
        let app = Harness::start(database).await;
        let browser = app.browser();
        let unknown = browser.request(Method::GET, "/api/v1/usage").bearer_auth("tg_unknown");
        let basic = browser.request(Method::GET, "/api/v1/usage").basic_auth("a", Some("b"));
        for request in [browser.request(Method::GET, "/api/v1/usage"), unknown, basic] {
            let page = Page::of(request).await;
            assert_eq!(page.status, 401);
            assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
            assert!(page.header("www-authenticate").is_some());
        }
    }

    async fn a_call_beyond_the_limit_returns_402_with_the_meter_and_its_reset(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for call in 0..100 {
            assert_eq!(browser.get("/api/v1/usage").await.status, 200, "call {call}");
        }
        let page = browser.get("/api/v1/usage").await;
        assert_eq!(page.status, 402);
        assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
        let problem = page.json();
        assert_eq!((&problem["meter"], &problem["used"], &problem["limit"]), (&json!("apiCallsPerMonth"), &json!(100), &json!(100)));
        assert!(problem["resets_at"].as_i64().unwrap() > app.tollgate.now().0);
        let upgrade = problem["upgrade_url"].as_str().unwrap();
        assert_eq!(browser.get(upgrade).await.status, 200);
    }

    async fn the_same_idempotency_key_counts_once(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let request = browser.request(Method::GET, "/api/v1/entitlements").header("idempotency-key", "once");
                tokio::spawn(async move { Page::of(request).await.status })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), 200);
        }
        let usage = browser.get("/api/v1/usage").await.json();
        assert_eq!(meter(&usage, "apiCallsPerMonth")["used"], json!(2));
    }

    async fn only_one_of_many_concurrent_calls_on_two_nodes_gets_the_last_unit(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let account = app.account("ada@example.com").await;
        metering::record(&app.tollgate, &account, UsageEvent::new(API_CALLS, 99, "all but one")).await.unwrap();
        let second_node = browser.at(&app.second_node().await);
        let calls: Vec<_> = (0..40)
            .map(|index| {
                let browser = if index % 2 == 0 { browser.clone() } else { second_node.clone() };
                tokio::spawn(async move { browser.get("/api/v1/usage").await.status })
            })
            .collect();
        let mut passed = 0;
        for call in calls {
            match call.await.unwrap() {
                200 => passed += 1,
                status => assert_eq!(status, 402),
            }
        }
        assert_eq!(passed, 1);
    }

    async fn a_key_works_until_it_is_revoked_or_the_plan_ends(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let key = browser.new_api_key("build server").await;
        let response = call(&app, &key).await;
        assert_eq!((response.status, &response.json()["tier"]), (200, &json!("PRO")));

        let list = browser.get("/dashboard/api-keys").await.body;
        assert!(!list.contains(&key), "a key is shown once");
        let account = app.account("ada@example.com").await;
        let entitlement = app.tollgate.entitlement(&account).await.unwrap();
        let owner = engine::Billable::new(account.as_str(), "ada@example.com");
        let permit = engine::permit(app.tollgate.catalog(), &owner, entitlement, Policy::Tier("PRO")).unwrap();
        let keys = api_keys(&app.tollgate, &permit).await.unwrap();
        assert!(keys[0].last_used_at.is_some());
        let eve = app.signed_up("eve@example.com").await;
        app.subscribe(&eve, "PRO", PAYS).await;
        app.settled().await;
        eve.post("/dashboard/api-keys/revoke", &[("id", &keys[0].id)]).await;
        assert_eq!(call(&app, &key).await.status, 200, "another account's key cannot be revoked");
        browser.post("/dashboard/api-keys/revoke", &[("id", &keys[0].id)]).await;
        assert_eq!(call(&app, &key).await.status, 401);

        let hers = eve.new_api_key("build server").await;
        assert_eq!(call(&app, &hers).await.status, 200);
        app.stripe_deletes(&format!("/v1/subscriptions/{}", app.stripe_newest("/v1/subscriptions").await)).await;
        app.settled().await;
        let ended = call(&app, &hers).await;
        assert_eq!((ended.status, &ended.json()["type"]), (403, &json!("urn:tollgate:problem:plan-too-low")));
        let detail = ended.json()["detail"].as_str().unwrap().to_owned();
        let plan = &app.tollgate.catalog().plan_named("PRO").unwrap().name;
        assert!(detail.contains(plan.as_str()) && !detail.contains("PRO"), "the plan's name, not its key: {detail}");
    }

    async fn a_revoked_key_stops_working_even_if_its_owner_does_not_wait(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        app.subscribe(&browser, "PRO", PAYS).await;
        app.settled().await;
        let key = browser.new_api_key("build server").await;
        let account = app.account("ada@example.com").await;
        let entitlement = app.tollgate.entitlement(&account).await.unwrap();
        let owner = engine::Billable::new(account.as_str(), "ada@example.com");
        let permit = engine::permit(app.tollgate.catalog(), &owner, entitlement, Policy::Tier("PRO")).unwrap();
        let id = api_keys(&app.tollgate, &permit).await.unwrap().remove(0).id;
        assert_eq!(call(&app, &key).await.status, 200);
        assert!(futures::poll!(pin!(revoke_api_key(&app.tollgate, &permit, &id))).is_pending());
        app.until(async || call(&app, &key).await.status == 401).await;
    }

    async fn a_revoked_key_stops_working_on_the_other_node_too(database) {
        let app = Harness::start(database).await;
        let other = app.second_node().await;
        let browser = app.paying("ada@example.com").await;
        let key = browser.new_api_key("build server").await;
        let account = app.account("ada@example.com").await;
        let entitlement = app.tollgate.entitlement(&account).await.unwrap();
        let owner = engine::Billable::new(account.as_str(), "ada@example.com");
        let permit = engine::permit(app.tollgate.catalog(), &owner, entitlement, Policy::Tier("PRO")).unwrap();
        let id = api_keys(&app.tollgate, &permit).await.unwrap().remove(0).id;
        let client = app.browser().at(&other);
        let status = async || {
            let request = client.request(Method::GET, "/api/v1/entitlements").bearer_auth(&key);
            Page::of(request).await.status
        };
        // The second call finds the key in that node's cache.
        assert_eq!([status().await, status().await], [200, 200]);
        revoke_api_key(&app.tollgate, &permit, &id).await.unwrap();
        app.until(async || status().await == 401).await;
    }

    async fn a_key_is_not_looked_up_for_a_client_that_has_tried_too_many(database) {
        let app = Harness::start(database).await;
        let (_, tollgate) = app.another_node(|_| {}).await;
        tollgate.db().close().await;
        let too_many = || Err(StoreError::Busy);
        let rejected = api_keys::authenticate(&tollgate, "tg_unknown", too_many).await;
        assert!(matches!(rejected, Err(StoreError::Busy)), "it does not need the database: {rejected:?}");

        let (url, _) = app.another_node(one_call_per_second).await;
        let browser = app.browser().at(&url);
        let guess = || Page::of(browser.request(Method::GET, "/api/v1/usage").bearer_auth("tg_unknown"));
        assert_eq!(guess().await.status, 401);
        let statuses = statuses(guess).await;
        assert!(statuses.contains(&429), "{statuses:?}");
    }

    async fn a_call_without_credentials_is_limited_by_its_client(database) {
        let app = Harness::start_configured(database, |_| {}, one_call_per_second).await;
        let browser = app.browser();
        let described = || Page::of(browser.request(Method::GET, "/api/v1/openapi.json"));
        let first = described().await;
        assert_eq!((first.status, first.header("ratelimit-policy").as_deref()), (200, Some("\"burst\";q=1;w=1")));
        let statuses = statuses(described).await;
        assert!(statuses.contains(&429), "{statuses:?}");
    }

    async fn valid_keys_behind_one_address_are_limited_by_their_accounts(database) {
        let app = Harness::start_configured(database, |_| {}, one_call_per_second).await;
        let mut keys = Vec::new();
        for name in ["ada", "bob", "eve", "zoe"] {
            let browser = app.signed_up(&format!("{name}@example.com")).await;
            app.subscribe(&browser, "PRO", PAYS).await;
            app.settled().await;
            keys.push(browser.new_api_key("build server").await);
        }
        for call in join_all(keys.iter().map(|key| call(&app, key))).await {
            assert_eq!(call.status, 200, "{}", call.body);
        }
    }

    async fn a_call_from_another_site_returns_403_and_is_not_counted(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let foreign = browser.request(Method::POST, "/api/v1/generate").header("sec-fetch-site", "cross-site");
        let page = Page::of(foreign.json(&json!({ "prompt": "a line" }))).await;
        assert_eq!((page.status, &page.json()["type"]), (403, &json!("urn:tollgate:problem:cross-site")));
        assert!(page.header("ratelimit").is_some());
        // Reads count as well.
        let foreign = browser.request(Method::GET, "/api/v1/usage").header("sec-fetch-site", "cross-site");
        assert_eq!(Page::of(foreign).await.status, 403);
        assert_eq!(used(&app, &app.account("ada@example.com").await).await, 0);
        let public = app.browser().request(Method::GET, "/api/v1/openapi.json").header("sec-fetch-site", "cross-site");
        assert_eq!(Page::of(public).await.status, 200);
    }

    async fn every_response_has_the_remaining_limits(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        let page = browser.get("/api/v1/entitlements").await;
        let (policy, left) = (page.header("ratelimit-policy").unwrap(), page.header("ratelimit").unwrap());
        assert!(policy.starts_with("\"burst\";q=100;w=1, \"apiCallsPerMonth\";q=100;w="), "{policy}");
        assert!(left.contains("\"apiCallsPerMonth\";r=99;t="), "{left}");
        for (browser, path) in [(&app.browser(), "/api/v1/usage"), (&browser, "/api/v1/nowhere"), (&browser, "/api/v1/openapi.json")] {
            let page = browser.get(path).await;
            assert!(page.header("ratelimit").unwrap().starts_with("\"burst\";r="), "{path}: {}", page.status);
        }
    }

    async fn every_described_call_requires_a_caller_with_the_plan_for_it(database) {
        let app = Harness::start(database).await;
        let (ada, eve) = (app.signed_up("ada@example.com").await, app.signed_up("eve@example.com").await);
        for browser in [&ada, &eve] {
            app.subscribe(browser, "PRO", PAYS).await;
        }
        app.settled().await;
        let (revoked, ended) = (ada.new_api_key("build server").await, eve.new_api_key("build server").await);
        let id = ada.get("/dashboard/api-keys").await.body;
        let id = id.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        ada.post("/dashboard/api-keys/revoke", &[("id", &id)]).await;
        for subscription in app.stripe_lists("/v1/subscriptions").await {
            app.stripe_deletes(&format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap())).await;
        }
        app.settled().await;

        let keys = [(None, 401), (Some("tg_unknown"), 401), (Some(&*revoked), 401), (Some(&*ended), 403)];
        let calls = described(&app).await;
        assert!(calls.len() >= 3, "{calls:?}");
        for (method, path) in calls {
            for (key, status) in keys {
                let request = app.browser().request(method.clone(), &path).json(&json!({ "prompt": "a story" }));
                let page = Page::of(if let Some(key) = key { request.bearer_auth(key) } else { request }).await;
                assert_eq!(page.status, status, "{method} {path} with {key:?}: {}", page.body);
                assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
                assert!(page.header("ratelimit").is_some(), "{method} {path} with {key:?}");
            }
        }
        for email in ["ada@example.com", "eve@example.com"] {
            assert_eq!(used(&app, &app.account(email).await).await, 0, "{email} is charged for rejected calls");
        }
    }

    async fn an_unknown_path_returns_404_as_a_problem_document(database) {
        let app = Harness::start(database).await;
        let browser = app.signed_up("ada@example.com").await;
        for path in ["/api/v1", "/api/v1/", "/api/v1/nowhere", "/api/v1/usage/", "/api/v1//usage", "/api/v1/Usage"] {
            for method in [Method::GET, Method::POST, Method::PUT] {
                let nowhere = Page::of(browser.request(method.clone(), path)).await;
                assert_eq!(nowhere.status, 404, "{method} {path}");
                assert_eq!(nowhere.json()["type"], json!("urn:tollgate:problem:not-found"), "{method} {path}");
            }
        }
        for path in ["/API/v1/usage", "//api/v1/usage", "/api/%76%31/usage"] {
            assert_eq!(browser.get(path).await.status, 404, "{path}");
        }
        let wrong = Page::of(browser.request(Method::DELETE, "/api/v1/usage")).await;
        assert_eq!((wrong.status, wrong.json()["type"].clone()), (405, json!("urn:tollgate:problem:method-not-allowed")));
        assert!(wrong.header("allow").unwrap().contains("GET"));
    }

    async fn each_client_behind_the_proxy_has_its_own_burst(database) {
        let app = Harness::start_configured(database, |_| {}, |config| config.api_calls_per_second = NonZeroU32::new(1)).await;
        let left = async |client: &str| {
            let call = app.browser().request(Method::GET, "/api/v1/entitlements").header("x-forwarded-for", client);
            Page::of(call).await.header("ratelimit").unwrap()
        };
        for client in ["198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8:0:1::1"] {
            assert!(left(client).await.starts_with("\"burst\";r=1;"), "the first call of {client}");
            left(client).await;
        }
    }

    async fn calls_beyond_the_burst_limit_return_429_and_are_not_counted(database) {
        let app = Harness::start_configured(database, |_| {}, |config| config.api_calls_per_second = NonZeroU32::new(1)).await;
        let browser = app.signed_up("ada@example.com").await;
        let rejected = Arc::new(AtomicBool::new(false));
        // Calls until one is rejected: how many pass before that depends on the machine.
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (browser, rejected) = (browser.clone(), rejected.clone());
                tokio::spawn(async move {
                    let mut pages = Vec::new();
                    while !rejected.load(Ordering::Relaxed) {
                        let page = browser.get("/api/v1/entitlements").await;
                        rejected.fetch_or(page.status == 429, Ordering::Relaxed);
                        pages.push(page);
                    }
                    pages
                })
            })
            .collect();
        let mut passed = 0;
        for caller in callers {
            for page in caller.await.unwrap() {
                if page.status == 200 {
                    passed += 1;
                    continue;
                }
                assert_eq!(page.status, 429, "{}", page.body);
                assert!(page.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
                assert_eq!(page.header("content-type").as_deref(), Some("application/problem+json"));
                assert!(page.header("ratelimit").unwrap().contains("\"burst\";r=0;"), "the header reports remaining calls");
            }
        }
        assert!(passed >= 2, "a burst of two passes: {passed}");
        assert_eq!(used(&app, &app.account("ada@example.com").await).await, passed);
    }

    async fn the_description_is_compressed_for_clients_that_accept_it(database) {
        let app = Harness::start(database).await;
        let ask = async |encoding: &str| {
            let request = app.browser().request(Method::GET, "/api/v1/openapi.json").header("accept-encoding", encoding);
            let response = request.send().await.unwrap();
            let header = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(response.headers()["vary"], "accept-encoding");
            (header, response.bytes().await.unwrap())
        };
        let (plain, whole) = ask("identity").await;
        assert!(plain.is_none() && serde_json::from_slice::<Value>(&whole).is_ok());
        for encoding in ["gzip", "br"] {
            let (used, small) = ask(encoding).await;
            assert_eq!(used.as_deref(), Some(encoding));
            assert!(small.len() < whole.len() / 3, "{encoding}: {} of {}", small.len(), whole.len());
        }
    }

    async fn the_description_has_every_path_and_no_other(database) {
        let app = Harness::start(database).await;
        let document = app.browser().get("/api/v1/openapi.json").await.json();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(paths, ["/api/v1/entitlements", "/api/v1/generate", "/api/v1/openapi.json", "/api/v1/usage"]);
        assert_eq!(document["servers"][0]["url"], json!(app.url));
        for path in paths {
            assert_ne!(app.browser().get(path).await.status, 404, "{path}");
        }
    }
}

/// Every described call, without the description itself.
async fn described(app: &Harness) -> Vec<(Method, String)> {
    let document = app.browser().get("/api/v1/openapi.json").await.json();
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|_| path != "/api/v1/openapi.json") {
            calls.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    calls
}

fn one_call_per_second(config: &mut Config) {
    config.api_calls_per_second = NonZeroU32::new(1);
}

/// The statuses of a hundred calls at the same time: too many for a limit of one per second on any machine.
async fn statuses<F: Future<Output = Page>>(call: impl Fn() -> F) -> Vec<u16> {
    join_all((0..100).map(|_| call())).await.iter().map(|page| page.status).collect()
}

async fn call(app: &Harness, key: &str) -> Page {
    Page::of(Browser::new(&app.url).request(Method::GET, "/api/v1/entitlements").bearer_auth(key)).await
}

/// The calls that were counted.
async fn used(app: &Harness, account: &AccountId) -> u64 {
    let readings = metering::read(&app.tollgate, account).await.unwrap();
    readings.iter().find(|reading| reading.meter == API_CALLS).unwrap().used
}

fn meter<'a>(usage: &'a Value, name: &str) -> &'a Value {
    usage["meters"].as_array().unwrap().iter().find(|meter| meter["meter"] == name).unwrap()
}
