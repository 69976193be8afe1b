//! The measurements, one engine after the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use sandbox::Sandbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bare::sign;
use crate::load::{Ask, Connection, Figures, Same, drive};
use crate::program::{Program, bytes_of, request};
use crate::report::{Line, Report};
use crate::seed::{Customer, PASSWORD, seed};
use crate::{history, report};

#[derive(Args)]
pub struct Options {
    /// The release binary.
    #[arg(long)]
    pub binary: PathBuf,
    /// A PostgreSQL where databases may be made; SQLite alone without one.
    #[arg(long)]
    pub postgres: Option<String>,
    /// Where the table and the plot go.
    #[arg(long)]
    pub docs: PathBuf,
    /// Seconds that each figure is measured for.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Measure only this much of it. Nothing is written then.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub only: Vec<Part>,
    /// The numbers of history rows between which counting must not slow down.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 100_000, 10_000_000])]
    pub history: Vec<u64>,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Usage,
    Webhooks,
    Pages,
    Login,
    History,
}

/// A database engine that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Measures everything and writes it down.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::default();
    let engines = [Some(Engine::Sqlite), options.postgres.as_ref().map(|_| Engine::Postgres)];
    for engine in engines.into_iter().flatten() {
        eprintln!("== {}", engine.name());
        measure(options, engine, &mut report).await?;
    }
    let table = report.table();
    println!("{table}");
    if !options.only.is_empty() {
        return Ok(());
    }
    let page = options.docs.join("BENCHMARK.md");
    let earlier = std::fs::read_to_string(&page).unwrap_or_default();
    std::fs::write(&page, report::document(&report, options.seconds, &earlier))?;
    std::fs::write(options.docs.join("benchmark.svg"), report.plot())?;
    Ok(())
}

/// One engine.
async fn measure(options: &Options, engine: Engine, report: &mut Report) -> anyhow::Result<()> {
    let wants = |part: Part| options.only.is_empty() || options.only.contains(&part);
    let bench = Bench { engine, time: Duration::from_secs(options.seconds) };
    let house = House::new(options, engine, "of_all").await?;
    let tollgate = house.start(options).await?;
    if wants(Part::Usage) {
        bench.usage(&tollgate, &house, report).await?;
    }
    if wants(Part::Webhooks) {
        bench.state_shows(&tollgate, &house, report).await?;
        bench.webhooks(&tollgate, &house, report).await?;
    }
    if wants(Part::Pages) {
        bench.pages(&tollgate, &house, report).await?;
    }
    if wants(Part::Login) {
        bench.login(&tollgate, report).await?;
    }
    drop(tollgate);
    house.sandbox.shutdown().await;
    if !wants(Part::History) {
        return Ok(());
    }
    // With a database of its own: what the others have counted is history, too.
    let house = House::new(options, engine, "of_history").await?;
    let mut rows = 0;
    for wanted in &options.history {
        eprintln!("   filling the history to {wanted} rows");
        // With no server running, so that nothing of it is in the way of the filling.
        history::fill(&house.database, &house.customers[0].account, rows, *wanted).await?;
        rows = *wanted;
        let tollgate = house.start(options).await?;
        bench.history(&tollgate, &house.customers[0], *wanted, report).await?;
    }
    house.sandbox.shutdown().await;
    Ok(())
}

/// A database with customers, and a sandbox of its own in Stripe's place.
struct House {
    folder: TempDir,
    sandbox: Sandbox,
    database: String,
    theirs: AtStripe,
    customers: Vec<Customer>,
}

impl House {
    async fn new(options: &Options, engine: Engine, name: &str) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let sandbox = sandbox::Config { addr: ([127, 0, 0, 1], 0).into(), ..sandbox::Config::development() };
        let sandbox = sandbox::start(sandbox).await.context("the sandbox")?;
        let database = database(options, engine, folder.path(), name).await?;
        let theirs = subscription_at(&sandbox.url()).await?;
        let customers = seed(&database, &sandbox.url(), &theirs).await?;
        Ok(Self { folder, sandbox, database, theirs, customers })
    }

    async fn start(&self, options: &Options) -> anyhow::Result<Program> {
        Program::tollgate(&options.binary, self.folder.path(), &self.database, &self.sandbox.url()).await
    }
}

