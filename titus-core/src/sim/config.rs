use std::fmt;

use crate::time::{Millis, Timestamp};

/// One simulated run. The same values give the same run, event for event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimConfig {
    /// Where all randomness comes from.
    pub seed: u64,
    /// How many hosts the cell has.
    pub hosts: u16,
    /// How many jobs are submitted while faults come.
    pub jobs: u16,
    /// For how long jobs and faults come.
    pub busy: Millis,
    /// For how long after that the cell may take until everything is as it shall be.
    pub quiet: Millis,
    /// What goes wrong.
    pub faults: Faults,
    /// Check the whole state after each so many events that changed it; 1 is after every one.
    pub check_each: u64,
}

/// What goes wrong while a run is busy. Rates are per thousand; zero turns one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Messages that are lost.
    pub lost: u64,
    /// Messages that come twice.
    pub doubled: u64,
    /// Messages that come late, after later ones.
    pub late: u64,
    /// Directives that leave out a launch text that the host needs.
    pub lacking: u64,
    /// Commands that fail, before or after they had their effect.
    pub failing: u64,
    /// Commands that take up to a minute.
    pub slow: u64,
    /// Plans whose commit takes up to five seconds.
    pub stalled: u64,
    /// Plans whose commit fails as a whole.
    pub conflict: u64,
    /// The mean time between two crashes of one host's agent; zero for never.
    pub agent_crash: Millis,
    /// The mean time between two crashes of one host. One in three loses its disk too; one host may never come back.
    pub host_crash: Millis,
    /// The mean time between two partitions of one host.
    pub partition: Millis,
}

impl Faults {
    /// Everything works.
    pub const NONE: Self = Self {
        lost: 0,
        doubled: 0,
        late: 0,
        lacking: 0,
        failing: 0,
        slow: 0,
        stalled: 0,
        conflict: 0,
        agent_crash: Millis::ZERO,
        host_crash: Millis::ZERO,
        partition: Millis::ZERO,
    };

    /// Everything goes wrong now and then.
    pub const ALL: Self = Self {
        lost: 50,
        doubled: 50,
        late: 50,
        lacking: 20,
        failing: 30,
        slow: 20,
        stalled: 150,
        conflict: 30,
        agent_crash: Millis::from_secs(180),
        host_crash: Millis::from_secs(600),
        partition: Millis::from_secs(600),
    };
}

impl SimConfig {
    /// A small cell on which everything goes wrong for ten minutes.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self {
            seed,
            hosts: 6,
            jobs: 12,
            busy: Millis::from_secs(600),
            quiet: Millis::from_secs(3_600),
            faults: Faults::ALL,
            check_each: 1,
        }
    }
}

/// How often things happened: a run in which nothing goes wrong proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SimCounts {
    /// Events in all.
    pub events: u64,
    /// Changes of the store's records.
    pub writes: u64,
    /// Whole-state checks.
    pub checks: u64,
    /// Tasks created.
    pub tasks: u64,
    /// Of these, replacements.
    pub replacements: u64,
    /// Programs started.
    pub starts: u64,
    /// Tasks finished.
    pub finished: u64,
    /// Tasks that ended as lost.
    pub lost: u64,
    /// Tasks archived.
    pub archived: u64,
    /// Placements that a commit refused.
    pub refused: u64,
    /// Messages lost.
    pub messages_lost: u64,
    /// Commands that failed.
    pub commands_failed: u64,
    /// Agents crashed.
    pub agent_crashes: u64,
    /// Hosts crashed.
    pub host_crashes: u64,
    /// Tasks that a restarted agent found.
    pub adopted: u64,
    /// Directives that agents refused.
    pub directives_refused: u64,
    /// Times that a directive lacked a launch text.
    pub texts_lacking: u64,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimReport {
    /// Over every event and every write, in order: equal for equal runs.
    pub hash: u64,
    /// The simulated time that passed.
    pub span: Millis,
    /// What happened.
    pub counts: SimCounts,
}

/// What must never be so, and was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", told(self))]
pub struct SimFailure {
    /// The run.
    pub config: Box<SimConfig>,
    /// When, from the start of the run.
    pub at: Millis,
    /// After how many events.
    pub event: u64,
    /// What was wrong.
    pub wrong: Vec<String>,
}

fn told(failure: &SimFailure) -> String {
    let SimFailure {
        config,
        at,
        event,
        wrong,
    } = failure;
    format!(
        "seed {}: after {event} events, at {at}: {}\nsee it again with: titus-sim replay {}",
        config.seed,
        wrong.join("; "),
        config,
    )
}

impl fmt::Display for SimConfig {
    /// The arguments of `titus-sim replay` for this run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} --hosts {} --jobs {}", self.seed, self.hosts, self.jobs)?;
        write!(
            f,
            " --busy-sec {} --quiet-sec {}",
            self.busy.0 / 1_000,
            self.quiet.0 / 1_000
        )?;
        if self.check_each != 1 {
            write!(f, " --check-each {}", self.check_each)?;
        }
        if self.faults == Faults::NONE {
            write!(f, " --no-faults")?;
        }
        Ok(())
    }
}

/// The moment at which every run starts.
pub(super) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
