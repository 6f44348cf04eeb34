//! Performs the machine's commands: with a container runtime, a network, images and the journal.

mod adopt;
mod faults;
mod spec;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use titus_core::agent::{Command, Fault, Input, Outcome, Sandbox, Step, StopSignal, Work};
use titus_core::id::TaskId;
use titus_core::spec::ImageRequest;
use titus_core::task::Exit;
use titus_isolation::{ContainerRuntime, Signal, Started};
use titus_net::{AttachmentId, HostNetwork, Netns};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

pub use spec::Defaults;

use crate::clock::Clock;
use crate::images::{Images, ReadyImage};
use crate::journal::{Entry, Journal};
use crate::metrics::Metrics;

/// The parts that an executor works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Runs the containers.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Gives them addresses.
    pub network: Arc<HostNetwork>,
    /// Gives them root file systems.
    pub images: Arc<dyn Images>,
    /// What must outlive this process.
    pub journal: Journal,
    /// The folder of the log folders.
    pub logs: PathBuf,
    /// What this host adds to every container.
    pub defaults: Defaults,
    /// The time.
    pub clock: Clock,
}

/// Performs commands. One for each agent; commands of different tasks run side by side.
#[derive(Debug)]
pub struct Executor {
    parts: Parts,
    metrics: Metrics,
    inputs: mpsc::UnboundedSender<Input>,
    tasks: Mutex<BTreeMap<TaskId, Held>>,
}

/// What is held for one task.
#[derive(Debug)]
struct Held {
    entry: Entry,
    image: Option<ReadyImage>,
    cancel: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    /// Held while the entry is written: the exit may come while a start is still being noted.
    writing: Arc<AsyncMutex<()>>,
}

impl Held {
    fn new(entry: Entry) -> Self {
        let ended = watch::channel(entry.exit.is_some() || entry.removed).0;
        Self {
            entry,
            image: None,
            cancel: watch::channel(false).0,
            ended,
            writing: Arc::default(),
        }
    }
}

type Failure = (Fault, String);

impl Executor {
    /// An executor that tells of ended programs through `inputs`.
    #[must_use]
    pub const fn new(parts: Parts, metrics: Metrics, inputs: mpsc::UnboundedSender<Input>) -> Self {
        Self {
            parts,
            metrics,
            inputs,
            tasks: Mutex::new(BTreeMap::new()),
        }
    }

    /// The folder of a task's logs.
    #[must_use]
    pub fn log_dir(&self, task: TaskId) -> PathBuf {
        log_dir(&self.parts.logs, task)
    }

    /// Turns true when the task's program has ended; `None` for a task that is not here.
    #[must_use]
    pub fn ended(&self, task: TaskId) -> Option<watch::Receiver<bool>> {
        self.tasks().get(&task).map(|held| held.ended.subscribe())
    }

    /// Performs a command and tells the machine what came of it, within the step's limit.
    pub async fn perform(self: Arc<Self>, command: Command) {
        let Command { task, work } = command;
        let step = work.step();
        if step == Step::Cancel {
            self.hold(task, |held| held.cancel.send_replace(true));
            return;
        }
        let start = tokio::time::Instant::now();
        let limit = step.limit();
        let outcome = match tokio::time::timeout(limit.as_duration(), self.outcome(task, work)).await {
            Ok(outcome) => outcome,
            Err(_) => failed((
                Fault::Transient,
                format!("{} took longer than {limit}", step.name()),
            )),
        };
        self.metrics.step(step, &outcome, start.elapsed());
        trace(task, step, &outcome, start.elapsed());
        // The machine is gone only when the agent ends, and then nobody needs the answer.
        let _agent_ended = self.inputs.send(Input::Done { task, step, outcome });
    }

    async fn outcome(self: &Arc<Self>, task: TaskId, work: Work) -> Outcome {
        let done = match work {
            Work::FetchImage { image } => self.fetch(task, image).await,
            Work::AssignAddress { .. } => match self.assign(task) {
                Ok(address) => return Outcome::Address(address),
                Err(failure) => Err(failure),
            },
            Work::CreateSandbox(sandbox) => self.create(task, *sandbox).await,
            Work::WireNetwork { .. } => self.wire(task).await,
            Work::OpenGate => self.open_gate(task).await,
            Work::Signal(signal) => self.signal(task, signal).await,
            Work::UnwireNetwork | Work::ReleaseAddress => self.unwire(task).await,
            Work::RemoveSandbox => self.remove(task).await,
            Work::DropLogs => self.drop_logs(task).await,
            Work::Forget => self.forget(task).await,
            Work::Cancel => Ok(()),
        };
        done.map_or_else(failed, |()| Outcome::Done)
    }