struct Bench {
    engine: Engine,
    time: Duration,
}

impl Bench {
    /// A page of somebody signed in, and the same bytes from the yardstick.
    async fn pages(&self, tollgate: &Program, house: &House, report: &mut Report) -> anyhow::Result<()> {
        let cookie = log_in(tollgate.port, &house.customers[1].email).await?;
        let pages = [
            ("gated page", "/dashboard/custom-domain", Some(25)),
            ("analytics page", "/dashboard/analytics", None),
            ("billing page", "/billing", None),
        ];
        for (what, path, goal) in pages {
            let asked = request("GET", path, tollgate.port, &[("cookie", &cookie)], b"");
            self.beside_bare(what, tollgate, house, asked, goal, report).await?;
        }
        Ok(())
    }

    /// Calls of the API, each counted durably before it is answered.
    async fn usage(&self, tollgate: &Program, house: &House, report: &mut Report) -> anyhow::Result<()> {
        let asks: Vec<Vec<u8>> = house.customers.iter().map(|customer| call(tollgate.port, customer)).collect();
        let answer = answer_to(tollgate.port, &asks[0]).await?;
        let bare = Program::bare(house.folder.path(), Some(&answer)).await?;
        let counts = [16, 64, 256];
        let yardstick = self.best(bare.port, &counts, 200, || Arc::new(Same(asks.clone()))).await?;
        let measured = self.best(tollgate.port, &counts, 200, || Arc::new(Same(asks.clone()))).await?;
        report.add(Line {
            engine: self.engine,
            what: "usage record".to_owned(),
            measured,
            bare: Some(yardstick),
            goal: Some(30),
        });
        Ok(())
    }

    /// Counting on one account with so much behind it.
    async fn history(
        &self,
        tollgate: &Program,
        customer: &Customer,
        rows: u64,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let asked = call(tollgate.port, customer);
        let measured = self.best(tollgate.port, &[256], 200, || Arc::new(Same(vec![asked.clone()]))).await?;
        report.add_history(self.engine, rows, measured);
        Ok(())
    }

    /// Deliveries of events that were never seen, each on disk before it is answered.
    async fn webhooks(&self, tollgate: &Program, house: &House, report: &mut Report) -> anyhow::Result<()> {
        let bare = Program::bare(house.folder.path(), None).await?;
        let counts = [16, 64, 256];
        let deliveries = |path: &'static str, port| move || -> Arc<dyn Ask> { Arc::new(Deliveries::new(path, port)) };
        let yardstick = self.best(bare.port, &counts, 200, deliveries("/webhook", bare.port)).await?;
        let measured = self.best(tollgate.port, &counts, 200, deliveries("/api/stripe/webhook", tollgate.port)).await?;
        report.add(Line {
            engine: self.engine,
            what: "webhook".to_owned(),
            measured,
            bare: Some(yardstick),
            goal: Some(50),
        });
        Ok(())
    }

    async fn login(&self, tollgate: &Program, report: &mut Report) -> anyhow::Result<()> {
        let asks: Vec<Vec<u8>> = (2..crate::seed::ACCOUNTS)
            .map(|number| login(tollgate.port, &format!("user{number}@example.com")))
            .collect();
        let measured = self.best(tollgate.port, &[2, 4], 303, || Arc::new(Same(asks.clone()))).await?;
        report.add(Line { engine: self.engine, what: "login".to_owned(), measured, bare: None, goal: None });
        Ok(())
    }

