use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::command::{Adopted, Command, Input};
use super::config::AgentConfig;
use super::stage::{Event, Stage};
use super::task::{Context, HostTask};
use crate::host::HostSpec;
use crate::id::{SpecDigest, TaskId};
use crate::spec::LaunchSpec;
use crate::time::Timestamp;
use crate::wire::{Directive, HostReport, TaskDirective, Wanted};

/// The host agent: every decision about the tasks of one host, and no effect.
///
/// Call order: [`start`](Self::start) with what the host still has, then [`handle`](Self::handle) for every input in
/// the order in which it came, doing the commands that each call returns; [`Input::Tick`] when
/// [`next_timer`](Self::next_timer) has come. [`report`](Self::report) tells what is so at any time.
#[derive(Debug, Clone)]
pub struct HostAgent {
    spec: HostSpec,
    config: AgentConfig,
    /// The last directive that was applied whole.
    generation: u64,
    /// The newest directive that was seen.
    seen: u64,
    /// The last directive named a launch text that is not here.
    lacks_text: bool,
    tasks: BTreeMap<TaskId, HostTask>,
    queue: VecDeque<TaskId>,
    texts: BTreeMap<SpecDigest, Arc<LaunchSpec>>,
    refused: u64,
}

/// Counts for metrics, all of the present but `refused_directives`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentStats {
    /// Tasks that wait for a launch slot.
    pub queued: usize,
    /// Tasks whose launch is under way.
    pub launching: usize,
    /// Tasks whose program runs, told to end or not.
    pub running: usize,
    /// Of these, the ones told to end.
    pub stopping: usize,
    /// Of these, the ones that more than two SIGKILLs have not ended.
    pub stuck: usize,
    /// Tasks that are being taken down.
    pub undoing: usize,
    /// Of these, the ones with a step that failed and is repeated.
    pub undo_retries: usize,
    /// Ended tasks that no directive has dropped yet.
    pub unacknowledged: usize,
    /// Ended tasks of which only logs are left.
    pub only_logs: usize,
    /// Commands sent and not answered.
    pub commands: usize,
    /// Directives refused so far: older than one seen before, or for another host.
    pub refused_directives: u64,
}

impl HostAgent {
    /// Starts on a host where `found` is left from before; nothing is stopped until the first directive has come,
    /// but what had not started its program yet is taken down and reported.
    #[must_use]
    pub fn start(
        spec: HostSpec,
        config: AgentConfig,
        found: &[Adopted],
        now: Timestamp,
    ) -> (Self, Vec<Command>) {
        let mut out = Vec::new();
        let mut cx = Context {
            now,
            config: &config,
            out: &mut out,
        };
        let tasks = found
            .iter()
            .map(|f| (f.task, HostTask::adopted(f, &mut cx)))
            .collect();
        let agent = Self {
            spec,
            config,
            generation: 0,
            seen: 0,
            lacks_text: false,
            tasks,
            queue: VecDeque::new(),
            texts: BTreeMap::new(),
            refused: 0,
        };
        (agent, out)
    }

