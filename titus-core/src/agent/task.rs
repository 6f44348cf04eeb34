//! One task on its host: what was made for it, what is under way, how it ended.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::command::{Adopted, Command, Fault, Found, Outcome, Sandbox, Step, StopSignal, Work};
use super::config::AgentConfig;
use super::env::environment;
use super::stage::{Event, Stage};
use crate::id::TaskId;
use crate::spec::LaunchSpec;
use crate::task::{Exit, ReasonCode, StageTimes};
use crate::time::{Millis, Timestamp};
use crate::wire::{Phase, TaskDirective, TaskReport, bounded_message};

/// What a step of the machine sees and where its commands go.
pub(super) struct Context<'a> {
    pub(super) now: Timestamp,
    pub(super) config: &'a AgentConfig,
    pub(super) out: &'a mut Vec<Command>,
}

/// What may exist on the host for the task. Set when the command that makes it is sent, not when it is answered, and
/// cleared when its undoing has succeeded: so nothing that was half made is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Made {
    pub(super) address: bool,
    pub(super) sandbox: bool,
    pub(super) network: bool,
}

impl Made {
    pub(super) const fn nothing(self) -> bool {
        !self.address && !self.sandbox && !self.network
    }

    /// Reverse order: the network leaves before the sandbox, and its address is given back when nobody can use it.
    const fn next_undo(self) -> Option<Work> {
        if self.network {
            Some(Work::UnwireNetwork)
        } else if self.sandbox {
            Some(Work::RemoveSandbox)
        } else if self.address {
            Some(Work::ReleaseAddress)
        } else {
            None
        }
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ending {
    exit: Option<Exit>,
    reason: Option<ReasonCode>,
    message: String,
}

impl Ending {
    fn never_started(reason: ReasonCode, message: impl Into<String>) -> Self {
        Self {
            exit: None,
            reason: Some(reason),
            message: message.into(),
        }
    }
}

/// What the task runs; `None` for an adopted task whose directive has not come.
#[derive(Debug, Clone)]
struct Assignment {
    directive: TaskDirective,
    launch: Arc<LaunchSpec>,
}

#[derive(Debug, Clone)]
pub(super) struct HostTask {
    id: TaskId,
    stage: Stage,
    assigned: Option<Assignment>,
    made: Made,
    /// Commands sent and not answered.
    busy: BTreeSet<Step>,
    address: Option<IpAddr>,
    times: StageTimes,
    ending: Option<Ending>,
    /// Its end was asked for.
    stop: bool,
    /// The last directive does not name it.
    dropped: bool,
    /// When the stage goes on by itself.
    due: Option<Timestamp>,
    /// Failures, or repeats, of the stage's present command.
    tries: u32,
    /// Taking down failed so often that the task counts as ended before it is.
    overdue: bool,
    /// The last failure to take something down.
    trouble: String,
}

impl HostTask {
    fn new(id: TaskId, stage: Stage) -> Self {
        Self {
            id,
            stage,
            assigned: None,
            made: Made::default(),
            busy: BTreeSet::new(),
            address: None,
            times: StageTimes::default(),
            ending: None,
            stop: false,
            dropped: false,
            due: None,
            tries: 0,
            overdue: false,
            trouble: String::new(),
        }
    }

    /// A task that shall run.
    pub(super) fn queued(directive: TaskDirective, launch: Arc<LaunchSpec>) -> Self {
        let mut task = Self::new(directive.task, Stage::Queued);
        task.assigned = Some(Assignment { directive, launch });
        task
    }

    /// A task that shall end and of which nothing is here.
    pub(super) fn absent(id: TaskId, now: Timestamp) -> Self {
        let mut task = Self::new(id, Stage::Ended);
        task.conclude(
            Ending::never_started(ReasonCode::Killed, "stopped before it reached the host"),
            now,
        );
        task
    }

    /// A task that was here when the agent started.
    pub(super) fn adopted(found: &Adopted, cx: &mut Context<'_>) -> Self {
        let stage = match found.found {
            Found::Running => Stage::Running,
            Found::Leftovers | Found::Blocked | Found::Exited(_) | Found::Removed(_) => Stage::Undoing,
        };
        let mut task = Self::new(found.task, stage);
        task.times = found.times;
        task.address = found.address;
        task.made = Made {
            address: found.address.is_some(),
            sandbox: !matches!(found.found, Found::Removed(_) | Found::Leftovers),
            network: found.wired,
        };
        let unstarted = "the agent restarted before the task's program was started";
        let ending = match found.found {
            Found::Running => return task,
            Found::Exited(exit) | Found::Removed(Some(exit)) => Ending {
                exit: Some(exit),
                reason: None,
                message: String::new(),
            },
            Found::Leftovers | Found::Blocked | Found::Removed(None) => {
                Ending::never_started(ReasonCode::TransientSystemError, unstarted)
            }
        };
        let seen = found.times.finished.unwrap_or(cx.now);
        task.conclude(ending, seen);
        task.undo_next(cx);
        task
    }

    pub(super) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) const fn due(&self) -> Option<Timestamp> {
        self.due
    }

    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }

