//! Runs the platform under a seeded, deterministic simulation: the pure one, in which nothing waits.

mod args;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use titus_core::sim::{SimConfig, SimReport, run};

use args::{Cli, Command};

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<()> {
    match command {
        Command::Run { seed, cell } | Command::Replay { seed, cell } => once(&cell.config(seed)),
        Command::Soak { first, runs, cell } => {
            for seed in first..first.saturating_add(runs) {
                once(&cell.config(seed))?;
            }
            Ok(())
        }
    }
}

/// Each run is made twice: a run that differs from itself could not be replayed.
fn once(config: &SimConfig) -> Result<()> {
    let begun = Instant::now();
    let report = run(config)?;
    let took = begun.elapsed();
    anyhow::ensure!(
        run(config)? == report,
        "seed {} gives two different runs: something in it is not deterministic",
        config.seed
    );
    println!("{}", line(config, &report, took.as_millis()));
    Ok(())
}

fn line(config: &SimConfig, report: &SimReport, took_ms: u128) -> String {
    let c = &report.counts;
    format!(
        "seed {} ok in {took_ms} ms: simulated {}, {} events, {} writes, {} checks; {} tasks, {} replacements, \
         {} starts, {} lost; {} agent and {} host crashes, {} adopted, {} messages lost, {} commands failed, \
         {} placements refused; hash {:016x}",
        config.seed,
        report.span,
        c.events,
        c.writes,
        c.checks,
        c.tasks,
        c.replacements,
        c.starts,
        c.lost,
        c.agent_crashes,
        c.host_crashes,
        c.adopted,
        c.messages_lost,
        c.commands_failed,
        c.refused,
        report.hash,
    )
}