    /// From a delivery to the answer of the API that shows what it was about.
    async fn state_shows(&self, tollgate: &Program, house: &House, report: &mut Report) -> anyhow::Result<()> {
        let (subscription, stripe) = (&house.theirs.subscription, house.sandbox.url());
        let customer = &house.customers[0];
        let mut connection = Connection::open(tollgate.port).await?;
        let deliveries = Deliveries::new("/api/stripe/webhook", tollgate.port);
        let mut times = Vec::new();
        for round in 0..51_u64 {
            let cancel = if round % 2 == 0 { "true" } else { "false" };
            let fields = [("cancel_at_period_end", cancel)];
            stripe_makes(&stripe, &format!("/v1/subscriptions/{subscription}"), &fields).await?;
            let delivery = deliveries.of(
                "customer.subscription.updated",
                &format!("evt_shows_{}_{round}", self.engine.name()),
                subscription,
            );
            let began = Instant::now();
            if connection.ask(&delivery).await? != 200 {
                bail!("a delivery was refused: {}", connection.said());
            }
            loop {
                connection.ask(&call(tollgate.port, customer)).await?;
                let until = connection.answer().and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
                let ends_exactly = until.is_some_and(|answer| answer["because"]["rule"] == "EndsLater");
                if ends_exactly == (cancel == "true") {
                    break;
                }
                if began.elapsed() > Duration::from_secs(10) {
                    bail!("the state does not show: {}", connection.said());
                }
            }
            // The first one is a warm-up.
            if round > 0 {
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
        }
        times.sort_by(f64::total_cmp);
        report.add_shows(self.engine, times[times.len() / 2], times[times.len() - 1]);
        Ok(())
    }

    async fn beside_bare(
        &self,
        what: &str,
        tollgate: &Program,
        house: &House,
        asked: Vec<u8>,
        goal: Option<u32>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let counts = [4, 16, 64];
        let answer = answer_to(tollgate.port, &asked).await?;
        let bare = Program::bare(house.folder.path(), Some(&answer)).await?;
        let yardstick = self.best(bare.port, &counts, 200, || Arc::new(Same(vec![asked.clone()]))).await?;
        let measured = self.best(tollgate.port, &counts, 200, || Arc::new(Same(vec![asked.clone()]))).await?;
        report.add(Line { engine: self.engine, what: what.to_owned(), measured, bare: Some(yardstick), goal });
        Ok(())
    }

    /// The best of several numbers of connections, each warmed up, and of three rounds with the best of
    /// them: between two rounds of the same lies up to a fifth on a machine that is shared.
    async fn best(
        &self,
        port: u16,
        counts: &[usize],
        status: u16,
        ask: impl Fn() -> Arc<dyn Ask>,
    ) -> anyhow::Result<Figures> {
        let mut best = Figures::default();
        for connections in counts {
            best = self.better(best, port, *connections, status, ask()).await?;
        }
        let suits = best.connections;
        for _ in 0..2 {
            best = self.better(best, port, suits, status, ask()).await?;
        }
        Ok(best)
    }

    /// One more round, and which is better.
    async fn better(
        &self,
        best: Figures,
        port: u16,
        connections: usize,
        status: u16,
        ask: Arc<dyn Ask>,
    ) -> anyhow::Result<Figures> {
        drive(port, Arc::clone(&ask), connections, self.time / 5, status).await?;
        let figures = drive(port, ask, connections, self.time, status).await?;
        eprintln!("   {connections:>4} connections: {:>9.0}/s, {:.2} ms", figures.rate, figures.median);
        Ok(if figures.rate > best.rate { figures } else { best })
    }
}

/// Events of a type that nothing depends on, so that what is measured is the way to the disk.
struct Deliveries {
    path: &'static str,
    port: u16,
    run: u64,
    next: AtomicU64,
}

impl Deliveries {
    fn new(path: &'static str, port: u16) -> Self {
        static RUN: AtomicU64 = AtomicU64::new(0);
        Self { path, port, run: RUN.fetch_add(1, Ordering::Relaxed), next: AtomicU64::new(0) }
    }