    pub(super) fn waits_for(&self) -> impl Iterator<Item = Step> + '_ {
        self.busy.iter().copied()
    }

    /// What is on the host for it, beyond logs.
    pub(super) const fn made(&self) -> Made {
        self.made
    }

    pub(super) fn spec(&self) -> Option<crate::id::SpecDigest> {
        self.assigned.as_ref().map(|a| a.directive.spec)
    }

    /// Since when it is over and acknowledged, so that only its logs are left.
    pub(super) fn only_logs_since(&self) -> Option<Timestamp> {
        (self.stage == Stage::Ended && self.dropped)
            .then_some(self.times.finished)
            .flatten()
    }

    /// The directive names it: it is reported, and stops when that is wanted.
    pub(super) fn directed(&mut self, directive: TaskDirective, launch: Option<Arc<LaunchSpec>>) {
        if self.dropped && self.stage == Stage::Ended {
            self.due = None;
        }
        self.dropped = false;
        if let (None, Some(launch)) = (&self.assigned, launch) {
            self.assigned = Some(Assignment { directive, launch });
        }
    }

    /// The directive does not name it: it is stopped, and its end needs no more acknowledgement.
    pub(super) fn drop_it(&mut self, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.dropped, true) && self.stage == Stage::Ended {
            self.keep_logs(cx);
        }
        self.stop(cx);
    }

    pub(super) fn stop(&mut self, cx: &mut Context<'_>) {
        if self.stage < Stage::Undoing && !std::mem::replace(&mut self.stop, true) {
            self.times.killed = self.times.killed.or(Some(cx.now));
        }
        if self.stage < Stage::Opening {
            let ending = Ending::never_started(ReasonCode::Killed, "stopped before its program was started");
            self.conclude(ending, cx.now);
        }
        self.on(Event::Stop, cx);
    }

    pub(super) fn on(&mut self, event: Event, cx: &mut Context<'_>) {
        let Some(next) = self.stage.on(event) else { return };
        if self.stage != next {
            self.tries = 0;
        }
        self.stage = next;
        self.due = None;
        self.enter(event, cx);
    }

    /// The program has ended, or the sandbox that should have run it.
    pub(super) fn exited(&mut self, exit: Exit, message: String, cx: &mut Context<'_>) {
        let executed = !matches!(exit, Exit::ExecFailed(_));
        match self.stage {
            Stage::Queued | Stage::Fetching => return,
            Stage::Creating | Stage::Wiring => {
                let text = format!("the sandbox ended before its program was started: {exit} {message}");
                let ending = Ending::never_started(ReasonCode::LocalSystemError, text.trim_end());
                self.conclude(ending, cx.now);
            }
            _ => {
                if self.stage == Stage::Opening && executed {
                    self.times.started = self.times.started.or(Some(cx.now));
                }
                self.conclude(
                    Ending {
                        exit: Some(exit),
                        reason: (!executed).then_some(ReasonCode::Failed),
                        message,
                    },
                    cx.now,
                );
            }
        }
        self.on(Event::Exited, cx);
    }

    /// A command was answered. An answer that nobody waits for is ignored: it is late or repeated.
    pub(super) fn answered(&mut self, step: Step, outcome: Outcome, cx: &mut Context<'_>) {
        if !self.busy.remove(&step) {
            return;
        }
        let failure = match outcome {
            Outcome::Failed { fault, message } => Some((fault, message)),
            Outcome::Address(address) => {
                self.address = Some(address);
                None
            }
            Outcome::Done => None,
        };
        match self.stage {
            Stage::Undoing => self.undone(step, failure, cx),
            Stage::Clearing => self.cleared(step, failure, cx),
            Stage::Running | Stage::Terminating | Stage::Killing => self.signalled(failure, cx),
            _ => self.launched(step, failure, cx),
        }
    }

    fn launched(&mut self, step: Step, failure: Option<(Fault, String)>, cx: &mut Context<'_>) {
        let failure = failure.or_else(|| {
            (step == Step::AssignAddress && self.address.is_none())
                .then(|| (Fault::Host, "no address was named".to_owned()))
        });
        if let Some((fault, message)) = failure {
            let exit = match fault {
                Fault::Exec(code) => Some(Exit::ExecFailed(code)),
                _ => None,
            };
            let ending = Ending {
                exit,
                reason: Some(fault.reason()),
                message: format!("{}: {message}", step.name()),
            };
            self.conclude(ending, cx.now);
            return self.on(Event::Failed, cx);
        }
        match step {
            Step::FetchImage => self.times.image = Some(cx.now),
            Step::WireNetwork => self.times.network = Some(cx.now),
            _ => {}
        }
        if self.busy.is_empty() {
            self.on(Event::Ready, cx);
        }
    }

    /// A signal that found nobody is how an exit is noticed that was not told.
    fn signalled(&mut self, failure: Option<(Fault, String)>, cx: &mut Context<'_>) {
        match failure {
            Some((Fault::Gone, message)) => self.exited(Exit::Unknown, message, cx),
            Some((_, message)) => self.trouble = message,
            None => {}
        }
    }

    fn undone(&mut self, step: Step, failure: Option<(Fault, String)>, cx: &mut Context<'_>) {
        let gone = failure.as_ref().is_none_or(|(fault, _)| *fault == Fault::Gone);
        let thing = match step {
            Step::UnwireNetwork => &mut self.made.network,
            Step::RemoveSandbox => &mut self.made.sandbox,
            Step::ReleaseAddress => &mut self.made.address,
            _ => return self.undo_next(cx),
        };
        if gone {
            *thing = false;
            self.tries = 0;
            return self.undo_next(cx);
        }
        let message = failure.map_or_else(String::new, |(_, message)| message);
        self.retry(step, &message, cx);
        self.overdue |= self.tries >= cx.config.undo_tries;
    }

    fn cleared(&mut self, step: Step, failure: Option<(Fault, String)>, cx: &mut Context<'_>) {
        match failure {
            Some((fault, message)) if fault != Fault::Gone => self.retry(step, &message, cx),
            _ if step == Step::DropLogs => self.send(Work::Forget, cx),
            _ => self.on(Event::Ready, cx),
        }
    }

    fn retry(&mut self, step: Step, message: &str, cx: &Context<'_>) {
        self.trouble = format!("{}: {message}", step.name());
        self.due = Some(cx.now + cx.config.back_off(cx.config.undo_again, self.tries));
        self.tries = self.tries.saturating_add(1);
    }

    /// The timer of the stage passed.
    pub(super) fn timed_out(&mut self, cx: &mut Context<'_>) {
        self.due = None;
        match self.stage {
            Stage::Undoing => self.undo_next(cx),
            Stage::Clearing => self.send(Work::DropLogs, cx),
            _ => self.on(Event::Due, cx),
        }
    }

    fn enter(&mut self, event: Event, cx: &mut Context<'_>) {
        match self.stage {
            Stage::Fetching => self.fetch(cx),
            Stage::Creating => self.create(cx),
            Stage::Wiring => self.wire(cx),
            Stage::Opening => self.send(Work::OpenGate, cx),
            Stage::Running => {
                self.times.started = self.times.started.or(Some(cx.now));
                if self.stop {
                    self.on(Event::Stop, cx);
                }
            }
            Stage::Terminating => {
                self.send(Work::Signal(StopSignal::Term), cx);
                self.due = Some(cx.now + self.grace(cx.config));
            }
            Stage::Killing => {
                if !self.busy.contains(&Step::SignalKill) {
                    self.send(Work::Signal(StopSignal::Kill), cx);
                }
                self.due = Some(cx.now + cx.config.back_off(cx.config.kill_again, self.tries));
                self.tries = self.tries.saturating_add(1);
            }
            Stage::Undoing => {
                if event != Event::Exited && !self.busy.is_empty() {
                    self.hint(Work::Cancel, cx);
                }
                self.trouble.clear();
                self.undo_next(cx);
            }
            Stage::Ended if self.dropped => self.keep_logs(cx),
            Stage::Clearing => self.send(Work::DropLogs, cx),
            Stage::Queued | Stage::Ended | Stage::Gone => {}
        }
    }

    fn fetch(&mut self, cx: &mut Context<'_>) {
        let Some(Assignment { launch, .. }) = &self.assigned else {
            return;
        };
        let image = launch.image.clone();
        let network_mbps = launch.resources.network_mbps;
        self.times.preparing = Some(cx.now);
        self.made.address = true;
        self.send(Work::FetchImage { image }, cx);
        self.send(Work::AssignAddress { network_mbps }, cx);
    }

    fn create(&mut self, cx: &mut Context<'_>) {
        let Some(Assignment { directive, launch }) = &self.assigned else {
            return;
        };
        let sandbox = Sandbox {
            job: directive.job,
            launch: Arc::clone(launch),
            env: environment(launch, directive),
        };
        self.made.sandbox = true;
        self.send(Work::CreateSandbox(Box::new(sandbox)), cx);
    }

    fn wire(&mut self, cx: &mut Context<'_>) {
        let (Some(Assignment { launch, .. }), Some(address)) = (&self.assigned, self.address) else {
            return;
        };
        let network_mbps = launch.resources.network_mbps;
        self.made.network = true;
        self.send(
            Work::WireNetwork {
                address,
                network_mbps,
            },
            cx,
        );
    }

    /// Sends the next undo, once what was under way has been answered and no back-off runs.
    fn undo_next(&mut self, cx: &mut Context<'_>) {
        if !self.busy.is_empty() || self.due.is_some() {
            return;
        }
        match self.made.next_undo() {
            Some(work) => self.send(work, cx),
            None => self.on(Event::Undone, cx),
        }
    }

    fn keep_logs(&mut self, cx: &Context<'_>) {
        self.due = Some(self.times.finished.unwrap_or(cx.now) + cx.config.keep_logs);
    }

    /// What was known first about an end stays.
    fn conclude(&mut self, ending: Ending, at: Timestamp) {
        if self.ending.is_none() {
            self.ending = Some(ending);
            self.times.finished = Some(at);
        }
    }

    fn grace(&self, config: &AgentConfig) -> Millis {
        self.assigned
            .as_ref()
            .map_or(config.default_grace, |a| a.launch.grace)
    }

    fn send(&mut self, work: Work, cx: &mut Context<'_>) {
        self.busy.insert(work.step());
        self.hint(work, cx);
    }

    fn hint(&self, work: Work, cx: &mut Context<'_>) {
        cx.out.push(Command { task: self.id, work });
    }

    fn phase(&self) -> Phase {
        match self.stage {
            Stage::Ended | Stage::Clearing | Stage::Gone => Phase::Ended,
            Stage::Undoing if self.overdue => Phase::Ended,
            Stage::Terminating | Stage::Killing | Stage::Undoing => Phase::Stopping,
            _ if self.stop => Phase::Stopping,
            Stage::Running => Phase::Running,
            _ => Phase::Preparing,
        }
    }

    /// What the host reports of it; `None` once its end was acknowledged.
    pub(super) fn report(&self) -> Option<TaskReport> {
        let phase = self.phase();
        if phase == Phase::Ended && self.dropped {
            return None;
        }
        let ending = self.ending.as_ref().filter(|_| phase == Phase::Ended);
        let stuck = self.stage == Stage::Killing && self.tries > 2;
        Some(TaskReport {
            task: self.id,
            phase,
            exit: ending.and_then(|e| e.exit),
            reason: ending
                .and_then(|e| e.reason)
                .or_else(|| stuck.then_some(ReasonCode::StuckInKillingState)),
            message: bounded_message(self.message(phase, stuck)),
            address: self.times.network.and(self.address),
            times: self.times,
        })
    }

    fn message(&self, phase: Phase, stuck: bool) -> String {
        let told = self.ending.as_ref().map_or("", |e| e.message.as_str());
        match (phase, self.stage) {
            (Phase::Ended, Stage::Undoing) => {
                format!("{told} (the host still cleans up after it: {})", self.trouble)
            }
            (Phase::Ended, _) => told.to_owned(),
            (_, Stage::Killing) if stuck => {
                format!(
                    "SIGKILL was sent {} times and it has not ended. {}",
                    self.tries, self.trouble
                )
            }
            (_, Stage::Undoing) => match self.busy.first() {
                Some(step) => format!("waits for {} {}", step.name(), self.trouble),
                None => self.trouble.clone(),
            },
            _ => String::new(),
        }
        .trim()
        .to_owned()
    }
}
