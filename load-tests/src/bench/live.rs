//! Where a bench is: one line that changes on a terminal, a line a measurement elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::side::Measured;

const TEMPLATE: &str = "{elapsed_precise} [{bar:30}] {pos} of {len}, {eta} left  {msg}";

pub struct Live(Option<ProgressBar>);

impl Live {
    pub fn new(steps: usize) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(Some(ProgressBar::new(steps as u64).with_style(style)))
    }

    pub fn heading(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(text.to_owned()),
            None => eprintln!("{text}"),
        }
    }

    pub fn step(&self, measured: Option<&Measured>) {
        if let Some(measured) = measured {
            let (name, rate) = (measured.side.name(), measured.events_per_s());
            self.note(&format!("  {name:<22} {rate:>9.0} events/s"));
        }
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }

    /// A line of its own.
    pub fn note(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