    async fn fetch(&self, task: TaskId, image: ImageRequest) -> Result<(), Failure> {
        let mut cancelled = self.hold(task, |held| {
            held.entry.image = Some(image.clone());
            held.cancel.subscribe()
        });
        let ready = tokio::select! {
            ready = self.parts.images.fetch(&image, task) => ready.map_err(faults::of_image)?,
            _ = cancelled.wait_for(|c| *c) => return Err((Fault::Transient, "cancelled".into())),
        };
        let now = self.parts.clock.now();
        self.hold(task, |held| {
            held.image = Some(ready);
            held.entry.times.image = Some(now);
        });
        Ok(())
    }

    fn assign(&self, task: TaskId) -> Result<IpAddr, Failure> {
        let attachment = self
            .parts
            .network
            .reserve(&attachment_id(task))
            .map_err(faults::of_network)?;
        let address = IpAddr::V4(attachment.address);
        self.hold(task, |held| held.entry.address = Some(address));
        Ok(address)
    }

    async fn create(&self, task: TaskId, sandbox: Sandbox) -> Result<(), Failure> {
        let (image, address) = self.hold(task, |held| {
            held.entry.job = Some(sandbox.job);
            (held.image.clone(), held.entry.address)
        });
        let image = image.ok_or_else(|| {
            (
                Fault::Transient,
                "the image is not on the host any more".to_owned(),
            )
        })?;
        let logs = self.log_dir(task);
        let spec = spec::sandbox_spec(task, &sandbox, &image, address, logs, &self.parts.defaults)
            .map_err(|problem| (Fault::Request, problem))?;
        self.write_journal(task).await?;
        self.parts
            .runtime
            .create(&spec)
            .await
            .map_err(faults::of_runtime)?;
        Ok(())
    }

    async fn wire(&self, task: TaskId) -> Result<(), Failure> {
        let listed = self.parts.runtime.list().await.map_err(faults::of_runtime)?;
        let id = spec::sandbox_id(task);
        let sandbox = listed.into_iter().find(|s| s.id == id).ok_or_else(|| {
            (
                Fault::Gone,
                "its sandbox ended before its network was wired".to_owned(),
            )
        })?;
        self.hold(task, |held| held.entry.wired = true);
        self.write_journal(task).await?;
        let netns = Netns::at(sandbox.netns);
        self.parts
            .network
            .attach(&attachment_id(task), &netns)
            .await
            .map_err(faults::of_network)?;
        let now = self.parts.clock.now();
        self.hold(task, |held| held.entry.times.network = Some(now));
        Ok(())
    }

    async fn open_gate(self: &Arc<Self>, task: TaskId) -> Result<(), Failure> {
        self.hold(task, |held| held.entry.started = true);
        self.write_journal(task).await?;
        match self
            .parts
            .runtime
            .start(&spec::sandbox_id(task))
            .await
            .map_err(faults::of_runtime)?
        {
            Started::Running => {
                let now = self.parts.clock.now();
                self.hold(task, |held| held.entry.times.started = Some(now));
                self.watch(task);
                self.write_journal(task).await
            }
            Started::Failed(failure) => {
                let code = u8::try_from(failure.code).unwrap_or(126);
                self.end(task, Exit::ExecFailed(code)).await?;
                Err((Fault::Exec(code), failure.message))
            }
        }
    }

