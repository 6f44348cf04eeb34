use super::testing::{directive, host_spec, task_id};
use super::*;
use crate::task::{Exit, ReasonCode, StageTimes};
use crate::time::{Millis, Timestamp};
use crate::wire::{Directive, Phase, TaskReport, Wanted};

const RUN: Wanted = Wanted::Run;
const STOP: Wanted = Wanted::Stop;

/// An agent under test, its clock, and the commands that it has sent and nobody took.
struct Bench {
    agent: HostAgent,
    now: Timestamp,
    sent: Vec<(u8, Step)>,
}

impl Bench {
    fn new() -> Self {
        Self::with(AgentConfig::default(), &[])
    }

    fn with(config: AgentConfig, found: &[Adopted]) -> Self {
        let now = Timestamp::from_millis(1_000);
        let (agent, commands) = HostAgent::start(host_spec(), config, found, now);
        let mut bench = Self {
            agent,
            now,
            sent: vec![],
        };
        bench.take(commands);
        bench
    }

    fn take(&mut self, commands: Vec<Command>) {
        self.sent
            .extend(commands.iter().map(|c| (c.task.to_bytes()[0], c.work.step())));
    }

    fn input(&mut self, input: Input) -> &mut Self {
        let commands = self.agent.handle(input, self.now);
        self.take(commands);
        self
    }

    fn direct(&mut self, generation: u64, tasks: &[(u8, Wanted)]) -> &mut Self {
        self.input(Input::Directive(directive(generation, tasks)))
    }

    fn answer(&mut self, n: u8, step: Step, outcome: Outcome) -> &mut Self {
        self.input(Input::Done {
            task: task_id(n),
            step,
            outcome,
        })
    }

    fn done(&mut self, n: u8, step: Step) -> &mut Self {
        let outcome = match step {
            Step::AssignAddress => Outcome::Address([10, 0, 0, n].into()),
            _ => Outcome::Done,
        };
        self.answer(n, step, outcome)
    }

    fn all_done(&mut self, n: u8, steps: &[Step]) -> &mut Self {
        for step in steps {
            self.done(n, *step);
        }
        self
    }

    fn fails(&mut self, n: u8, step: Step, fault: Fault) -> &mut Self {
        self.answer(
            n,
            step,
            Outcome::Failed {
                fault,
                message: "told".into(),
            },
        )
    }

    fn exits(&mut self, n: u8, exit: Exit) -> &mut Self {
        self.input(Input::Exited {
            task: task_id(n),
            exit,
            message: String::new(),
        })
    }

    fn pass(&mut self, span: Millis) -> &mut Self {
        self.now = self.now + span;
        self.input(Input::Tick)
    }

    fn sent(&mut self) -> Vec<(u8, Step)> {
        std::mem::take(&mut self.sent)
    }

    fn steps(&mut self) -> Vec<Step> {
        self.sent().into_iter().map(|(_, step)| step).collect()
    }

    fn running(n: u8) -> Self {
        let mut bench = Self::new();
        bench.direct(1, &[(n, RUN)]).all_done(n, &LAUNCH);
        bench.sent();
        bench
    }

    fn told(&self, n: u8) -> Option<TaskReport> {
        self.agent
            .report()
            .tasks
            .into_iter()
            .find(|t| t.task == task_id(n))
    }

    fn phase(&self, n: u8) -> Option<Phase> {
        self.told(n).map(|t| t.phase)
    }
}

const LAUNCH: [Step; 5] = [
    Step::FetchImage,
    Step::AssignAddress,
    Step::CreateSandbox,
    Step::WireNetwork,
    Step::OpenGate,
];
const UNDO: [Step; 3] = [Step::UnwireNetwork, Step::RemoveSandbox, Step::ReleaseAddress];

