//! Random lists of operations on the host agent's machine, against a host on which everything may go wrong.

#![allow(clippy::unwrap_used, reason = "tests")]

mod host;

use std::collections::{BTreeMap, BTreeSet};

use host::{Host, TASKS, text, text_digest};
use proptest::prelude::*;
use titus_core::agent::{AgentConfig, AgentStats, Fault, Input, Outcome, Step, Work};
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::task::Exit;
use titus_core::time::Millis;
use titus_core::wire::{Directive, MAX_MESSAGE, Phase, TaskDirective, Wanted};

#[derive(Debug, Clone)]
enum Op {
    /// A newer directive; per task whether it runs, stops or is not named. `lacking` leaves out the launch text.
    Direct {
        wanted: [Option<bool>; TASKS],
        lacking: bool,
    },
    /// A directive older than the last one, which would start everything.
    Stale,
    /// One outstanding command is answered.
    Answer {
        pick: prop::sample::Index,
        fails: Option<(Fault, bool)>,
    },
    /// An answer that nobody waits for.
    Bogus {
        task: usize,
        step: usize,
    },
    /// A program ends.
    Exit {
        task: usize,
        code: u8,
    },
    Pass {
        ms: u64,
    },
    /// The agent is killed and started again.
    Restart,
    /// The host loses power and comes back.
    Reboot,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Request),
        Just(Fault::Transient),
        Just(Fault::Host),
        Just(Fault::Gone),
        Just(Fault::Exec(126)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let wanted =
        prop::array::uniform4(prop_oneof![2 => Just(None), 5 => Just(Some(true)), 2 => Just(Some(false))]);
    let fails = prop_oneof![6 => Just(None), 1 => (fault(), any::<bool>()).prop_map(Some)];
    prop_oneof![
        4 => (wanted, prop::bool::weighted(0.1)).prop_map(|(wanted, lacking)| Op::Direct { wanted, lacking }),
        1 => Just(Op::Stale),
        14 => (any::<prop::sample::Index>(), fails).prop_map(|(pick, fails)| Op::Answer { pick, fails }),
        1 => (0..TASKS, 0..13_usize).prop_map(|(task, step)| Op::Bogus { task, step }),
        2 => (0..TASKS, 0..3_u8).prop_map(|(task, code)| Op::Exit { task, code }),
        3 => (0..20_000_u64).prop_map(|ms| Op::Pass { ms }),
        1 => Just(Op::Restart),
        1 => Just(Op::Reboot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_list_of_operations_breaks_the_agent_or_leaves_anything_behind(ops in prop::collection::vec(op(), 1..120)) {
        let mut run = Run::new();
        for op in &ops {
            run.perform(op);
            run.check();
        }
        run.drain();
    }
}

/// The machine, its host, and what a control plane that keeps its promises would do.
struct Run {
    host: Host,
    generation: u64,
    told: bool,
    /// Named once and then not any more: never to run again.
    retired: BTreeSet<TaskId>,
    known: BTreeSet<TaskId>,
    phases: BTreeMap<TaskId, Phase>,
}

impl Run {
    fn new() -> Self {
        Self {
            host: Host::new(AgentConfig {
                launches: 2,
                keep_logs_of: 2,
                ..AgentConfig::default()
            }),
            generation: 0,
            told: false,
            retired: BTreeSet::new(),
            known: BTreeSet::new(),
            phases: BTreeMap::new(),
        }
    }

    fn directive(&self, generation: u64, wanted: &[Option<bool>; TASKS], lacking: bool) -> Directive {
        let tasks = (0..TASKS).filter_map(|n| {
            let task = host::task(n);
            let wanted = wanted[n].filter(|run| !(*run && self.retired.contains(&task)))?;
            Some(TaskDirective {
                task,
                job: JobId::from_bytes([9; 16]),
                index: 0,
                original: task,
                spec: text_digest(),
                wanted: if wanted { Wanted::Run } else { Wanted::Stop },
            })
        });
        Directive {
            host: HostId::new("h").unwrap(),
            generation,
            tasks: tasks.collect(),
            specs: if lacking {
                BTreeMap::new()
            } else {
                [(text_digest(), text())].into()
            },
        }
    }

    fn perform(&mut self, op: &Op) {
        match op {
            Op::Direct { wanted, lacking } => {
                self.generation += 1;
                self.told = true;
                let directive = self.directive(self.generation, wanted, *lacking);
                let named: BTreeSet<TaskId> = directive.tasks.iter().map(|t| t.task).collect();
                self.retired.extend(self.known.difference(&named));
                self.known.extend(named);
                self.host.input(Input::Directive(directive));
            }
            Op::Stale if self.told && self.generation > 0 => {
                let before = self.host.agent.report();
                let stale = self.directive(self.generation - 1, &[Some(true); TASKS], false);
                self.host.input(Input::Directive(stale));
                assert_eq!(self.host.agent.report(), before);
            }
            Op::Stale => {}
            Op::Answer { pick, fails } => {
                if !self.host.outstanding.is_empty() {
                    let command = self
                        .host
                        .outstanding
                        .remove(pick.index(self.host.outstanding.len()));
                    self.host.answer(&command, *fails);
                }
            }
            Op::Bogus { task, step } => self.bogus(host::task(*task), *step),
            Op::Exit { task, code } => self.host.exit(host::task(*task), Exit::Code(*code)),
            Op::Pass { ms } => self.host.pass(Millis(*ms)),
            Op::Restart => self.restart(false),
            Op::Reboot => self.restart(true),
        }
    }

    fn restart(&mut self, reboot: bool) {
        self.host.restart(reboot);
        self.told = false;
        self.phases.clear();
    }

    fn bogus(&mut self, task: TaskId, step: usize) {
        let steps = [
            Step::FetchImage,
            Step::AssignAddress,
            Step::CreateSandbox,
            Step::WireNetwork,
            Step::OpenGate,
            Step::SignalTerm,
            Step::SignalKill,
            Step::UnwireNetwork,
            Step::RemoveSandbox,
            Step::ReleaseAddress,
            Step::DropLogs,
            Step::Forget,
            Step::Cancel,
        ];
        let step = steps[step];
        let waited_for = |c: &titus_core::agent::Command| c.task == task && c.work.step() == step;
        if !self.host.outstanding.iter().any(waited_for) {
            let before = self.host.agent.report();
            self.host.input(Input::Done {
                task,
                step,
                outcome: Outcome::Done,
            });
            assert_eq!(
                self.host.agent.report(),
                before,
                "an answer to nothing changed something"
            );
        }
    }

    fn check(&mut self) {
        let stats = self.host.agent.stats();
        assert!(stats.launching <= 2, "{stats:?}");
        assert_eq!(stats.commands, self.host.outstanding.len());
        self.commands_are_exclusive();
        let holding: BTreeSet<TaskId> = self.host.agent.holding().collect();
        for task in self.host.holding() {
            assert!(
                holding.contains(&task),
                "the agent does not know what {task} holds"
            );
        }
        let report = self.host.agent.report();
        assert!(report.tasks.is_sorted_by_key(|t| t.task));
        for told in &report.tasks {
            assert!(told.message.len() <= MAX_MESSAGE);
            let before = self.phases.insert(told.task, told.phase);
            assert!(
                before.is_none_or(|b| b <= told.phase),
                "{:?} after {before:?}",
                told.phase
            );
            match told.phase {
                Phase::Ended => self.host.ended_so(told),
                Phase::Running => assert!(self.host.was_executed(told.task)),
                _ => assert!(told.exit.is_none()),
            }
        }
    }

    /// One command of a task at a time, but image beside address, and signals beside signals.
    fn commands_are_exclusive(&self) {
        let mut busy: BTreeMap<TaskId, Vec<Step>> = BTreeMap::new();
        for command in &self.host.outstanding {
            busy.entry(command.task).or_default().push(command.work.step());
        }
        for steps in busy.values_mut() {
            steps.sort_unstable();
            let fine = matches!(
                steps[..],
                [_] | [Step::FetchImage, Step::AssignAddress] | [Step::SignalTerm, Step::SignalKill]
            );
            assert!(fine, "{steps:?} at once");
        }
    }

    /// Everything is dropped and everything works: in the end nothing is left.
    fn drain(mut self) {
        self.perform(&Op::Direct {
            wanted: [None; TASKS],
            lacking: false,
        });
        for _ in 0..500 {
            while let Some(command) = self.host.outstanding.pop() {
                self.host.answer(&command, None);
                if command.work == Work::Signal(titus_core::agent::StopSignal::Kill) {
                    self.host.exit(command.task, Exit::Signal(9));
                }
                self.check();
            }
            match self.host.agent.next_timer() {
                Some(at) => {
                    self.host.now = at.max(self.host.now);
                    self.host.pass(Millis::ZERO);
                }
                None => break,
            }
        }
        let stats = AgentStats {
            refused_directives: 0,
            ..self.host.agent.stats()
        };
        assert_eq!(stats, AgentStats::default());
        assert!(self.host.agent.report().tasks.is_empty());
        assert_eq!(self.host.left_over(), [""; 0]);
    }
}
