//! Medians, and the line that says them.

use std::time::{Duration, Instant};

/// How long something took, and what came of it.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let made = work();
    (start.elapsed(), made)
}

/// What reading the clock costs by itself.
pub fn timer_cost() -> Duration {
    let mut costs: Vec<Duration> = (0..1_001).map(|_| timed(|| ()).0).collect();
    costs.sort_unstable();
    costs[costs.len() / 2]
}

/// The middle of some figures.
pub fn median(figures: &[f64]) -> f64 {
    percentile(figures, 50)
}

/// The figure below which so many of a hundred lie.
pub fn percentile(figures: &[f64], percent: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// One result.
pub struct Line<'a> {
    pub case: String,
    pub metric: &'a str,
    pub values: &'a [f64],
    pub baseline: &'a str,
    pub baseline_values: &'a [f64],
    /// Further figures, as JSON members.
    pub quality: String,
}

impl Line<'_> {
    pub fn print(&self) {
        let (value, base) = (median(self.values), median(self.baseline_values));
        let min = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        println!(
            r#"{{"bench":"placement","case":"{}","metric":"{}","value":{value:.3},"baseline":"{}","baseline_value":{base:.3},"ratio":{:.3},"min":{min:.3},"max":{max:.3},"n":{},"quality":{{{}}}}}"#,
            self.case,
            self.metric,
            self.baseline,
            value / base,
            self.values.len(),
            self.quality
        );
    }
}