#[test]
fn a_task_is_launched_in_order_and_reported_with_its_stages() {
    let mut bench = Bench::new();
    bench.direct(1, &[(1, RUN)]);
    assert_eq!(bench.steps(), [Step::FetchImage, Step::AssignAddress]);
    assert_eq!(bench.phase(1), Some(Phase::Preparing));
    bench.done(1, Step::AssignAddress);
    assert_eq!(bench.steps(), []);
    bench.pass(Millis(5)).done(1, Step::FetchImage);
    assert_eq!(bench.steps(), [Step::CreateSandbox]);
    bench.done(1, Step::CreateSandbox);
    assert_eq!(bench.steps(), [Step::WireNetwork]);
    assert_eq!(bench.told(1).unwrap().address, None);
    bench.pass(Millis(5)).done(1, Step::WireNetwork);
    assert_eq!(bench.steps(), [Step::OpenGate]);
    bench.pass(Millis(5)).done(1, Step::OpenGate);
    let told = bench.told(1).unwrap();
    assert_eq!(told.phase, Phase::Running);
    assert_eq!(told.address, Some([10, 0, 0, 1].into()));
    let at = |ms| Some(Timestamp::from_millis(ms));
    assert_eq!(
        told.times,
        StageTimes {
            preparing: at(1_000),
            image: at(1_005),
            network: at(1_010),
            started: at(1_015),
            ..StageTimes::default()
        }
    );
    assert_eq!(bench.agent.report().generation, 1);
}

#[test]
fn an_end_is_reported_once_all_is_taken_down_and_until_a_directive_drops_it() {
    let mut bench = Bench::running(1);
    bench.pass(Millis(7)).exits(1, Exit::Code(3));
    assert_eq!(bench.steps(), [Step::UnwireNetwork]);
    assert_eq!(bench.phase(1), Some(Phase::Stopping));
    bench.all_done(1, &UNDO);
    assert_eq!(bench.steps(), UNDO[1..]);
    let told = bench.told(1).unwrap();
    assert_eq!(
        (told.phase, told.exit, told.reason),
        (Phase::Ended, Some(Exit::Code(3)), None)
    );
    assert_eq!(told.times.finished, Some(Timestamp::from_millis(1_007)));
    bench.direct(1, &[(1, RUN)]);
    assert_eq!(bench.phase(1), Some(Phase::Ended));
    bench.direct(2, &[]);
    assert_eq!(bench.phase(1), None);
    assert_eq!(bench.agent.next_timer(), Some(Timestamp::from_millis(3_601_007)));
    bench
        .pass(Millis::from_secs(3_600))
        .all_done(1, &[Step::DropLogs, Step::Forget]);
    assert_eq!(bench.steps(), [Step::DropLogs, Step::Forget]);
    assert_eq!(bench.agent.stats(), AgentStats::default());
    assert_eq!(bench.agent.next_timer(), None);
}

#[test]
fn a_program_that_ends_before_its_start_is_answered_was_started() {
    let mut bench = Bench::new();
    bench
        .direct(1, &[(1, RUN)])
        .all_done(1, &LAUNCH[..4])
        .exits(1, Exit::Code(0));
    bench.sent();
    bench.done(1, Step::OpenGate).all_done(1, &UNDO);
    assert_eq!(bench.steps(), UNDO);
    let told = bench.told(1).unwrap();
    assert!(told.times.started.is_some());
    assert_eq!(told.exit, Some(Exit::Code(0)));
}

#[test]
fn a_stop_is_sigterm_then_grace_then_sigkill_again_and_again() {
    let mut bench = Bench::running(1);
    bench.direct(2, &[(1, STOP)]).direct(3, &[(1, STOP)]);
    assert_eq!(bench.steps(), [Step::SignalTerm]);
    assert_eq!(bench.phase(1), Some(Phase::Stopping));
    bench.done(1, Step::SignalTerm).pass(Millis(9_999));
    assert_eq!(bench.steps(), []);
    bench.pass(Millis(1));
    assert_eq!(bench.steps(), [Step::SignalKill]);
    bench.pass(Millis(5_000));
    assert_eq!(bench.steps(), [], "no second signal while the first is under way");
    bench.done(1, Step::SignalKill).pass(Millis(9_999));
    assert_eq!(bench.steps(), []);
    bench.pass(Millis(1));
    assert_eq!(bench.steps(), [Step::SignalKill]);
    let told = bench.told(1).unwrap();
    assert_eq!(told.reason, Some(ReasonCode::StuckInKillingState));
    assert!(told.message.contains("3 times"), "{}", told.message);
    assert_eq!(bench.agent.stats().stuck, 1);
    bench
        .exits(1, Exit::Signal(9))
        .done(1, Step::SignalKill)
        .all_done(1, &UNDO);
    let told = bench.told(1).unwrap();
    assert_eq!(
        (told.phase, told.exit, told.reason),
        (Phase::Ended, Some(Exit::Signal(9)), None)
    );
}

