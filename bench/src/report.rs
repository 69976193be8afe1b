//! The results as a table and as a plot.

use std::fmt::Write;

use crate::database::Database;
use crate::load::{Figures, Rounds};

/// The result of one measurement.
pub struct Line {
    pub database: Database,
    pub name: String,
    pub measured: Rounds,
    /// The baseline, measured in the same run.
    pub baseline: Option<Rounds>,
    /// The target, as a percentage of the baseline.
    pub target: Option<u32>,
}

impl Line {
    /// Returns the best rate as a percentage of the baseline's.
    fn percent(&self) -> Option<f64> {
        self.baseline.map(|baseline| 100.0 * self.measured.best.rate / baseline.best.rate)
    }

    /// Returns the rate with few connections as a percentage of the baseline's.
    fn percent_of_few(&self) -> Option<f64> {
        self.baseline.map(|baseline| 100.0 * self.measured.few.rate / baseline.few.rate)
    }
}

/// The rate at which pending events are applied.
pub struct Drained {
    pub database: Database,
    /// The number of events about each subscription.
    pub events_per_subject: usize,
    /// The number of events that wait behind the measured ones.
    pub backlog: u64,
    /// Applied events per second.
    pub rate: f64,
    /// Webhooks acknowledged per second meanwhile, and the rate without a backlog.
    pub acknowledged: (f64, f64),
}

/// All results.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
    history: Vec<(Database, u64, Figures)>,
    webhook_latency: Vec<(Database, f64, f64)>,
    drained: Vec<Drained>,
    peak_memory: Vec<(Database, u64)>,
}

impl Report {
    pub fn add(&mut self, line: Line) {
        let percent = line.percent().map(|percent| format!(", {percent:.0} % of the baseline")).unwrap_or_default();
        eprintln!("{}: {:.0}/s{percent}", line.name, line.measured.best.rate);
        self.lines.push(line);
    }

    pub fn add_history(&mut self, database: Database, rows: u64, figures: Figures) {
        self.history.push((database, rows, figures));
    }

    /// Adds the time from a delivery until the API shows its effect, in milliseconds.
    pub fn add_webhook_latency(&mut self, database: Database, median: f64, max: f64) {
        eprintln!("webhook applied after {median:.1} ms, {max:.1} ms at most");
        self.webhook_latency.push((database, median, max));
    }

    pub fn add_drained(&mut self, drained: Drained) {
        eprintln!(
            "drain, {} per subject, {} behind: {:.0}/s, {:.0} acknowledged per second",
            drained.events_per_subject, drained.backlog, drained.rate, drained.acknowledged.0
        );
        self.drained.push(drained);
    }

    /// Adds the largest amount of memory that the server had resident during the requests, in bytes.
    pub fn add_peak_memory(&mut self, database: Database, bytes: u64) {
        eprintln!("peak memory: {:.0} MB", bytes as f64 / 1e6);
        self.peak_memory.push((database, bytes));
    }

