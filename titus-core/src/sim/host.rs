//! A host as the world sees it: what really exists on it, and the agent that decides about it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::workload::Program;
use crate::agent::{Adopted, AgentConfig, Command, Fault, Found, HostAgent, Outcome, StopSignal, Work};
use crate::host::HostSpec;
use crate::id::{JobId, TaskId};
use crate::rng::Rng;
use crate::task::{Exit, StageTimes};
use crate::time::{Millis, Timestamp};

/// What is left of one task's sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    None,
    Blocked,
    Running,
    Exited(Exit),
    Removed(Option<Exit>),
}

/// All that exists on a host for one task.
#[derive(Debug, Clone)]
pub(super) struct Container {
    life: Life,
    address: Option<IpAddr>,
    wired: bool,
    program: Program,
    times: StageTimes,
}

impl Container {
    fn new() -> Self {
        Self {
            life: Life::None,
            address: None,
            wired: false,
            program: Program::default(),
            times: StageTimes::default(),
        }
    }

    /// True when more than logs is left.
    fn holds(&self) -> bool {
        self.address.is_some() || self.wired || !matches!(self.life, Life::None | Life::Removed(_))
    }
}

#[derive(Debug)]
pub(super) struct SimHost {
    pub(super) spec: HostSpec,
    pub(super) agent: Option<HostAgent>,
    /// Counts the lives of its agent.
    pub(super) session: u64,
    /// Counts its own lives.
    pub(super) boot: u64,
    pub(super) up: bool,
    /// It can be reached by nobody.
    pub(super) cut: bool,
    /// Counts what its agent may have changed its mind about.
    pub(super) revision: u64,
    /// The newest revision whose report the scheduler has applied.
    pub(super) acked: u64,
    /// When its agent reports next.
    pub(super) send_at: Option<Timestamp>,
    /// When its agent's timer goes off next.
    pub(super) timer_at: Option<Timestamp>,
    /// When the scheduler last heard of it.
    pub(super) heard: Timestamp,
    /// The session that the scheduler talks with.
    pub(super) linked: u64,
    containers: BTreeMap<TaskId, Container>,
    next_address: u32,
}

/// What a command's effect leads to, beside its answer.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// A program was executed; true when its network was wired.
    pub(super) started: Option<bool>,
    /// A program will end so, after this time.
    pub(super) exits: Option<(Millis, Exit)>,
}

impl SimHost {
    pub(super) const fn new(spec: HostSpec, now: Timestamp) -> Self {
        Self {
            spec,
            agent: None,
            session: 0,
            boot: 0,
            up: true,
            cut: false,
            revision: 0,
            acked: 0,
            send_at: None,
            timer_at: None,
            heard: now,
            linked: 0,
            containers: BTreeMap::new(),
            next_address: 0,
        }
    }

    /// Starts an agent on what is there; answers what it found and what it wants done.
    pub(super) fn start_agent(&mut self, config: AgentConfig, now: Timestamp) -> (usize, Vec<Command>) {
        let found: Vec<Adopted> = self
            .containers
            .iter()
            .filter_map(|(id, b)| adopt(*id, b))
            .collect();
        self.session += 1;
        self.send_at = None;
        self.timer_at = None;
        let (agent, commands) = HostAgent::start(self.spec.clone(), config, &found, now);
        self.agent = Some(agent);
        (found.len(), commands)
    }

    pub(super) fn stop_agent(&mut self) {
        self.agent = None;
        self.session += 1;
        self.send_at = None;
        self.timer_at = None;
    }

    /// Everything that ran is gone; what is on the disk stays.
    pub(super) fn crash(&mut self) {
        self.stop_agent();
        self.up = false;
        self.boot += 1;
        for b in self.containers.values_mut() {
            b.wired = false;
            if b.life == Life::Running {
                b.life = Life::Exited(Exit::Unknown);
            }
        }
    }

    /// Its disk is lost too: nothing tells any more what ran here.
    pub(super) fn wipe(&mut self) {
        self.containers.clear();
    }

    /// Tasks for which something beyond logs exists.
    pub(super) fn holding(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.containers
            .iter()
            .filter(|(_, b)| b.holds())
            .map(|(id, _)| *id)
    }

