//! How far a load is: a bar on a terminal, a plain line every few seconds elsewhere, or lines to whoever asked for them.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(5);
const TEMPLATE: &str =
    "{elapsed_precise} [{bar:40}] {human_pos} of {human_len} acknowledged, {per_sec}, {eta} left";

pub struct Progress {
    total: u64,
    began: Instant,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines(Mutex<LastLine>),
    /// Notes only.
    Told(Box<dyn Fn(&str) + Send + Sync>),
}

struct LastLine {
    at: Instant,
    done: u64,
}

impl Progress {
    pub fn new(total: u64) -> Self {
        let began = Instant::now();
        let shown = if std::io::stderr().is_terminal() {
            let style =
                ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            Shown::Bar(ProgressBar::new(total).with_style(style))
        } else {
            Shown::Lines(Mutex::new(LastLine { at: began, done: 0 }))
        };
        Self { total, began, shown }
    }

    /// Nothing is printed; notes go to `tell`.
    pub fn told(total: u64, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { total, began: Instant::now(), shown: Shown::Told(Box::new(tell)) }
    }

    pub fn show(&self, done: u64) {
        match &self.shown {
            Shown::Told(_) => {}
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines(last) => {
                let Ok(mut last) = last.lock() else { return };
                if last.at.elapsed() >= LINE_EVERY {
                    let rate = (done - last.done) as f64 / last.at.elapsed().as_secs_f64();
                    eprintln!("{}", line(self.began.elapsed(), done, self.total, rate));
                    *last = LastLine { at: Instant::now(), done };
                }
            }
        }
    }

    /// A line of its own, above the bar where there is one.
    pub fn note(&self, text: &str) {
        let text = format!("{:>7.1}s  {text}", self.began.elapsed().as_secs_f64());
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Shown::Lines(_) => eprintln!("{text}"),
            Shown::Told(tell) => tell(&text),
        }
    }

    pub fn finish(&self, done: u64) {
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(done);
                bar.abandon();
            }
            Shown::Told(_) => {}
            Shown::Lines(_) => {
                let rate = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
                eprintln!("{}", line(self.began.elapsed(), done, self.total, rate));
            }
        }
    }
}

fn line(elapsed: Duration, done: u64, total: u64, rate: f64) -> String {
    let percent = done as f64 * 100.0 / total.max(1) as f64;
    format!(
        "{:>7.1}s  {done} of {total} acknowledged ({percent:.1} %), {rate:.0} events/s",
        elapsed.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let line = line(Duration::from_millis(12_340), 250_000, 1_000_000, 20_345.6);
        assert_eq!(line, "   12.3s  250000 of 1000000 acknowledged (25.0 %), 20346 events/s");
    }
}
