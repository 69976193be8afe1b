//! The customers' load: they generate text, call the API, open pages and buy packs, and record what was
//! acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use billing::AccountId;
use engine::store::credits;
use reqwest::Method;
use serde_json::{Value, json};
use server::store::users;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{Browser, PAYS, Page, pay, until};
use crate::system::{self, System};

/// The generations that a pack grants.
const PACK: i64 = 500;
/// The API calls that Free includes.
const FREE_CALLS: u64 = 100;
/// The number of responses for every change in Stripe.
const EVERY: usize = 5;

/// Customers at work.
pub struct Load {
    progress: Arc<Progress>,
    customers: Customers,
    work: JoinSet<()>,
}

/// What has happened so far.
#[derive(Default)]
struct Progress {
    is_over: AtomicBool,
    /// Responses that are not failures.
    responses: AtomicUsize,
    /// Responses of 500 or above, and requests without a response.
    failures: AtomicUsize,
    /// The number of both.
    served: watch::Sender<usize>,
    rejected_purchases: AtomicUsize,
    paid: AtomicUsize,
    /// Acknowledged generations, each with its own key.
    generated: AtomicU64,
    /// Acknowledged calls of the customer on Free.
    free_calls: AtomicU64,
}

/// The customers' browsers.
#[derive(Clone)]
struct Customers {
    /// On Pro.
    ada: Browser,
    /// On Free, and eventually over its limit.
    fred: Browser,
}

/// What was acknowledged to the customers in the end.
pub struct Outcome {
    progress: Arc<Progress>,
    customers: Customers,
}

impl Load {
    /// Signs the customers up, and starts.
    pub async fn start(system: &System) -> Self {
        let sign_up = async |email: &str| {
            let browser = Browser::new(&system.url);
            let page = browser.post("/signup", &[("email", email), ("password", "correct horse")]).await;
            assert_eq!(page.status, 303, "{}", page.body);
            browser
        };
        let customers = Customers { ada: sign_up("ada@example.com").await, fred: sign_up("fred@example.com").await };
        let page = customers.ada.post("/api/billing/subscribe", &[("plan", "PRO"), ("interval", "month")]).await;
        assert_eq!(pay(&page.location(), PAYS).await.status, 303);
        until(async || customers.ada.opens("/dashboard/analytics").await).await;

        let progress = Arc::new(Progress::default());
        let mut work = JoinSet::new();
        for lane in 0..2 {
            work.spawn(progress.clone().generate(customers.ada.clone(), lane));
            work.spawn(progress.clone().call(customers.fred.clone()));
            work.spawn(progress.clone().browse(customers.clone()));
        }
        work.spawn(progress.clone().buy(customers.ada.clone()));
        work.spawn(progress.clone().change_in_stripe(system.sandbox.url()));
        Self { progress, customers, work }
    }

    /// Waits for this many further responses that are not failures.
    pub async fn until_responses(&self, further: usize) {
        until_further(&self.progress.responses, further).await;
    }

    /// Waits for this many further failures.
    pub async fn until_failures(&self, further: usize) {
        until_further(&self.progress.failures, further).await;
    }

    /// Waits until a purchase was rejected because Stripe is unavailable.
    pub async fn until_rejected_purchase(&self) {
        until_further(&self.progress.rejected_purchases, 1).await;
    }

    /// Waits until every customer has completed their requests.
    pub async fn stop(mut self, system: &System) -> Outcome {
        self.progress.is_over.store(true, Ordering::Relaxed);
        self.progress.served.send_modify(|_| {});
        // The reservations of killed nodes expire.
        system.sandbox.advance(system::UNTIL_LEASES_EXPIRE);
        while let Some(ended) = self.work.join_next().await {
            ended.unwrap();
        }
        Outcome { progress: self.progress, customers: self.customers }
    }
}

async fn until_further(count: &AtomicUsize, further: usize) {
    let wanted = count.load(Ordering::Relaxed) + further;
    until(async || count.load(Ordering::Relaxed) >= wanted).await;
}

impl Progress {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Returns the response, unless there is none or it says that the request failed.
    async fn response(&self, request: reqwest::RequestBuilder) -> Option<Page> {
        let response = async { Page::read(request.send().await?).await }.await.ok();
        let response = response.filter(|page| page.status < 500);
        let count = if response.is_some() { &self.responses } else { &self.failures };
        count.fetch_add(1, Ordering::Relaxed);
        self.served.send_modify(|served| *served += 1);
        response
    }