    /// Returns the results as Markdown tables.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "With 16 connections (login: 4), where no batch hides the latency of a request:\n\n\
             | database | request | per second | of baseline | median | 99 % | CPU per request: server | database |\n\
             |---|---|---:|---:|---:|---:|---:|---:|\n",
        );
        for line in &self.lines {
            let percent = line.percent_of_few().map_or_else(String::new, |percent| format!("{percent:.1} %"));
            let Figures { rate, median, p99, server_cpu, database_cpu, .. } = line.measured.few;
            let database_cpu = match line.database {
                Database::Sqlite => String::new(),
                Database::Postgres => format!("{database_cpu:.3} ms"),
            };
            let _ = writeln!(
                table,
                "| {} | {} | {} | {percent} | {median:.2} ms | {p99:.2} ms | {server_cpu:.3} ms | {database_cpu} |",
                line.database.name(),
                line.name,
                grouped(rate),
            );
        }
        table.push_str(
            "\nWith the best number of connections:\n\n\
             | database | request | per second | median | 99 % | connections | baseline | of baseline | target |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for line in &self.lines {
            let baseline = line.baseline.map_or_else(String::new, |baseline| grouped(baseline.best.rate));
            let percent = line.percent().map_or_else(String::new, |percent| format!("{percent:.0} %"));
            let target = line.target.map_or_else(String::new, |target| format!("≥ {target} %"));
            let Figures { connections, rate, median, p99, .. } = line.measured.best;
            let _ = writeln!(
                table,
                "| {} | {} | {} | {median:.2} ms | {p99:.2} ms | {connections} | {baseline} | {percent} | {target} |",
                line.database.name(),
                line.name,
                grouped(rate),
            );
        }
        table.push_str(
            "\n| database | events about each subscription | events waiting behind | applied per second | webhooks acknowledged meanwhile | of the rate without a backlog |\n\
             |---|---:|---:|---:|---:|---:|\n",
        );
        for drained in &self.drained {
            let (acknowledged, undisturbed) = drained.acknowledged;
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} | {} | {:.0} % |",
                drained.database.name(),
                drained.events_per_subject,
                grouped(drained.backlog as f64),
                grouped(drained.rate),
                grouped(acknowledged),
                100.0 * acknowledged / undisturbed,
            );
        }
        table.push_str("\n| database | usage records in the database | new usage records per second | relative to an empty table |\n|---|---:|---:|---:|\n");
        for (database, rows, figures) in &self.history {
            let empty =
                self.history.iter().find(|(of, ..)| of == database).map_or(figures.rate, |(.., first)| first.rate);
            let _ = writeln!(
                table,
                "| {} | {} | {} | {:.0} % |",
                database.name(),
                grouped(*rows as f64),
                grouped(figures.rate),
                100.0 * figures.rate / empty
            );
        }
        table.push_str("\n| database | webhook delivery until applied: median | maximum of 50 |\n|---|---:|---:|\n");
        for (database, median, max) in &self.webhook_latency {
            let _ = writeln!(table, "| {} | {median:.1} ms | {max:.1} ms |", database.name());
        }
        table.push_str("\n| database | peak memory of the server |\n|---|---:|\n");
        for (database, bytes) in &self.peak_memory {
            let _ = writeln!(table, "| {} | {:.0} MB |", database.name(), *bytes as f64 / 1e6);
        }
        table
    }

    /// Returns a bar chart of Tollgate and the baseline, as SVG. Each pair has its own scale.
    pub fn plot(&self) -> String {
        const WIDTH: usize = 720;
        const LEFT: usize = 210;
        const ROW: usize = 44;
        let lines: Vec<&Line> = self.lines.iter().filter(|line| line.baseline.is_some()).collect();
        let height = lines.len() * ROW + 50;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
             <title>Requests per second compared with a minimal handler</title>\n\
             <style>text{{fill:#444}} .baseline{{fill:#c9c9d2}} .ours{{fill:#5b5bd6}}\
             @media (prefers-color-scheme:dark){{text{{fill:#ccc}} .baseline{{fill:#55555f}} .ours{{fill:#8e8ef0}}}}</style>\n\
             <text x=\"10\" y=\"20\">Requests per second with 16 connections: Tollgate, and a minimal axum handler that sends the same bytes (gray).</text>\n"
        );
        for (number, line) in lines.iter().enumerate() {
            let (top, baseline) = (34 + number * ROW, line.baseline.map_or(1.0, |baseline| baseline.few.rate));
            let scale = (WIDTH - LEFT - 110) as f64 / baseline;
            let _ = writeln!(
                svg,
                "<text x=\"10\" y=\"{}\">{}, {}</text>\
                 <rect class=\"baseline\" x=\"{LEFT}\" y=\"{}\" width=\"{:.0}\" height=\"14\"/>\
                 <rect class=\"ours\" x=\"{LEFT}\" y=\"{}\" width=\"{:.0}\" height=\"14\"/>\
                 <text x=\"{:.0}\" y=\"{}\">{}</text><text x=\"{:.0}\" y=\"{}\">{}</text>",
                top + 20,
                line.name,
                line.database.name(),
                top + 18,
                baseline * scale,
                top + 2,
                line.measured.few.rate * scale,
                LEFT as f64 + line.measured.few.rate * scale + 6.0,
                top + 14,
                grouped(line.measured.few.rate),
                LEFT as f64 + baseline * scale + 6.0,
                top + 30,
                grouped(baseline),
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Returns the page for `docs/`, keeping everything from the first `##` of the previous page on.
pub fn document(report: &Report, seconds: u64, previous: &str) -> String {
    let kept = previous.find("\n## ").map_or("", |at| &previous[at..]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "# Benchmark\n\n\
         `make bench` compares the release binary with a baseline: a minimal axum handler that sends the same bytes \
         (for webhooks: that checks the same signature), measured in the same run, by the same clients, on the same \
         machine. It writes this table and the plot.\n\n\
         Machine: {cores} cores, shared by the server, the database and the clients. Each figure is measured for \
         {seconds} s after a warm-up, and is the best of three rounds. The numbers of connections are 16, 64 and 256 (pages \
         4, 16 and 64; login 2 and 4). The log level is `warn`. Both databases flush a commit to disk \
         before the response; PostgreSQL has its default configuration.\n\n\
         ![Requests per second compared with a minimal handler](benchmark.svg)\n\n{}{kept}",
        report.table()
    )
}

fn grouped(number: f64) -> String {
    billing::money::grouped(number.round().max(0.0) as u64)
}