#[test]
fn a_program_gone_unseen_ended_nobody_knows_how() {
    let mut bench = Bench::running(1);
    bench
        .direct(2, &[(1, STOP)])
        .fails(1, Step::SignalTerm, Fault::Gone)
        .all_done(1, &UNDO);
    assert_eq!(bench.told(1).unwrap().exit, Some(Exit::Unknown));
}

#[test]
fn a_stop_before_the_gate_never_runs_the_program() {
    for answered in 0..4 {
        let mut bench = Bench::new();
        bench.direct(1, &[(1, RUN)]).all_done(1, &LAUNCH[..answered]);
        bench.sent();
        bench.direct(2, &[(1, STOP)]);
        if answered < 4 {
            assert_eq!(bench.steps(), [Step::Cancel], "{answered}");
        }
        for step in LAUNCH.iter().skip(answered) {
            bench.done(1, *step);
        }
        bench.all_done(1, &UNDO);
        let steps = bench.steps();
        assert!(!steps.contains(&Step::OpenGate), "{answered}: {steps:?}");
        let told = bench.told(1).unwrap();
        assert_eq!(
            (told.phase, told.exit, told.reason),
            (Phase::Ended, None, Some(ReasonCode::Killed))
        );
        assert_eq!(bench.agent.holding().count(), 0);
    }
}

#[test]
fn a_stop_while_the_gate_opens_acts_once_the_program_runs() {
    let mut bench = Bench::new();
    bench.direct(1, &[(1, RUN)]).all_done(1, &LAUNCH[..4]);
    bench.sent();
    bench.direct(2, &[(1, STOP)]);
    assert_eq!(bench.steps(), []);
    assert_eq!(bench.phase(1), Some(Phase::Stopping));
    bench.done(1, Step::OpenGate);
    assert_eq!(bench.steps(), [Step::SignalTerm]);
}

#[test]
fn a_failed_launch_takes_down_what_may_exist_and_says_whose_fault_it_is() {
    let cases = [
        (0, 1, Fault::Request, ReasonCode::InvalidRequest, None),
        (1, 1, Fault::Transient, ReasonCode::TransientSystemError, None),
        (2, 2, Fault::Host, ReasonCode::LocalSystemError, None),
        (3, 3, Fault::Host, ReasonCode::LocalSystemError, None),
        (
            4,
            3,
            Fault::Exec(127),
            ReasonCode::Failed,
            Some(Exit::ExecFailed(127)),
        ),
    ];
    for (at, made, fault, reason, exit) in cases {
        let mut bench = Bench::new();
        bench.direct(1, &[(1, RUN)]).all_done(1, &LAUNCH[..at]);
        bench.sent();
        bench.fails(1, LAUNCH[at], fault);
        if at == 0 {
            assert_eq!(bench.steps(), [Step::Cancel]);
            bench.done(1, Step::AssignAddress);
        }
        bench.all_done(1, &UNDO);
        let undone = bench.steps();
        assert_eq!(undone, UNDO[3 - made..], "{at}");
        let told = bench.told(1).unwrap();
        assert_eq!(
            (told.phase, told.reason, told.exit),
            (Phase::Ended, Some(reason), exit)
        );
        assert_eq!(told.message, format!("{}: told", LAUNCH[at].name()));
        assert_eq!(told.times.started, None);
        assert_eq!(bench.agent.holding().count(), 0);
    }
}

#[test]
fn a_sandbox_that_dies_before_its_gate_opens_is_the_hosts_fault() {
    let mut bench = Bench::new();
    bench
        .direct(1, &[(1, RUN)])
        .all_done(1, &LAUNCH[..3])
        .exits(1, Exit::OutOfMemory);
    bench.done(1, Step::WireNetwork).all_done(1, &UNDO);
    let told = bench.told(1).unwrap();
    assert_eq!(
        (told.exit, told.reason),
        (None, Some(ReasonCode::LocalSystemError))
    );
    assert!(told.message.contains("out of memory"), "{}", told.message);
    assert!(!bench.steps().contains(&Step::OpenGate));
}

