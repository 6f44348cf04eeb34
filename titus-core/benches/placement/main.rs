//! Placement: the planner on the warm view against a plain scan of all hosts, on the same tasks, in the same run.
//!
//! `./bench placement [-- [W1|W2|W3|flat]... N=5000 B=1000 seed=42 runs=7]`
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    clippy::exit,
    unreachable_pub,
    reason = "a benchmark reads the clock, counts in small numbers, and stops where it cannot go on"
)]

mod cases;
mod cell;
mod measure;
mod scan;
mod workload;

use cases::Parameters;

fn main() {
    let mut parameters = Parameters::default();
    let mut words = std::env::args().skip(1);
    while let Some(mut word) = words.next() {
        // All benchmarks take their rounds as `--runs N`.
        if word == "--runs" {
            word = format!("runs={}", words.next().unwrap_or_default());
        }
        if let Err(problem) = parameters.read(&word) {
            eprintln!("{problem}");
            std::process::exit(2);
        }
    }
    cases::run(&parameters);
}