    /// A program ends, if it still runs.
    pub(super) fn exit(&mut self, task: TaskId, exit: Exit, now: Timestamp) -> bool {
        match self.containers.get_mut(&task) {
            Some(b) if b.life == Life::Running => {
                b.life = Life::Exited(exit);
                b.times.finished = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Does what a command says, as a correct executor would.
    pub(super) fn perform(
        &mut self,
        command: &Command,
        program_of: impl FnOnce(JobId) -> Program,
        now: Timestamp,
        rng: &mut Rng,
    ) -> (Outcome, Effect) {
        let fresh = Ipv4Addr::from(0x0a00_0001 + self.next_address);
        let none = (Outcome::Done, Effect::default());
        if command.work == Work::Forget {
            // What is forgotten while it holds something is a leak, and shows as one in the end.
            self.containers
                .retain(|task, b| *task != command.task || b.holds());
            return none;
        }
        let b = self.containers.entry(command.task).or_insert_with(Container::new);
        match &command.work {
            Work::FetchImage { image } if image.tag == "missing" => failed(Fault::Request, "no such image"),
            Work::AssignAddress { .. } => {
                if b.address.is_none() {
                    self.next_address += 1;
                }
                let address = *b.address.get_or_insert(IpAddr::V4(fresh));
                (Outcome::Address(address), Effect::default())
            }
            Work::CreateSandbox(sandbox) => {
                b.program = program_of(sandbox.job);
                match b.life {
                    Life::None => b.life = Life::Blocked,
                    Life::Blocked => {}
                    _ => return failed(Fault::Host, "a sandbox of this name is there"),
                }
                b.times.preparing = Some(now);
                none
            }
            Work::WireNetwork { address, .. } => {
                if b.life != Life::Blocked || b.address != Some(*address) {
                    return failed(Fault::Gone, "no sandbox to wire");
                }
                b.wired = true;
                b.times.network = Some(now);
                none
            }
            Work::OpenGate => open(b, now, rng),
            Work::Signal(signal) => signalled(b, *signal, rng),
            Work::UnwireNetwork => {
                b.wired = false;
                none
            }
            Work::RemoveSandbox => {
                b.life = match b.life {
                    Life::None | Life::Blocked => Life::Removed(None),
                    Life::Running => Life::Removed(Some(Exit::Signal(9))),
                    Life::Exited(exit) => Life::Removed(Some(exit)),
                    removed @ Life::Removed(_) => removed,
                };
                none
            }
            Work::ReleaseAddress => {
                b.address = None;
                none
            }
            Work::FetchImage { .. } | Work::DropLogs | Work::Forget | Work::Cancel => none,
        }
    }
}

fn failed(fault: Fault, message: &str) -> (Outcome, Effect) {
    let message = message.to_owned();
    (Outcome::Failed { fault, message }, Effect::default())
}

fn open(b: &mut Container, now: Timestamp, rng: &mut Rng) -> (Outcome, Effect) {
    if b.life != Life::Blocked {
        return match b.life {
            Life::Running | Life::Exited(_) => (Outcome::Done, Effect::default()),
            _ => failed(Fault::Gone, "no sandbox to open"),
        };
    }
    if b.program.missing {
        b.life = Life::Exited(Exit::ExecFailed(127));
        return failed(Fault::Exec(127), "no such command");
    }
    b.life = Life::Running;
    b.times.started = Some(now);
    let effect = Effect {
        started: Some(b.wired),
        exits: b.program.ends(rng),
    };
    (Outcome::Done, effect)
}

fn signalled(b: &Container, signal: StopSignal, rng: &mut Rng) -> (Outcome, Effect) {
    if b.life != Life::Running {
        return failed(Fault::Gone, "no program to signal");
    }
    let exits = match signal {
        StopSignal::Term if b.program.deaf => None,
        StopSignal::Term => Some((Millis(rng.below(15_000)), Exit::Code(143))),
        StopSignal::Kill if rng.chance(1, 10) => None,
        StopSignal::Kill => Some((Millis(rng.below(50)), Exit::Signal(9))),
    };
    (Outcome::Done, Effect { started: None, exits })
}

fn adopt(task: TaskId, b: &Container) -> Option<Adopted> {
    let found = match b.life {
        Life::Blocked => Found::Blocked,
        Life::Running => Found::Running,
        Life::Exited(exit) => Found::Exited(exit),
        Life::Removed(exit) => Found::Removed(exit),
        Life::None if b.holds() => Found::Leftovers,
        Life::None => return None,
    };
    Some(Adopted {
        task,
        found,
        address: b.address,
        wired: b.wired,
        times: b.times,
    })
}