    /// Takes an input and returns what is to be done, in order.
    #[must_use]
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Command> {
        let mut out = Vec::new();
        let mut cx = Context {
            now,
            config: &self.config,
            out: &mut out,
        };
        match input {
            Input::Done { task, step, outcome } => {
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.answered(step, outcome, &mut cx);
                }
            }
            Input::Exited { task, exit, message } => {
                if let Some(task) = self.tasks.get_mut(&task) {
                    task.exited(exit, message, &mut cx);
                }
            }
            Input::Directive(directive) => self.direct(directive, now, &mut out),
            Input::Tick => {}
        }
        self.run_timers(now, &mut out);
        self.launch_next(now, &mut out);
        self.tasks.retain(|_, task| task.stage() != Stage::Gone);
        out
    }

    /// The full observed state.
    #[must_use]
    pub fn report(&self) -> HostReport {
        HostReport {
            spec: self.spec.clone(),
            generation: self.generation(),
            tasks: self.tasks.values().filter_map(HostTask::report).collect(),
        }
    }

    /// The generation that the report claims: that of the last directive that was applied whole, 0 while a launch
    /// text is lacking.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        if self.lacks_text { 0 } else { self.generation }
    }

    /// True when a directive named a launch text that is not here. The report then claims generation 0, which asks
    /// the scheduler for everything anew.
    #[must_use]
    pub const fn lacks_text(&self) -> bool {
        self.lacks_text
    }

    /// When [`Input::Tick`] is due next.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.tasks.values().filter_map(HostTask::due).min()
    }

    /// What the host is, as it is reported.
    #[must_use]
    pub const fn spec(&self) -> &HostSpec {
        &self.spec
    }

    /// Tasks for which something beyond logs may exist on the host: sandbox, network or address.
    pub fn holding(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks
            .iter()
            .filter(|(_, task)| !task.made().nothing())
            .map(|(id, _)| *id)
    }

    /// Counts for metrics.
    #[must_use]
    pub fn stats(&self) -> AgentStats {
        let mut stats = AgentStats {
            refused_directives: self.refused,
            ..AgentStats::default()
        };
        for task in self.tasks.values() {
            let stage = task.stage();
            stats.commands += task.waits_for().count();
            stats.queued += usize::from(stage == Stage::Queued);
            stats.launching += usize::from(stage.is_launching());
            stats.running += usize::from((Stage::Running..=Stage::Killing).contains(&stage));
            stats.stopping += usize::from((Stage::Terminating..=Stage::Killing).contains(&stage));
            stats.stuck += usize::from(stage == Stage::Killing && task.tries() > 2);
            stats.undoing += usize::from(stage == Stage::Undoing);
            stats.undo_retries += usize::from(stage == Stage::Undoing && task.tries() > 0);
            let only_logs = task.only_logs_since().is_some();
            stats.only_logs += usize::from(only_logs || stage == Stage::Clearing);
            stats.unacknowledged += usize::from(stage == Stage::Ended && !only_logs);
        }
        stats
    }

    fn direct(&mut self, directive: Directive, now: Timestamp, out: &mut Vec<Command>) {
        if directive.host != self.spec.id || directive.generation < self.seen {
            self.refused += 1;
            return;
        }
        self.seen = directive.generation;
        let texts = directive.specs.into_iter().map(|(d, text)| (d, Arc::new(text)));
        for (digest, text) in texts {
            self.texts.entry(digest).or_insert(text);
        }
        self.lacks_text = false;
        for task in &directive.tasks {
            self.direct_one(*task, now, out);
        }
        let named: BTreeSet<TaskId> = directive.tasks.iter().map(|t| t.task).collect();
        let mut cx = Context {
            now,
            config: &self.config,
            out,
        };
        for (_, task) in self.tasks.iter_mut().filter(|(id, _)| !named.contains(id)) {
            task.drop_it(&mut cx);
        }
        self.drop_texts(directive.tasks.iter().map(|t| t.spec).collect());
        self.drop_oldest_logs(now, out);
        if !self.lacks_text {
            self.generation = directive.generation;
        }
    }

    fn direct_one(&mut self, directive: TaskDirective, now: Timestamp, out: &mut Vec<Command>) {
        let text = self.texts.get(&directive.spec).cloned();
        let mut cx = Context {
            now,
            config: &self.config,
            out,
        };
        if let Some(task) = self.tasks.get_mut(&directive.task) {
            task.directed(directive, text);
            if directive.wanted == Wanted::Stop {
                task.stop(&mut cx);
            }
            return;
        }
        let task = match (directive.wanted, text) {
            (Wanted::Stop, _) => HostTask::absent(directive.task, now),
            (Wanted::Run, Some(text)) => {
                self.queue.push_back(directive.task);
                HostTask::queued(directive, text)
            }
            (Wanted::Run, None) => {
                self.lacks_text = true;
                return;
            }
        };
        self.tasks.insert(directive.task, task);
    }

    fn drop_texts(&mut self, mut used: BTreeSet<SpecDigest>) {
        used.extend(self.tasks.values().filter_map(HostTask::spec));
        self.texts.retain(|digest, _| used.contains(digest));
    }

    /// A job whose tasks fail at once must not fill the disk with logs before their time is over.
    fn drop_oldest_logs(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        let mut kept: Vec<(Timestamp, TaskId)> = self
            .tasks
            .iter()
            .filter_map(|(id, task)| Some((task.only_logs_since()?, *id)))
            .collect();
        kept.sort_unstable();
        let surplus = kept.len().saturating_sub(self.config.keep_logs_of);
        let mut cx = Context {
            now,
            config: &self.config,
            out,
        };
        for (_, id) in kept.into_iter().take(surplus) {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.on(Event::Due, &mut cx);
            }
        }
    }

    fn run_timers(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        let mut cx = Context {
            now,
            config: &self.config,
            out,
        };
        for task in self.tasks.values_mut() {
            if task.due().is_some_and(|due| due <= now) {
                task.timed_out(&mut cx);
            }
        }
    }

    fn launch_next(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        let slots = self.config.launches.max(1);
        let mut launching = self.tasks.values().filter(|t| t.stage().is_launching()).count();
        let mut cx = Context {
            now,
            config: &self.config,
            out,
        };
        while launching < slots {
            let Some(id) = self.queue.pop_front() else { return };
            let Some(task) = self.tasks.get_mut(&id) else {
                continue;
            };
            task.on(Event::Turn, &mut cx);
            launching += usize::from(task.stage().is_launching());
        }
    }
}
