//! The measurements of one database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::database::Database;
use crate::deliveries::Deliveries;
use crate::load::{Connection, Figures, Requests, Rotation, Rounds, generate, request};
use crate::processes;
use crate::program::Program;
use crate::report::{Line, Report};
use crate::response::Response;
use crate::seed::{ACCOUNTS, Customer, PASSWORD};
use crate::setup::Setup;

/// The numbers of connections to try. The first is reported beside the best.
const CONNECTIONS: [usize; 3] = [16, 64, 256];
const PAGE_CONNECTIONS: [usize; 3] = [16, 4, 64];
/// The numbers of connections for logins: few, because hashing a password saturates a core.
const LOGIN_CONNECTIONS: [usize; 2] = [4, 2];
/// Further rounds with the first and the best number of connections, because rounds on a shared machine differ by up
/// to 20 %.
const FURTHER_ROUNDS: usize = 2;
const LATENCY_ROUNDS: u64 = 50;
const LATENCY_TIMEOUT: Duration = Duration::from_secs(10);

/// The server under test, and the report for the results.
pub struct Measurement<'a> {
    pub database: Database,
    pub duration: Duration,
    pub tollgate: &'a Program,
    pub setup: &'a Setup,
    pub report: &'a mut Report,
}

impl Measurement<'_> {
    /// Measures the pages of a signed-in customer.
    pub async fn pages(&mut self) -> anyhow::Result<()> {
        let cookie = log_in(self.tollgate.port, &self.setup.customers[1].email).await?;
        let pages = [
            ("gated page", "/dashboard/custom-domain", Some(25)),
            ("analytics page", "/dashboard/analytics", None),
            ("billing page", "/billing", None),
        ];
        for (name, path, target) in pages {
            let request = request("GET", path, self.tollgate.port, &[("cookie", &cookie)], b"");
            self.compare(name, vec![request], &PAGE_CONNECTIONS, target).await?;
        }
        Ok(())
    }

    /// Measures API calls; each is recorded durably before the response.
    pub async fn usage(&mut self) -> anyhow::Result<()> {
        let customers = self.setup.customers.iter();
        let requests = customers.map(|customer| api_call(self.tollgate.port, customer)).collect();
        self.compare("usage record", requests, &CONNECTIONS, Some(30)).await?;
        let customers = self.setup.customers.iter();
        let requests = customers.map(|customer| generation(self.tollgate.port, customer)).collect();
        self.compare("generate (local text)", requests, &CONNECTIONS, None).await
    }

    /// Measures API calls of an account that already has `rows` usage records.
    pub async fn history(&mut self, rows: u64) -> anyhow::Result<()> {
        let request = api_call(self.tollgate.port, &self.setup.customers[0]);
        let measured = self.rounds(self.tollgate, &[256], 200, || Arc::new(Rotation(vec![request.clone()]))).await?;
        self.report.add_history(self.database, rows, measured.best);
        Ok(())
    }

    /// Measures deliveries of new events; each is stored durably before the response.
    pub async fn webhooks(&mut self) -> anyhow::Result<()> {
        let server = Program::baseline(self.setup.folder.path(), None).await?;
        let deliveries =
            |path: &'static str, port| move || -> Arc<dyn Requests> { Arc::new(Deliveries::new(path, port)) };
        let baseline = self.rounds(&server, &CONNECTIONS, 200, deliveries("/webhook", server.port)).await?;
        let port = self.tollgate.port;
        let measured = self.rounds(self.tollgate, &CONNECTIONS, 200, deliveries("/api/stripe/webhook", port)).await?;
        self.add("webhook", measured, Some(baseline), Some(50));
        Ok(())
    }

    /// Measures logins of all customers except the first two.
    pub async fn login(&mut self) -> anyhow::Result<()> {
        let port = self.tollgate.port;
        let requests: Vec<_> = (2..ACCOUNTS).map(|number| login(port, &format!("user{number}@example.com"))).collect();
        let rotation = || -> Arc<dyn Requests> { Arc::new(Rotation(requests.clone())) };
        let measured = self.rounds(self.tollgate, &LOGIN_CONNECTIONS, 303, rotation).await?;
        self.add("login", measured, None, None);
        Ok(())
    }

    /// Measures the time from a webhook delivery until the API shows its effect.
    pub async fn webhook_latency(&mut self) -> anyhow::Result<()> {
        let mut times = Vec::new();
        for round in 0..=LATENCY_ROUNDS {
            let time = self.time_until_applied(round, round % 2 == 0).await?;
            // The first round is a warm-up.
            if round > 0 {
                times.push(time.as_secs_f64() * 1000.0);
            }
        }
        times.sort_by(f64::total_cmp);
        self.report.add_webhook_latency(self.database, times[times.len() / 2], times[times.len() - 1]);
        Ok(())
    }

    /// Schedules or undoes a cancellation, and waits until the API shows it.
    async fn time_until_applied(&self, round: u64, cancel: bool) -> anyhow::Result<Duration> {
        let subscriber = &self.setup.subscriber;
        subscriber.cancel_at_period_end(&self.setup.sandbox.url(), cancel).await?;
        let id = format!("evt_latency_{}_{round}", self.database.name());
        let deliveries = Deliveries::new("/api/stripe/webhook", self.tollgate.port);
        let delivery = deliveries.delivery("customer.subscription.updated", &id, &subscriber.subscription);
        let mut connection = Connection::open(self.tollgate.port).await?;
        let started = Instant::now();
        if connection.send(&delivery).await? != 200 {
            bail!("the delivery was rejected: {}", connection.text());
        }
        loop {
            connection.send(&api_call(self.tollgate.port, &self.setup.customers[0])).await?;
            let body = connection.response().and_then(|response| serde_json::from_slice::<Value>(&response.body).ok());
            if body.is_some_and(|body| body["reason"]["rule"] == "EndsLater") == cancel {
                return Ok(started.elapsed());
            }
            if started.elapsed() > LATENCY_TIMEOUT {
                bail!("the delivery was not applied: {}", connection.text());
            }
        }
    }

    /// Measures requests, and the baseline sending the response to the first one.
    async fn compare(
        &mut self,
        name: &str,
        requests: Vec<Vec<u8>>,
        connections: &[usize],
        target: Option<u32>,
    ) -> anyhow::Result<()> {
        let response = response_to(self.tollgate.port, &requests[0]).await?;
        let server = Program::baseline(self.setup.folder.path(), Some(&response)).await?;
        let rotation = || -> Arc<dyn Requests> { Arc::new(Rotation(requests.clone())) };
        let baseline = self.rounds(&server, connections, 200, rotation).await?;
        let measured = self.rounds(self.tollgate, connections, 200, rotation).await?;
        self.add(name, measured, Some(baseline), target);
        Ok(())
    }

    fn add(&mut self, name: &str, measured: Rounds, baseline: Option<Rounds>, target: Option<u32>) {
        self.report.add(Line { database: self.database, name: name.to_owned(), measured, baseline, target });
    }

    /// Measures each number of connections, and repeats the first and the best.
    async fn rounds(
        &self,
        server: &Program,
        connections: &[usize],
        status: u16,
        requests: impl Fn() -> Arc<dyn Requests>,
    ) -> anyhow::Result<Rounds> {
        let (mut few, mut best) = (Figures::default(), Figures::default());
        for connections in connections {
            let figures = self.round(server, *connections, status, requests()).await?;
            best = better(best, figures);
            if few.connections == 0 {
                few = figures;
            }
        }
        for _ in 0..FURTHER_ROUNDS {
            few = better(few, self.round(server, few.connections, status, requests()).await?);
        }
        if best.connections != few.connections {
            for _ in 0..FURTHER_ROUNDS {
                best = better(best, self.round(server, best.connections, status, requests()).await?);
            }
        }
        Ok(Rounds { few, best: better(few, best) })
    }

    /// Takes one measurement, after a warm-up.
    async fn round(
        &self,
        server: &Program,
        connections: usize,
        status: u16,
        requests: Arc<dyn Requests>,
    ) -> anyhow::Result<Figures> {
        generate(server.port, Arc::clone(&requests), connections, self.duration / 5, status).await?;
        let (of_server, of_postgres) = (processes::cpu_time(server.process), processes::postgres_cpu_time());
        let mut figures = generate(server.port, requests, connections, self.duration, status).await?;
        let responses = figures.rate * self.duration.as_secs_f64();
        let per_request = |used: Duration| used.as_secs_f64() * 1000.0 / responses.max(1.0);
        figures.server_cpu = per_request(processes::cpu_time(server.process).saturating_sub(of_server));
        if self.database == Database::Postgres {
            figures.database_cpu = per_request(processes::postgres_cpu_time().saturating_sub(of_postgres));
        }
        eprintln!("   {connections:>4} connections: {:>9.0}/s, {:.2} ms", figures.rate, figures.median);
        Ok(figures)
    }
}

