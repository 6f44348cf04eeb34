//! What the store costs: durable commits against bare fjall at the same batch sizes, and what a task's life writes.
//! One JSON object a line; `--runs N` sets how often each case is measured (7).

#![allow(missing_docs, reason = "a benchmark has no readers of its items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails says so")]

mod commits;
mod life;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let named = arguments.windows(2).find(|pair| pair[0] == "--runs");
    let runs = named.map_or(7, |pair| pair[1].parse().unwrap());
    for writers in [1, 16, 256] {
        commits::measure(writers, runs);
    }
    life::measure();
}

/// The middle of some figures.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