#[test]
fn launches_are_bounded_and_first_come_first_served() {
    let config = AgentConfig {
        launches: 2,
        ..AgentConfig::default()
    };
    let mut bench = Bench::with(config, &[]);
    bench.direct(1, &[(1, RUN), (2, RUN), (3, RUN), (4, RUN)]);
    let tasks = |bench: &mut Bench| -> Vec<u8> {
        let sent = bench.sent();
        sent.iter()
            .filter(|(_, s)| *s == Step::FetchImage)
            .map(|(n, _)| *n)
            .collect()
    };
    assert_eq!(tasks(&mut bench), [1, 2]);
    assert_eq!(bench.told(3).unwrap().times.preparing, None);
    assert_eq!(
        (bench.agent.stats().launching, bench.agent.stats().queued),
        (2, 2)
    );
    bench.direct(2, &[(1, RUN), (2, RUN), (3, STOP), (4, RUN)]);
    assert_eq!(
        bench.phase(3),
        Some(Phase::Ended),
        "a task that waits is stopped at once"
    );
    bench.all_done(2, &LAUNCH);
    assert_eq!(tasks(&mut bench), [4]);
}

#[test]
fn what_cannot_be_taken_down_is_tried_again_and_does_not_hide_the_end() {
    let mut bench = Bench::running(1);
    bench.exits(1, Exit::Code(0)).done(1, Step::UnwireNetwork);
    bench.sent();
    for wait in [1_000, 2_000, 4_000] {
        bench
            .fails(1, Step::RemoveSandbox, Fault::Host)
            .pass(Millis(wait - 1));
        assert_eq!(bench.steps(), []);
        bench.pass(Millis(1));
        assert_eq!(bench.steps(), [Step::RemoveSandbox]);
    }
    let told = bench.told(1).unwrap();
    assert_eq!((told.phase, told.exit), (Phase::Ended, Some(Exit::Code(0))));
    assert!(told.message.contains("removeSandbox: told"), "{}", told.message);
    assert_eq!(bench.agent.stats().undo_retries, 1);
    bench.direct(2, &[]);
    assert_eq!(bench.phase(1), None);
    assert_eq!(bench.agent.holding().count(), 1);
    bench.all_done(1, &UNDO[1..]);
    assert_eq!(bench.agent.holding().count(), 0);
}

#[test]
fn old_and_foreign_directives_are_refused() {
    let mut bench = Bench::running(1);
    bench.direct(5, &[(1, RUN)]).direct(4, &[]);
    let foreign = Directive {
        host: crate::id::HostId::new("h2").unwrap(),
        ..directive(9, &[])
    };
    bench.input(Input::Directive(foreign));
    assert_eq!(bench.phase(1), Some(Phase::Running));
    assert_eq!(bench.steps(), []);
    assert_eq!(bench.agent.stats().refused_directives, 2);
    assert_eq!(bench.agent.report().generation, 5);
}

#[test]
fn a_missing_text_asks_for_everything_anew_and_hides_no_stop() {
    let mut bench = Bench::running(1);
    let mut lacking = directive(2, &[(2, RUN)]);
    lacking.tasks[0].spec = crate::id::SpecDigest([6; 32]);
    lacking.specs.clear();
    bench.input(Input::Directive(lacking.clone()));
    assert_eq!(bench.sent(), [(1, Step::SignalTerm)]);
    assert!(bench.agent.lacks_text());
    assert_eq!(bench.agent.report().generation, 0);
    bench.direct(1, &[(1, RUN)]);
    assert_eq!(
        bench.agent.stats().refused_directives,
        1,
        "refused although 2 was not applied whole"
    );
    lacking.specs = [(crate::id::SpecDigest([6; 32]), testing::launch())].into();
    bench.input(Input::Directive(lacking));
    assert_eq!(bench.sent(), [(2, Step::FetchImage), (2, Step::AssignAddress)]);
    assert_eq!(bench.agent.report().generation, 2);
}

#[test]
fn a_text_sent_once_serves_later_directives_while_a_task_uses_it() {
    let mut bench = Bench::running(1);
    let mut later = directive(2, &[(1, RUN), (2, RUN)]);
    later.specs.clear();
    bench.input(Input::Directive(later));
    assert!(!bench.agent.lacks_text());
    assert_eq!(bench.sent(), [(2, Step::FetchImage), (2, Step::AssignAddress)]);
}

#[test]
fn a_task_to_stop_that_never_came_is_reported_as_ended() {
    let mut bench = Bench::new();
    bench.direct(1, &[(1, STOP)]);
    let told = bench.told(1).unwrap();
    assert_eq!(
        (told.phase, told.exit, told.reason),
        (Phase::Ended, None, Some(ReasonCode::Killed))
    );
    assert_eq!(bench.steps(), []);
}