/// Returns the faster of two results.
fn better(one: Figures, other: Figures) -> Figures {
    if other.rate > one.rate { other } else { one }
}

fn api_call(port: u16, customer: &Customer) -> Vec<u8> {
    request("GET", "/api/v1/entitlements", port, &[("authorization", &format!("Bearer {}", customer.api_key))], b"")
}

fn generation(port: u16, customer: &Customer) -> Vec<u8> {
    let authorization = format!("Bearer {}", customer.api_key);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    request("POST", "/api/v1/generate", port, &headers, br#"{"prompt":"A toll gate at dawn"}"#)
}

fn login(port: u16, email: &str) -> Vec<u8> {
    let body = format!("email={}&password={}", email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    request("POST", "/login", port, &headers, body.as_bytes())
}

/// Logs in and returns the session cookie.
async fn log_in(port: u16, email: &str) -> anyhow::Result<String> {
    let mut connection = Connection::open(port).await?;
    if connection.send(&login(port, email)).await? != 303 {
        bail!("the login failed: {}", connection.text());
    }
    let response = connection.response().context("the response to the login is malformed")?;
    let mut cookies = response.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let cookie = cookies.find(|cookie| cookie.starts_with("tollgate=")).context("no session cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// Returns the response to a request, for the baseline to send.
async fn response_to(port: u16, request: &[u8]) -> anyhow::Result<Response> {
    let mut connection = Connection::open(port).await?;
    if connection.send(request).await? != 200 {
        bail!("unexpected response: {}", connection.text());
    }
    connection.response().context("the response is malformed")
}