    /// Waits for the end of a task's program, journals it, and tells the machine.
    fn watch(self: &Arc<Self>, task: TaskId) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let (exit, message) = match this.parts.runtime.wait(&spec::sandbox_id(task)).await {
                Ok(exit) => (faults::exit_of(&exit), faults::exit_message(&exit)),
                Err(error) => (Exit::Unknown, faults::told(&error)),
            };
            if let Err((_, problem)) = this.end(task, exit).await {
                tracing::error!(%task, problem, "the exit could not be journalled");
            }
            tracing::info!(%task, %exit, "program ended");
            let _agent_ended = this.inputs.send(Input::Exited { task, exit, message });
        });
    }

    async fn end(&self, task: TaskId, exit: Exit) -> Result<(), Failure> {
        let now = self.parts.clock.now();
        self.hold(task, |held| {
            held.entry.exit = Some(exit);
            held.entry.times.finished = held.entry.times.finished.or(Some(now));
            held.ended.send_replace(true);
        });
        self.write_journal(task).await
    }

    async fn signal(&self, task: TaskId, signal: StopSignal) -> Result<(), Failure> {
        let signal = match signal {
            StopSignal::Term => Signal::TERM,
            StopSignal::Kill => Signal::KILL,
        };
        match self.parts.runtime.signal(&spec::sandbox_id(task), signal).await {
            Ok(true) => Ok(()),
            Ok(false) => Err((Fault::Gone, "its program has ended".into())),
            Err(error) => Err(faults::of_runtime(error)),
        }
    }

    async fn unwire(&self, task: TaskId) -> Result<(), Failure> {
        self.parts
            .network
            .detach(&attachment_id(task))
            .await
            .map_err(faults::of_network)?;
        let journalled = self.hold(task, |held| {
            held.entry.wired = false;
            held.entry.address = None;
            held.entry.job.is_some()
        });
        if journalled {
            self.write_journal(task).await
        } else {
            Ok(())
        }
    }

    async fn remove(&self, task: TaskId) -> Result<(), Failure> {
        self.parts
            .runtime
            .remove(&spec::sandbox_id(task))
            .await
            .map_err(faults::of_runtime)?;
        let journalled = self.hold(task, |held| {
            held.entry.removed = true;
            held.ended.send_replace(true);
            held.entry.job.is_some()
        });
        if journalled {
            self.write_journal(task).await
        } else {
            Ok(())
        }
    }

    async fn drop_logs(&self, task: TaskId) -> Result<(), Failure> {
        let dir = self.log_dir(task);
        match tokio::fs::remove_dir_all(&dir).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err((
                Fault::Host,
                format!("cannot remove the logs in {}: {error}", dir.display()),
            )),
            _ => Ok(()),
        }
    }

    async fn forget(&self, task: TaskId) -> Result<(), Failure> {
        self.parts.images.release(task).await;
        let journal = self.parts.journal.clone();
        blocking(move || journal.remove(task)).await?;
        self.tasks().remove(&task);
        Ok(())
    }

    async fn write_journal(&self, task: TaskId) -> Result<(), Failure> {
        let writing = self.hold(task, |held| Arc::clone(&held.writing));
        let _turn = writing.lock().await;
        let entry = self.hold(task, |held| held.entry.clone());
        let journal = self.parts.journal.clone();
        blocking(move || journal.write(&entry)).await
    }

    fn hold<T>(&self, task: TaskId, f: impl FnOnce(&mut Held) -> T) -> T {
        f(self
            .tasks()
            .entry(task)
            .or_insert_with(|| Held::new(Entry::new(task))))
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Held>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder of a task's logs below the folder of all logs.
#[must_use]
pub fn log_dir(logs: &Path, task: TaskId) -> PathBuf {
    logs.join(task.to_string())
}

/// The attachment's name: the task's id.
fn attachment_id(task: TaskId) -> AttachmentId {
    task.to_string().parse().expect("a UUID is an attachment id")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err((
            Fault::Host,
            format!("the agent's journal cannot be written: {error}"),
        )),
        Err(error) => Err((
            Fault::Host,
            format!("the agent's journal cannot be written: {error}"),
        )),
    }
}

fn failed((fault, message): Failure) -> Outcome {
    Outcome::Failed { fault, message }
}

fn trace(task: TaskId, step: Step, outcome: &Outcome, took: std::time::Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    match outcome {
        Outcome::Failed { fault, message } => {
            tracing::warn!(%task, step = step.name(), ?fault, message, micros, "step failed");
        }
        _ => tracing::debug!(%task, step = step.name(), micros, "step done"),
    }
}
