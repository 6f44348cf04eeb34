//! The loop: reports up, directives down, commands to the executor, answers back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use titus_core::agent::{AgentConfig, Command, HostAgent, Input};
use titus_core::host::HostSpec;
use titus_core::id::TaskId;
use titus_core::wire::HostReport;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::Error;
use crate::executor::{Executor, Parts};
use crate::link::{ControlLink, LinkError};
use crate::metrics::Metrics;

/// Changes are gathered for so long before they are reported.
const GATHER: Duration = Duration::from_millis(10);
/// A report goes up at least so often.
const INTERVAL: Duration = Duration::from_secs(5);
/// After a failed conversation the next comes after this, doubled up to [`INTERVAL`].
const RETRY: Duration = Duration::from_millis(100);

/// A host agent: made with [`Agent::start`], lives in [`Agent::run`].
#[derive(Debug)]
pub struct Agent {
    machine: HostAgent,
    executor: Arc<Executor>,
    inputs: mpsc::UnboundedReceiver<Input>,
    back: mpsc::UnboundedSender<Input>,
    clock: Clock,
    metrics: Metrics,
    launched: BTreeSet<TaskId>,
}

impl Agent {
    /// Takes over what an earlier agent left on the host.
    ///
    /// # Errors
    /// [`Error::Adopt`] when that cannot be seen.
    pub async fn start(
        spec: HostSpec,
        config: AgentConfig,
        parts: Parts,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let (back, inputs) = mpsc::unbounded_channel();
        let clock = parts.clock;
        let executor = Arc::new(Executor::new(parts, metrics.clone(), back.clone()));
        let found = executor.adopt().await?;
        let launched = found.iter().map(|f| f.task).collect();
        let (machine, commands) = HostAgent::start(spec, config, &found, clock.now());
        let agent = Self {
            machine,
            executor,
            inputs,
            back,
            clock,
            metrics,
            launched,
        };
        agent.perform(commands);
        Ok(agent)
    }

    /// What performs the commands: for reading logs.
    #[must_use]
    pub const fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// Runs until `stop` turns true. Containers are left as they are: the next agent adopts them.
    pub async fn run(mut self, link: Arc<dyn ControlLink>, mut stop: watch::Receiver<bool>) {
        let reports = watch::Sender::new(Arc::new(self.machine.report()));
        let conversation = tokio::spawn(converse(
            link,
            reports.subscribe(),
            self.back.clone(),
            self.metrics.clone(),
        ));
        let mut due: Option<Instant> = None;
        loop {
            let timer = self.machine.next_timer().map(|at| self.clock.instant(at));
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = until(due) => {
                    due = None;
                    self.publish(&reports);
                }
                Some(input) = self.inputs.recv() => {
                    self.take(input);
                    due.get_or_insert_with(|| Instant::now() + GATHER);
                }
                () = until(timer) => {
                    self.take(Input::Tick);
                    due.get_or_insert_with(|| Instant::now() + GATHER);
                }
            }
        }
        conversation.abort();
    }

    fn take(&mut self, input: Input) {
        let commands = self.machine.handle(input, self.clock.now());
        self.perform(commands);
    }

    fn perform(&self, commands: Vec<Command>) {
        for command in commands {
            tokio::spawn(Arc::clone(&self.executor).perform(command));
        }
    }

    fn publish(&mut self, reports: &watch::Sender<Arc<HostReport>>) {
        let report = self.machine.report();
        self.metrics.machine(&self.machine.stats());
        self.metrics.reported(&report);
        self.note_launches(&report);
        reports.send_if_modified(|last| {
            let changed = **last != report;
            if changed {
                *last = Arc::new(report);
            }
            changed
        });
    }

    fn note_launches(&mut self, report: &HostReport) {
        self.launched
            .retain(|task| report.tasks.binary_search_by_key(task, |t| t.task).is_ok());
        for task in report.tasks.iter().filter(|t| t.times.started.is_some()) {
            if self.launched.insert(task.task) {
                self.metrics.launched(&task.times);
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Talks with the control plane for ever: one report after the other, the newest each time.
async fn converse(
    link: Arc<dyn ControlLink>,
    mut reports: watch::Receiver<Arc<HostReport>>,
    inputs: mpsc::UnboundedSender<Input>,
    metrics: Metrics,
) {
    let mut retry = RETRY;
    let mut delivered = 0;
    loop {
        let report = (**reports.borrow_and_update()).clone();
        let known = report.generation;
        let mut changes = reports.clone();
        let hold = Box::pin(async move {
            // A closed channel means that the agent ends; the conversation is then aborted.
            let _changed_or_late = tokio::time::timeout(INTERVAL, changes.changed()).await;
        });
        let outcome = link.sync(report, hold).await;
        metrics.synced(outcome.is_ok());
        match outcome {
            Ok(directive) => {
                retry = RETRY;
                let news = directive.generation > known;
                // A directive that the machine cannot apply (it lacks a text) must not be asked for in a loop.
                let patience = if directive.generation == delivered {
                    INTERVAL
                } else {
                    GATHER * 5
                };
                delivered = directive.generation;
                if inputs.send(Input::Directive(directive)).is_err() {
                    return;
                }
                if news {
                    let _reported_or_late = tokio::time::timeout(patience, reports.changed()).await;
                }
            }
            Err(error) => {
                log_failure(&error, retry);
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(INTERVAL);
            }
        }
    }
}

fn log_failure(error: &LinkError, retry: Duration) {
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    let retry_ms = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(%error, cause, retry_ms, "conversation with the control plane failed");
}
