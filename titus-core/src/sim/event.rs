//! The heap of events, in the order of their time and then of their making.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::agent::{Command, Outcome, Step};
use crate::id::TaskId;
use crate::schedule::Plan;
use crate::task::Exit;
use crate::time::Timestamp;
use crate::wire::{Directive, HostReport};

/// Which host, by its place in the world's list.
pub(super) type HostIx = usize;

/// Something that happens. A `session` names one life of an agent, a `boot` one of a host: what was meant for an
/// earlier one comes to nothing.
#[derive(Debug)]
pub(super) enum Event {
    /// A user submits the next job.
    Submit,
    /// A user changes something.
    Order,
    /// The reconcile controller looks at what changed and at what is due.
    Reconcile,
    /// The schedule controller opens a round.
    Plan,
    /// A plan arrives at the store.
    Commit(Box<Plan>),
    /// The view catches up with the store.
    Feed,
    /// Silent hosts are looked at.
    Expire,
    /// An agent sends its report.
    Send { host: HostIx, session: u64 },
    /// A report arrives; `revision` is the state of the host that it tells of.
    Report {
        host: HostIx,
        session: u64,
        revision: u64,
        report: Box<HostReport>,
    },
    /// A directive arrives.
    Directive {
        host: HostIx,
        session: u64,
        directive: Box<Directive>,
    },
    /// An agent's timer.
    Timer { host: HostIx, session: u64 },
    /// A command has its effect.
    Effect {
        host: HostIx,
        session: u64,
        command: Box<Command>,
    },
    /// A command's answer reaches the machine.
    Answer {
        host: HostIx,
        session: u64,
        task: TaskId,
        step: Step,
        outcome: Outcome,
    },
    /// A program ends.
    Exit {
        host: HostIx,
        boot: u64,
        task: TaskId,
        exit: Exit,
    },
    /// An agent dies and leaves everything as it is.
    AgentCrash { host: HostIx },
    /// An agent starts.
    AgentStart { host: HostIx, boot: u64 },
    /// A host dies, with all that runs on it.
    HostCrash { host: HostIx },
    /// A host comes back.
    HostBoot { host: HostIx },
    /// A host can be reached no more, or again.
    Partition { host: HostIx, cut: bool },
}

impl Event {
    /// What the run's hash takes of it.
    pub(super) const fn mark(&self) -> [u64; 3] {
        match self {
            Self::Submit => [1, 0, 0],
            Self::Order => [2, 0, 0],
            Self::Reconcile => [3, 0, 0],
            Self::Plan => [4, 0, 0],
            Self::Commit(plan) => [5, plan.placements.len() as u64, 0],
            Self::Feed => [6, 0, 0],
            Self::Expire => [7, 0, 0],
            Self::Send { host, session } => [8, *host as u64, *session],
            Self::Report { host, report, .. } => [9, *host as u64, report.tasks.len() as u64],
            Self::Directive { host, directive, .. } => [10, *host as u64, directive.generation],
            Self::Timer { host, session } => [11, *host as u64, *session],
            Self::Effect { host, command, .. } => [12, *host as u64, command.work.step() as u64],
            Self::Answer { host, step, .. } => [13, *host as u64, *step as u64],
            Self::Exit { host, boot, .. } => [14, *host as u64, *boot],
            Self::AgentCrash { host } => [15, *host as u64, 0],
            Self::AgentStart { host, boot } => [16, *host as u64, *boot],
            Self::HostCrash { host } => [17, *host as u64, 0],
            Self::HostBoot { host } => [18, *host as u64, 0],
            Self::Partition { host, cut } => [19, *host as u64, *cut as u64],
        }
    }
}

/// What is still to happen.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    times: BinaryHeap<Reverse<(Timestamp, u64)>>,
    events: BTreeMap<u64, Event>,
    made: u64,
}

impl Agenda {
    pub(super) fn at(&mut self, when: Timestamp, event: Event) {
        self.made += 1;
        self.times.push(Reverse((when, self.made)));
        self.events.insert(self.made, event);
    }

    pub(super) fn next(&mut self) -> Option<(Timestamp, Event)> {
        let Reverse((when, sequence)) = self.times.pop()?;
        Some((when, self.events.remove(&sequence)?))
    }
}