    fn of(&self, kind: &str, id: &str, object: &str) -> Vec<u8> {
        let now = server::clock::Clock::system().now().0;
        let body = json!({
            "id": id, "object": "event", "api_version": "2026-09-30.endive", "created": now, "type": kind,
            "livemode": false, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null },
            "data": { "object": { "id": object, "object": "subscription", "customer": "cus_of_nobody", "currency": "usd",
                "metadata": { "note": "x".repeat(1_200) } } },
        })
        .to_string();
        let time = now.to_string();
        let signature = format!("t={time},v1={}", hex::encode(sign(&time, body.as_bytes())));
        let headers = [("content-type", "application/json"), ("stripe-signature", signature.as_str())];
        request("POST", self.path, self.port, &headers, body.as_bytes())
    }
}

impl Ask for Deliveries {
    fn request(&self, _: u64) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.of("product.updated", &format!("evt_{}_{number}", self.run), "prod_1")
    }
}

fn call(port: u16, customer: &Customer) -> Vec<u8> {
    request("GET", "/api/v1/entitlements", port, &[("authorization", &format!("Bearer {}", customer.api_key))], b"")
}

fn login(port: u16, email: &str) -> Vec<u8> {
    let body = format!("email={}&password={}", email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    request("POST", "/login", port, &headers, body.as_bytes())
}

/// The cookie of somebody signed in.
async fn log_in(port: u16, email: &str) -> anyhow::Result<String> {
    let mut connection = Connection::open(port).await?;
    if connection.ask(&login(port, email)).await? != 303 {
        bail!("nobody can log in: {}", connection.said());
    }
    let answer = connection.answer().context("an answer")?;
    let cookie = answer.headers.get("set-cookie").and_then(|value| value.to_str().ok()).context("a cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// What the program answers, for the yardstick to send.
async fn answer_to(port: u16, asked: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut connection = Connection::open(port).await?;
    if connection.ask(asked).await? != 200 {
        bail!("not answered as expected: {}", connection.said());
    }
    Ok(bytes_of(&connection.answer().context("an answer")?))
}

async fn database(options: &Options, engine: Engine, folder: &Path, name: &str) -> anyhow::Result<String> {
    use sqlx::{Connection as _, Executor};
    match (engine, &options.postgres) {
        (Engine::Postgres, Some(url)) => {
            let name = format!("bench_{name}_{}", std::process::id());
            let mut connection = sqlx::PgConnection::connect(url).await.context("PostgreSQL")?;
            connection.execute(format!("CREATE DATABASE {name}").as_str()).await?;
            connection.close().await?;
            let (before, _) = url.rsplit_once('/').context("postgres://host/database")?;
            Ok(format!("{before}/{name}"))
        }
        _ => Ok(format!("sqlite:{}", folder.join("bench.db").display())),
    }
}

/// Somebody whom Stripe knows, too.
pub struct AtStripe {
    pub customer: String,
    pub subscription: String,
}

/// A customer at Stripe with a subscription of the highest plan.
async fn subscription_at(stripe: &str) -> anyhow::Result<AtStripe> {
    let customer = stripe_makes(stripe, "/v1/customers", &[("email", "user0@example.com")]).await?;
    let card = stripe_makes(stripe, "/v1/payment_methods", &[("type", "card"), ("card[token]", "tok_visa")]).await?;
    stripe_makes(stripe, &format!("/v1/payment_methods/{card}/attach"), &[("customer", &customer)]).await?;
    let price = [
        ("currency", "usd"),
        ("unit_amount", "19900"),
        ("lookup_key", "tollgate_enterprise_month"),
        ("recurring[interval]", "month"),
        ("product_data[name]", "Enterprise"),
    ];
    let price = stripe_makes(stripe, "/v1/prices", &price).await?;
    let fields = [("customer", customer.as_str()), ("items[0][price]", &price), ("default_payment_method", &card)];
    let subscription = stripe_makes(stripe, "/v1/subscriptions", &fields).await?;
    Ok(AtStripe { customer, subscription })
}

async fn stripe_makes(stripe: &str, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<String> {
    let client = reqwest::Client::new();
    let answer = client.post(format!("{stripe}{path}")).bearer_auth("sk_test_sandbox").form(fields).send().await?;
    let body: Value = answer.json().await?;
    body["id"].as_str().map(str::to_owned).with_context(|| format!("{path}: {body}"))
}
