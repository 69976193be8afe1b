//! What was measured, as a table and as a plot.

use std::fmt::Write;

use crate::load::Figures;
use crate::run::Engine;

/// One thing that was measured.
pub struct Line {
    pub engine: Engine,
    pub what: String,
    pub measured: Figures,
    /// The yardstick in the same run.
    pub bare: Option<Figures>,
    /// The least percentage of the yardstick that was aimed at.
    pub goal: Option<u32>,
}

impl Line {
    fn percent(&self) -> Option<f64> {
        self.bare.map(|bare| 100.0 * self.measured.rate / bare.rate)
    }
}

/// Everything that was measured.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
    history: Vec<(Engine, u64, Figures)>,
    shows: Vec<(Engine, f64, f64)>,
}

impl Report {
    pub fn add(&mut self, line: Line) {
        let percent = line.percent().map(|percent| format!(", {percent:.0} % of bare")).unwrap_or_default();
        eprintln!("{}: {:.0}/s{percent}", line.what, line.measured.rate);
        self.lines.push(line);
    }

    pub fn add_history(&mut self, engine: Engine, rows: u64, figures: Figures) {
        self.history.push((engine, rows, figures));
    }

    pub fn add_shows(&mut self, engine: Engine, median: f64, most: f64) {
        eprintln!("the state shows after {median:.1} ms, at most {most:.1} ms");
        self.shows.push((engine, median, most));
    }

    /// The figures, as Markdown.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "| engine | what | per second | median | 99 % | connections | bare | of bare | goal |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for line in &self.lines {
            let bare = line.bare.map_or_else(String::new, |bare| grouped(bare.rate));
            let percent = line.percent().map_or_else(String::new, |percent| format!("{percent:.0} %"));
            let goal = line.goal.map_or_else(String::new, |goal| format!("≥ {goal} %"));
            let Figures { connections, rate, median, p99 } = line.measured;
            let _ = writeln!(
                table,
                "| {} | {} | {} | {median:.2} ms | {p99:.2} ms | {connections} | {bare} | {percent} | {goal} |",
                line.engine.name(),
                line.what,
                grouped(rate),
            );
        }
        table.push_str("\n| engine | history rows | usage records per second | of none |\n|---|---:|---:|---:|\n");
        for (engine, rows, figures) in &self.history {
            let none = self.history.iter().find(|(of, ..)| of == engine).map_or(figures.rate, |(.., none)| none.rate);
            let _ = writeln!(
                table,
                "| {} | {} | {} | {:.0} % |",
                engine.name(),
                grouped(*rows as f64),
                grouped(figures.rate),
                100.0 * figures.rate / none
            );
        }
        table.push_str(
            "\n| engine | from a delivery until the state shows: median | longest of 50 |\n|---|---:|---:|\n",
        );
        for (engine, median, most) in &self.shows {
            let _ = writeln!(table, "| {} | {median:.1} ms | {most:.1} ms |", engine.name());
        }
        table
    }

    /// Bars beside those of the yardstick, each pair on a scale of its own.
    pub fn plot(&self) -> String {
        const WIDTH: usize = 720;
        const LEFT: usize = 210;
        const ROW: usize = 44;
        let lines: Vec<&Line> = self.lines.iter().filter(|line| line.bare.is_some()).collect();
        let height = lines.len() * ROW + 50;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
             <title>Requests per second beside a bare handler with the same bytes</title>\n\
             <style>text{{fill:#444}} .bare{{fill:#c9c9d2}} .ours{{fill:#5b5bd6}} .goal{{stroke:#c33;stroke-width:2}}\
             @media (prefers-color-scheme:dark){{text{{fill:#ccc}} .bare{{fill:#55555f}} .ours{{fill:#8e8ef0}}}}</style>\n\
             <text x=\"10\" y=\"20\">Requests per second: Tollgate, and a bare axum handler with the same bytes (grey). Red: the goal.</text>\n"
        );
        for (number, line) in lines.iter().enumerate() {
            let (top, bare) = (34 + number * ROW, line.bare.map_or(1.0, |bare| bare.rate));
            let scale = (WIDTH - LEFT - 110) as f64 / bare;
            let _ = writeln!(
                svg,
                "<text x=\"10\" y=\"{}\">{}, {}</text>\
                 <rect class=\"bare\" x=\"{LEFT}\" y=\"{}\" width=\"{:.0}\" height=\"14\"/>\
                 <rect class=\"ours\" x=\"{LEFT}\" y=\"{}\" width=\"{:.0}\" height=\"14\"/>\
                 <text x=\"{:.0}\" y=\"{}\">{}</text><text x=\"{:.0}\" y=\"{}\">{}</text>",
                top + 20,
                line.what,
                line.engine.name(),
                top + 18,
                bare * scale,
                top + 2,
                line.measured.rate * scale,
                LEFT as f64 + line.measured.rate * scale + 6.0,
                top + 14,
                grouped(line.measured.rate),
                LEFT as f64 + bare * scale + 6.0,
                top + 30,
                grouped(bare),
            );
            if let Some(goal) = line.goal {
                let x = LEFT as f64 + bare * scale * f64::from(goal) / 100.0;
                let _ = writeln!(
                    svg,
                    "<line class=\"goal\" x1=\"{x:.0}\" x2=\"{x:.0}\" y1=\"{top}\" y2=\"{}\"/>",
                    top + 34
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// The page in `docs/`. `earlier` is the page as it was: from its first `##` on it was written by
/// people, and is kept.
pub fn document(report: &Report, seconds: u64, earlier: &str) -> String {
    let kept = earlier.find("\n## ").map_or("", |at| &earlier[at..]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "# Benchmark\n\n\
         `make bench` measures the release binary in a process of its own beside a bare axum handler that sends \
         the same bytes (for webhooks: that checks the same signature), in the same run, asked by the same clients \
         on the same machine. Made by it: this table and the plot.\n\n\
         Machine: {cores} cores, shared by the server, the database and the clients. Each figure: {seconds} s after a warm-up, the best \
         of several numbers of connections (16, 64, 256; pages 4, 16, 64; login 2, 4) and of three rounds with that one. Logging at `warn`. Both engines \
         have what was committed on the disk before it is answered; PostgreSQL is as installed.\n\n\
         ![Requests per second beside a bare handler](benchmark.svg)\n\n{}{kept}",
        report.table()
    )
}

fn grouped(number: f64) -> String {
    billing::money::grouped(number.round().max(0.0) as u64)
}