    /// Generates text, and repeats each request under its key until it succeeds.
    async fn generate(self: Arc<Self>, browser: Browser, lane: usize) {
        for number in 0.. {
            let key = format!("{lane}-{number}");
            loop {
                let request = browser.request(Method::POST, "/api/v1/generate").header("sec-fetch-site", "same-origin");
                let request = request.header("idempotency-key", &key).json(&json!({ "prompt": "a story" }));
                match self.response(request).await.map(|page| page.status) {
                    Some(200) => break,
                    // A node that may have been killed is executing it, or there are too many at a time.
                    Some(409 | 429) | None => {}
                    Some(other) => panic!("{other}"),
                }
            }
            self.generated.fetch_add(1, Ordering::Relaxed);
            if self.is_over() {
                return;
            }
        }
    }

    /// Calls the API beyond the limit.
    async fn call(self: Arc<Self>, browser: Browser) {
        while !self.is_over() {
            match self.response(browser.request(Method::GET, "/api/v1/usage")).await.map(|page| page.status) {
                Some(200) => drop(self.free_calls.fetch_add(1, Ordering::Relaxed)),
                Some(402 | 429) | None => {}
                Some(other) => panic!("{other}"),
            }
        }
    }

    /// Opens pages, none of which may redirect to the login.
    async fn browse(self: Arc<Self>, customers: Customers) {
        while !self.is_over() {
            for (browser, path) in [
                (&customers.ada, "/dashboard/analytics"),
                (&customers.fred, "/dashboard"),
                (&customers.ada, "/billing"),
                (&customers.fred, "/pricing"),
            ] {
                if let Some(page) = self.response(browser.request(Method::GET, path)).await {
                    assert_eq!(page.status, 200, "{path}: {}", page.body);
                }
            }
        }
    }

    /// Buys packs.
    async fn buy(self: Arc<Self>, browser: Browser) {
        while !self.is_over() {
            let request =
                browser.request(Method::POST, "/api/billing/checkout").header("sec-fetch-site", "same-origin");
            let Some(page) = self.response(request.form(&[("product", "ai-500")])).await else {
                self.rejected_purchases.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let checkout = page.location();
            // The page of a pack that was just bought, or Stripe's.
            if checkout.contains("/c/pay/") && pay(&checkout, PAYS).await.status == 303 {
                self.paid.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Progress {
    /// Changes the subscription in Stripe, with one event for every few responses.
    async fn change_in_stripe(self: Arc<Self>, stripe: String) {
        let stripe = Browser::new(&stripe);
        let call = |method, path: &str| stripe.request(method, path).bearer_auth("sk_test_sandbox");
        let listed = Page::of(call(Method::GET, "/v1/subscriptions")).await.json();
        let path = format!("/v1/subscriptions/{}", listed["data"][0]["id"].as_str().unwrap());
        let mut served = self.served.subscribe();
        for number in 0.. {
            // Stripe may be unavailable.
            Page::of(call(Method::POST, &path).form(&[("metadata[number]", number)])).await;
            let next = *served.borrow() + EVERY;
            served.wait_for(|served| *served >= next || self.is_over()).await.unwrap();
            if self.is_over() {
                return;
            }
        }
    }
}

impl Outcome {
    /// Checks that exactly what was acknowledged was counted and granted.
    pub async fn expect_exact(&self, system: &System) {
        let Self { progress, customers: Customers { ada, fred } } = self;
        let (paid, generated) = (progress.paid.load(Ordering::Relaxed), progress.generated.load(Ordering::Relaxed));
        assert!(paid > 0 && generated > 0, "nothing was bought or generated");

        let account = account(system, "ada@example.com").await;
        let balances = credits::balances(&system.db, &account).await.unwrap();
        let granted: i64 = balances.iter().map(|balance| balance.granted).sum();
        assert_eq!(granted, PACK * i64::try_from(paid).unwrap(), "{paid} packs were paid");

        let used = used(&ada.get("/api/v1/usage").await.json(), "aiGenerationsPerMonth");
        // A long run goes beyond what Pro includes.
        let from_packs: i64 = balances.iter().map(|balance| balance.consumed).sum();
        assert_eq!(used + u64::try_from(from_packs).unwrap(), generated, "each generation is counted once");

        until(async || fred.get("/api/v1/usage").await.status == 402).await;
        let page = fred.get("/api/v1/usage").await;
        assert_eq!(page.json()["used"], json!(FREE_CALLS));
        let acknowledged = progress.free_calls.load(Ordering::Relaxed);
        assert!(acknowledged <= FREE_CALLS, "{acknowledged} calls were acknowledged");
        assert!(ada.opens("/dashboard").await && fred.opens("/dashboard").await, "both are still signed in");
    }
}

fn used(usage: &Value, meter: &str) -> u64 {
    let meters = usage["meters"].as_array().unwrap();
    let found = meters.iter().find(|found| found["meter"] == meter).unwrap();
    found["used"].as_u64().unwrap()
}

async fn account(system: &System, email: &str) -> AccountId {
    users::by_login(&system.db, email).await.unwrap().unwrap().account_id
}
