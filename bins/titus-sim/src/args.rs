use clap::{Args, Parser, Subcommand};
use titus_core::sim::{Faults, SimConfig};
use titus_core::time::Millis;

/// Runs the platform under a seeded, deterministic simulation.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one seed, twice, and compare.
    Run {
        /// Where all randomness comes from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[command(flatten)]
        cell: Cell,
    },
    /// Run many seeds, one after another; stops at the first that fails.
    Soak {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        first: u64,
        /// How many.
        #[arg(long, default_value_t = 100)]
        runs: u64,
        #[command(flatten)]
        cell: Cell,
    },
    /// Run a seed again that failed.
    Replay {
        /// The seed.
        seed: u64,
        #[command(flatten)]
        cell: Cell,
    },
}

/// What is simulated.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Cell {
    /// How many hosts.
    #[arg(long, default_value_t = SimConfig::seeded(0).hosts, value_parser = clap::value_parser!(u16).range(1..))]
    hosts: u16,
    /// How many jobs are submitted.
    #[arg(long, default_value_t = SimConfig::seeded(0).jobs, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// For how many simulated seconds jobs and faults come.
    #[arg(long, default_value_t = SimConfig::seeded(0).busy.0 / 1_000)]
    busy_sec: u64,
    /// For how many more the cell may take to settle.
    #[arg(long, default_value_t = SimConfig::seeded(0).quiet.0 / 1_000)]
    quiet_sec: u64,
    /// Nothing goes wrong.
    #[arg(long)]
    no_faults: bool,
    /// Check the whole state after each so many changes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    check_each: u64,
}

impl Cell {
    pub(crate) const fn config(self, seed: u64) -> SimConfig {
        SimConfig {
            seed,
            hosts: self.hosts,
            jobs: self.jobs,
            busy: Millis::from_secs(self.busy_sec),
            quiet: Millis::from_secs(self.quiet_sec),
            faults: if self.no_faults { Faults::NONE } else { Faults::ALL },
            check_each: self.check_each,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failures_arguments_replay_the_same_run() {
        let config = SimConfig {
            hosts: 3,
            jobs: 7,
            busy: Millis::from_secs(61),
            faults: Faults::NONE,
            check_each: 5,
            ..SimConfig::seeded(99)
        };
        let line = format!("titus-sim replay {config}");
        let Command::Replay { seed, cell } = Cli::parse_from(line.split(' ')).command else {
            panic!("{line}");
        };
        assert_eq!(cell.config(seed), config);
    }
}
