//! The results as a table and as a plot.

use std::fmt::Write;

use crate::database::Database;
use crate::load::Figures;

/// The result of one measurement.
pub struct Line {
    pub database: Database,
    pub name: String,
    pub measured: Figures,
    /// The baseline, measured in the same run.
    pub baseline: Option<Figures>,
    /// The target, as a percentage of the baseline.
    pub target: Option<u32>,
}

impl Line {
    fn percent(&self) -> Option<f64> {
        self.baseline.map(|baseline| 100.0 * self.measured.rate / baseline.rate)
    }
}

/// All results.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
    history: Vec<(Database, u64, Figures)>,
    webhook_latency: Vec<(Database, f64, f64)>,
}

impl Report {
    pub fn add(&mut self, line: Line) {
        let percent = line.percent().map(|percent| format!(", {percent:.0} % of the baseline")).unwrap_or_default();
        eprintln!("{}: {:.0}/s{percent}", line.name, line.measured.rate);
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

    /// Returns the results as Markdown tables.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "| database | request | per second | median | 99 % | connections | baseline | of baseline | target |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for line in &self.lines {
            let baseline = line.baseline.map_or_else(String::new, |baseline| grouped(baseline.rate));
            let percent = line.percent().map_or_else(String::new, |percent| format!("{percent:.0} %"));
            let target = line.target.map_or_else(String::new, |target| format!("≥ {target} %"));
            let Figures { connections, rate, median, p99 } = line.measured;
            let _ = writeln!(
                table,
                "| {} | {} | {} | {median:.2} ms | {p99:.2} ms | {connections} | {baseline} | {percent} | {target} |",
                line.database.name(),
                line.name,
                grouped(rate),
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
             <style>text{{fill:#444}} .baseline{{fill:#c9c9d2}} .ours{{fill:#5b5bd6}} .target{{stroke:#c33;stroke-width:2}}\
             @media (prefers-color-scheme:dark){{text{{fill:#ccc}} .baseline{{fill:#55555f}} .ours{{fill:#8e8ef0}}}}</style>\n\
             <text x=\"10\" y=\"20\">Requests per second: Tollgate, and a minimal axum handler that sends the same bytes (gray). Red: the target.</text>\n"
        );
        for (number, line) in lines.iter().enumerate() {
            let (top, baseline) = (34 + number * ROW, line.baseline.map_or(1.0, |baseline| baseline.rate));
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
                line.measured.rate * scale,
                LEFT as f64 + line.measured.rate * scale + 6.0,
                top + 14,
                grouped(line.measured.rate),
                LEFT as f64 + baseline * scale + 6.0,
                top + 30,
                grouped(baseline),
            );
            if let Some(target) = line.target {
                let x = LEFT as f64 + baseline * scale * f64::from(target) / 100.0;
                let _ = writeln!(
                    svg,
                    "<line class=\"target\" x1=\"{x:.0}\" x2=\"{x:.0}\" y1=\"{top}\" y2=\"{}\"/>",
                    top + 34
                );
            }
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
         {seconds} s after a warm-up; it is the best of several numbers of connections (16, 64, 256; pages 4, 16, 64; \
         login 2, 4) and of three rounds with that number. The log level is `warn`. Both databases flush a commit to disk \
         before the response; PostgreSQL has its default configuration.\n\n\
         ![Requests per second compared with a minimal handler](benchmark.svg)\n\n{}{kept}",
        report.table()
    )
}

fn grouped(number: f64) -> String {
    billing::money::grouped(number.round().max(0.0) as u64)
}