#[test]
fn logs_beyond_the_limit_lose_the_oldest_first() {
    let config = AgentConfig {
        keep_logs_of: 1,
        ..AgentConfig::default()
    };
    let mut bench = Bench::with(config, &[]);
    bench
        .direct(1, &[(1, RUN), (2, RUN)])
        .all_done(1, &LAUNCH)
        .all_done(2, &LAUNCH);
    bench.pass(Millis(1)).exits(2, Exit::Code(1)).all_done(2, &UNDO);
    bench.pass(Millis(1)).exits(1, Exit::Code(1)).all_done(1, &UNDO);
    bench.sent();
    bench.direct(2, &[]);
    assert_eq!(bench.sent(), [(2, Step::DropLogs)]);
    assert_eq!(bench.agent.stats().only_logs, 2);
}

fn adopted(n: u8, found: Found) -> Adopted {
    Adopted {
        task: task_id(n),
        found,
        address: Some([10, 0, 0, n].into()),
        wired: true,
        times: StageTimes {
            network: Some(Timestamp::from_millis(400)),
            started: Some(Timestamp::from_millis(500)),
            ..StageTimes::default()
        },
    }
}

#[test]
fn after_a_restart_running_tasks_go_on_and_strangers_stop_at_the_first_directive() {
    let mut bench = Bench::with(
        AgentConfig::default(),
        &[adopted(1, Found::Running), adopted(2, Found::Running)],
    );
    assert_eq!(bench.steps(), []);
    assert_eq!(
        (bench.phase(1), bench.phase(2)),
        (Some(Phase::Running), Some(Phase::Running))
    );
    assert_eq!(
        bench.told(1).unwrap().times.started,
        Some(Timestamp::from_millis(500))
    );
    assert_eq!(bench.agent.report().generation, 0);
    bench.pass(Millis::from_secs(60));
    assert_eq!(bench.steps(), []);
    bench.direct(7, &[(1, RUN)]);
    assert_eq!(bench.sent(), [(2, Step::SignalTerm)]);
    bench.pass(Millis::from_secs(10));
    assert_eq!(bench.sent(), [(2, Step::SignalKill)]);
    bench.exits(2, Exit::Signal(9));
    bench
        .done(2, Step::SignalTerm)
        .done(2, Step::SignalKill)
        .all_done(2, &UNDO);
    assert_eq!(bench.phase(2), None);
    assert_eq!(bench.phase(1), Some(Phase::Running));
}

#[test]
fn after_a_restart_the_rest_is_taken_down_and_reported() {
    let found = [
        adopted(1, Found::Blocked),
        adopted(2, Found::Exited(Exit::Code(4))),
        Adopted {
            wired: false,
            address: None,
            ..adopted(3, Found::Removed(Some(Exit::OutOfMemory)))
        },
        Adopted {
            wired: false,
            ..adopted(4, Found::Leftovers)
        },
        Adopted {
            wired: false,
            address: None,
            ..adopted(5, Found::Removed(None))
        },
    ];
    let mut bench = Bench::with(AgentConfig::default(), &found);
    assert_eq!(
        bench.sent(),
        [
            (1, Step::UnwireNetwork),
            (2, Step::UnwireNetwork),
            (4, Step::ReleaseAddress)
        ]
    );
    for n in [1, 2, 4] {
        bench.all_done(n, &UNDO);
    }
    let told = |n| {
        let t = bench.told(n).unwrap();
        (t.phase, t.exit, t.reason)
    };
    let never = (Phase::Ended, None, Some(ReasonCode::TransientSystemError));
    assert_eq!(told(1), never);
    assert_eq!(told(2), (Phase::Ended, Some(Exit::Code(4)), None));
    assert_eq!(told(3), (Phase::Ended, Some(Exit::OutOfMemory), None));
    assert_eq!(told(4), never);
    assert_eq!(told(5), never);
    assert_eq!(bench.agent.holding().count(), 0);
}

#[test]
fn late_and_repeated_answers_change_nothing() {
    let mut bench = Bench::running(1);
    let before = bench.agent.report();
    bench
        .all_done(1, &LAUNCH)
        .fails(1, Step::OpenGate, Fault::Exec(127))
        .done(9, Step::OpenGate);
    bench.exits(9, Exit::Code(0));
    assert_eq!(bench.agent.report(), before);
    assert_eq!(bench.steps(), []);
}
