use std::collections::BTreeMap;
use std::net::IpAddr;

use titus_core::agent::{
    Adopted, AgentConfig, Command, Fault, Found, HostAgent, Input, Outcome, Step, StopSignal, Work,
};
use titus_core::host::HostSpec;
use titus_core::id::{HostId, SpecDigest, TaskId};
use titus_core::resources::Resources;
use titus_core::spec::{ImageRequest, LaunchSpec};
use titus_core::task::{Exit, StageTimes};
use titus_core::time::{Millis, Timestamp};
use titus_core::wire::TaskReport;

pub(crate) const TASKS: usize = 4;

pub(crate) fn task(n: usize) -> TaskId {
    TaskId::from_bytes([u8::try_from(n).unwrap() + 1; 16])
}

pub(crate) fn text_digest() -> SpecDigest {
    SpecDigest([1; 32])
}

pub(crate) fn text() -> LaunchSpec {
    LaunchSpec {
        application: "app".into(),
        image: ImageRequest::default(),
        entry_point: vec![],
        command: vec![],
        env: BTreeMap::new(),
        resources: Resources::ZERO,
        shm_mb: 64,
        volumes: vec![],
        grace: Millis(5_000),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Life {
    #[default]
    None,
    Blocked,
    Running,
    Exited(Exit),
    Removed(Option<Exit>),
}

#[derive(Debug, Clone, Default)]
struct Traces {
    life: Life,
    address: Option<IpAddr>,
    wired: bool,
    image: bool,
}

impl Traces {
    /// True when something beyond logs and images exists.
    const fn holds(&self) -> bool {
        self.wired || self.address.is_some() || !matches!(self.life, Life::None | Life::Removed(_))
    }
}

/// A host with one agent: what really exists on it.
pub(crate) struct Host {
    pub(crate) agent: HostAgent,
    pub(crate) now: Timestamp,
    pub(crate) outstanding: Vec<Command>,
    config: AgentConfig,
    traces: BTreeMap<TaskId, Traces>,
    /// Every program ever executed, and how it ended.
    executed: BTreeMap<TaskId, Option<Exit>>,
    /// Whether the network of the task's present sandbox was wired by this agent.
    wired: BTreeMap<TaskId, bool>,
}

fn spec() -> HostSpec {
    HostSpec {
        id: HostId::new("h").unwrap(),
        capacity: Resources::ZERO,
        zone: String::new(),
        machine_type: String::new(),
        runtime: String::new(),
        datapath: String::new(),
        attributes: BTreeMap::new(),
    }
}

impl Host {
    pub(crate) fn new(config: AgentConfig) -> Self {
        let now = Timestamp::from_millis(1_000);
        let (agent, _) = HostAgent::start(spec(), config, &[], now);
        Self {
            agent,
            now,
            outstanding: vec![],
            config,
            traces: BTreeMap::new(),
            executed: BTreeMap::new(),
            wired: BTreeMap::new(),
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        let commands = self.agent.handle(input, self.now);
        self.take(commands);
    }

    fn take(&mut self, commands: Vec<Command>) {
        for command in commands {
            if command.work == Work::OpenGate {
                assert_eq!(
                    self.wired.get(&command.task),
                    Some(&true),
                    "the gate opens before the network is wired"
                );
            }
            if command.work != Work::Cancel {
                self.outstanding.push(command);
            }
        }
    }

    pub(crate) fn pass(&mut self, span: Millis) {
        self.now = self.now + span;
        self.input(Input::Tick);
    }

    /// Kills the agent and starts another on what is left.
    pub(crate) fn restart(&mut self, reboot: bool) {
        self.outstanding.clear();
        self.wired.clear();
        for (task, t) in self.traces.iter_mut().filter(|_| reboot) {
            t.wired = false;
            if t.life == Life::Running {
                t.life = Life::Exited(Exit::Unknown);
                self.executed.insert(*task, Some(Exit::Unknown));
            }
        }
        let found: Vec<Adopted> = self.traces.iter().map(|(task, t)| adopt(*task, t)).collect();
        let (agent, commands) = HostAgent::start(spec(), self.config, &found, self.now);
        self.agent = agent;
        self.take(commands);
    }

    /// Answers a command: well, or with a fault before or after it had its effect.
    pub(crate) fn answer(&mut self, command: &Command, fails: Option<(Fault, bool)>) {
        let has_effect = fails.is_none_or(|(_, effect)| effect);
        let mut outcome = if has_effect {
            self.effect(command)
        } else {
            Outcome::Done
        };
        if let Some((fault, _)) = fails {
            outcome = Outcome::Failed {
                fault: honest(fault),
                message: "é".repeat(2_000),
            };
        }
        if command.work.step() == Step::WireNetwork {
            self.wired.insert(command.task, outcome == Outcome::Done);
        }
        self.input(Input::Done {
            task: command.task,
            step: command.work.step(),
            outcome,
        });
    }

    fn effect(&mut self, command: &Command) -> Outcome {
        if command.work == Work::Forget {
            let forgotten = self.traces.remove(&command.task).unwrap_or_default();
            assert!(!forgotten.holds(), "forgotten while it holds {forgotten:?}");
            return Outcome::Done;
        }
        let t = self.traces.entry(command.task).or_default();
        match &command.work {
            Work::FetchImage { .. } => t.image = true,
            Work::AssignAddress { .. } => {
                let address = IpAddr::from([10, 0, 0, command.task.to_bytes()[0]]);
                t.address = Some(address);
                return Outcome::Address(address);
            }
            Work::CreateSandbox(_) => {
                assert!(
                    t.image && t.address.is_some(),
                    "a sandbox before its image and address"
                );
                assert!(matches!(t.life, Life::None | Life::Blocked), "a second sandbox");
                t.life = Life::Blocked;
            }
            Work::WireNetwork { address, .. } => {
                assert_eq!((t.life, t.address), (Life::Blocked, Some(*address)));
                t.wired = true;
            }
            Work::OpenGate => {
                assert_eq!((t.life, t.wired), (Life::Blocked, true));
                t.life = Life::Running;
                assert!(
                    self.executed.insert(command.task, None).is_none(),
                    "executed twice"
                );
            }
            Work::Signal(StopSignal::Term | StopSignal::Kill) if t.life != Life::Running => {
                return Outcome::Failed {
                    fault: Fault::Gone,
                    message: String::new(),
                };
            }
            Work::UnwireNetwork => t.wired = false,
            Work::RemoveSandbox => {
                t.life = match t.life {
                    Life::Running => {
                        self.executed.insert(command.task, Some(Exit::Signal(9)));
                        Life::Removed(Some(Exit::Signal(9)))
                    }
                    Life::Exited(exit) => Life::Removed(Some(exit)),
                    Life::None | Life::Blocked => Life::Removed(None),
                    removed @ Life::Removed(_) => removed,
                };
            }
            Work::ReleaseAddress => t.address = None,
            Work::Signal(_) | Work::DropLogs | Work::Forget | Work::Cancel => {}
        }
        Outcome::Done
    }

    pub(crate) fn exit(&mut self, task: TaskId, exit: Exit) {
        let running = self.traces.get_mut(&task).filter(|t| t.life == Life::Running);
        if let Some(t) = running {
            t.life = Life::Exited(exit);
            self.executed.insert(task, Some(exit));
            self.input(Input::Exited {
                task,
                exit,
                message: "said".into(),
            });
        }
    }

    /// Tasks for which something beyond logs and images exists.
    pub(crate) fn holding(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.traces.iter().filter(|(_, t)| t.holds()).map(|(id, _)| *id)
    }

    pub(crate) fn was_executed(&self, task: TaskId) -> bool {
        self.executed.contains_key(&task)
    }

    /// An end that is reported is the end that was.
    pub(crate) fn ended_so(&self, told: &TaskReport) {
        if let Some(Exit::Code(code)) = told.exit {
            assert_eq!(
                self.executed.get(&told.task),
                Some(&Some(Exit::Code(code))),
                "an exit made up"
            );
        }
        if told.exit.is_some_and(Exit::is_success) {
            assert!(told.reason.is_none(), "a success with a fault: {told:?}");
        }
    }

    pub(crate) fn left_over(&self) -> Vec<String> {
        self.traces
            .iter()
            .map(|(task, t)| format!("{task}: {t:?}"))
            .collect()
    }
}

/// A correct executor says `Gone` and `Exec` only of what is so, and then without being asked to fail.
const fn honest(fault: Fault) -> Fault {
    match fault {
        Fault::Exec(_) | Fault::Gone => Fault::Host,
        fault => fault,
    }
}

fn adopt(task: TaskId, t: &Traces) -> Adopted {
    let found = match t.life {
        Life::None => Found::Leftovers,
        Life::Blocked => Found::Blocked,
        Life::Running => Found::Running,
        Life::Exited(exit) => Found::Exited(exit),
        Life::Removed(exit) => Found::Removed(exit),
    };
    Adopted {
        task,
        found,
        address: t.address,
        wired: t.wired,
        times: StageTimes::default(),
    }
}
