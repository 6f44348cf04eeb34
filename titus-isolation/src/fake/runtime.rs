use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::logs;
use super::script::{self, Step};
use crate::error::Error;
use crate::facts::HostFacts;
use crate::plan::plan;
use crate::runtime::{ContainerRuntime, Exit, ExitReason, Sandbox, SandboxState, Started, Stats};
use crate::spec::{SandboxId, SandboxSpec, Signal};

/// A runtime in memory that honours tokio's time, paused time included, and spawns nothing.
///
/// It knows `true`, `false`, `sleep N`, `echo …`, `exit N`, `head -c N /dev/zero`, `tail /dev/zero` (which runs out of
/// memory), `kill -SIG $$`, and `sh -c` scripts of these. Commands under `/no/such` do not exist, those under `/etc`
/// may not be executed, and any other runs until a signal ends it. Clones are the same machine, so dropping one and
/// going on with another is a restart of the agent.
///
/// ```
/// # async fn demo() -> Result<(), titus_isolation::Error> {
/// use titus_isolation::fake::FakeRuntime;
/// use titus_isolation::{ContainerRuntime, ExitReason, LogConfig, RootFs, SandboxId, SandboxSpec};
///
/// let runtime = FakeRuntime::new().without_logs();
/// let id = SandboxId::new("one").expect("an id");
/// let spec = SandboxSpec::new(id.clone(), RootFs::Host, ["sleep", "3600"], LogConfig::new("/logs"));
/// runtime.create(&spec).await?;
/// runtime.start(&id).await?;
/// assert_eq!(runtime.wait(&id).await?.reason, ExitReason::Code(0)); // at once, when time is paused
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()
/// #     .expect("a runtime").block_on(demo()).expect("runs");
/// ```
#[derive(Debug, Clone)]
pub struct FakeRuntime {
    machine: Arc<Machine>,
    logs: bool,
}

/// An operation that can be made to fail, or to take time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FakeOperation {
    /// [`ContainerRuntime::create`]
    Create,
    /// [`ContainerRuntime::start`]
    Start,
    /// [`ContainerRuntime::remove`]
    Remove,
}

#[derive(Debug)]
struct Machine {
    state: Mutex<State>,
    changed: Notify,
    /// What the wall clock said when the fake was made, and that moment.
    began: (u64, Instant),
}

#[derive(Debug, Default)]
struct State {
    boxes: BTreeMap<SandboxId, FakeSandbox>,
    pids: u32,
    failures: BTreeMap<FakeOperation, u32>,
    delays: BTreeMap<FakeOperation, Duration>,
}

#[derive(Debug)]
struct FakeSandbox {
    spec: SandboxSpec,
    pid: u32,
    state: SandboxState,
    steps: VecDeque<Step>,
    /// When the next step is due; `None`: only a signal changes anything.
    due: Option<Instant>,
    logs: bool,
}

/// Above every pid that Linux gives out, so that nobody touches a real process by mistake.
const FIRST_PID: u32 = 1 << 30;

impl FakeRuntime {
    /// An empty machine that writes logs, on the system's wall clock.
    #[allow(
        clippy::new_without_default,
        reason = "it reads the clock, which a default should not"
    )]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(u64::try_from(now.as_millis()).unwrap_or(0))
    }

    /// An empty machine whose wall clock says this now, in milliseconds since 1970; for simulations.
    pub fn starting_at(wall_clock_ms: u64) -> Self {
        let began = (wall_clock_ms, Instant::now());
        let machine = Machine {
            state: Mutex::default(),
            changed: Notify::new(),
            began,
        };
        Self {
            machine: Arc::new(machine),
            logs: true,
        }
    }

    /// The same machine, but sandboxes made through this handle write no files.
    #[must_use]
    pub fn without_logs(mut self) -> Self {
        self.logs = false;
        self
    }

    /// The next so many calls of an operation fail as a host's kernel does.
    pub fn fail_next(&self, operation: FakeOperation, times: u32) {
        self.state().failures.insert(operation, times);
    }

    /// Every call of an operation takes this long from now on.
    pub fn delay(&self, operation: FakeOperation, time: Duration) {
        self.state().delays.insert(operation, time);
    }

    /// The machine loses power and comes back: what ran or waited is gone, and nobody saw how.
    pub fn power_cut(&self) {
        let mut state = self.state();
        for sandbox in state
            .boxes
            .values_mut()
            .filter(|b| !matches!(b.state, SandboxState::Exited(_)))
        {
            let reason = ExitReason::Unknown("the machine lost power".to_owned());
            sandbox.state = SandboxState::Exited(Exit::new(reason));
            sandbox.due = None;
        }
        drop(state);
        self.machine.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.machine.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the operation's time, then fails if it was told to.
    async fn enter(&self, operation: FakeOperation, id: &SandboxId) -> Result<(), Error> {
        let delay = self.state().delays.get(&operation).copied();
        if let Some(time) = delay {
            sleep(time).await;
        }
        let mut state = self.state();
        let left = state.failures.entry(operation).or_default();
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        Err(Error::kernel(
            "use the fake machine for",
            id.as_str(),
            std::io::Error::other("told to fail"),
        ))
    }

    /// Brings one sandbox up to now and hands it over.
    fn with<T>(&self, id: &SandboxId, what: impl FnOnce(&mut FakeSandbox) -> T) -> Result<T, Error> {
        let mut state = self.state();
        let sandbox = state
            .boxes
            .get_mut(id)
            .ok_or_else(|| Error::NotFound { id: id.clone() })?;
        sandbox.advance(Instant::now(), self.machine.began);
        Ok(what(sandbox))
    }
}

impl FakeSandbox {
    /// Carries out every step that is due.
    fn advance(&mut self, now: Instant, began: (u64, Instant)) {
        while let (SandboxState::Running, Some(due)) = (&self.state, self.due) {
            if due > now {
                return;
            }
            match self.steps.pop_front() {
                Some(Step::Sleep(time)) => self.due = Some(due + time),
                Some(Step::Write(stream, bytes)) => self.write(stream, &bytes),
                Some(Step::EatMemory) if self.spec.resources.memory_bytes.is_some() => {
                    self.end(ExitReason::OutOfMemory, due, began);
                }
                Some(Step::Forever | Step::EatMemory) => self.due = None,
                Some(Step::Exit(code)) => self.end(ExitReason::Code(code), due, began),
                Some(Step::Raise(signal)) => self.end(ExitReason::Signal(signal), due, began),
                None => self.end(ExitReason::Code(0), due, began),
            }
        }
    }

    fn write(&self, stream: usize, bytes: &[u8]) {
        if self.logs
            && let Err(error) = logs::write(&self.spec.logs, stream, bytes)
        {
            tracing::warn!(sandbox = %self.spec.id, %error, "fake output lost");
        }
    }

    fn end(&mut self, reason: ExitReason, at: Instant, (wall_clock_ms, began): (u64, Instant)) {
        let since = u64::try_from(at.saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX);
        let oom_kills = u64::from(reason == ExitReason::OutOfMemory);
        let finished_at_ms = Some(wall_clock_ms.saturating_add(since));
        self.state = SandboxState::Exited(Exit {
            reason,
            oom_kills,
            finished_at_ms,
            log_bytes_dropped: 0,
        });
        self.due = None;
    }

    fn seen(&self) -> Sandbox {
        let ended = matches!(self.state, SandboxState::Exited(_));
        let pid = if ended { 0 } else { self.pid };
        let netns = if ended {
            PathBuf::new()
        } else {
            PathBuf::from(format!("/proc/{pid}/ns/net"))
        };
        Sandbox::new(self.spec.id.clone(), pid, netns, self.state.clone())
    }
}

/// The signals that do not end a process by default: CHLD CONT STOP TSTP TTIN TTOU URG WINCH.
const HARMLESS: [i32; 8] = [17, 18, 19, 20, 21, 22, 23, 28];

#[async_trait]
impl ContainerRuntime for FakeRuntime {
    async fn facts(&self) -> Result<HostFacts, Error> {
        Ok(HostFacts::complete("/var/lib/titus"))
    }

    async fn create(&self, spec: &SandboxSpec) -> Result<Sandbox, Error> {
        self.enter(FakeOperation::Create, &spec.id).await?;
        plan(spec, &HostFacts::complete("/var/lib/titus"))?;
        let mut state = self.state();
        if state.boxes.contains_key(&spec.id) {
            let problem = "it exists already; remove it first, or choose another id".to_owned();
            return Err(Error::State {
                operation: "create",
                id: spec.id.clone(),
                problem,
            });
        }
        if self.logs {
            logs::open(&spec.logs).map_err(|source| Error::kernel("make", &spec.logs.dir, source))?;
        }
        state.pids += 1;
        let sandbox = FakeSandbox {
            spec: spec.clone(),
            pid: FIRST_PID + state.pids,
            state: SandboxState::Created,
            steps: VecDeque::new(),
            due: None,
            logs: self.logs,
        };
        let seen = sandbox.seen();
        state.boxes.insert(spec.id.clone(), sandbox);
        Ok(seen)
    }

    async fn start(&self, id: &SandboxId) -> Result<Started, Error> {
        self.enter(FakeOperation::Start, id).await?;
        let began = self.machine.began;
        let started = self.with(id, |sandbox| match &sandbox.state {
            SandboxState::Running => Ok(Started::Running),
            SandboxState::Exited(Exit {
                reason: ExitReason::NotExecuted(failure),
                ..
            }) => Ok(Started::Failed(failure.clone())),
            SandboxState::Exited(exit) => {
                let problem = format!("it has ended: {:?}; remove it and create it again", exit.reason);
                Err(Error::State {
                    operation: "start",
                    id: id.clone(),
                    problem,
                })
            }
            SandboxState::Created => Ok(match script::read(&sandbox.spec) {
                Ok(steps) => {
                    sandbox.steps = steps.into();
                    sandbox.state = SandboxState::Running;
                    sandbox.due = Some(Instant::now());
                    sandbox.advance(Instant::now(), began);
                    Started::Running
                }
                Err(failure) => {
                    sandbox.end(ExitReason::NotExecuted(failure.clone()), Instant::now(), began);
                    Started::Failed(failure)
                }
            }),
        })?;
        self.machine.changed.notify_waiters();
        started
    }

    async fn signal(&self, id: &SandboxId, signal: Signal) -> Result<bool, Error> {
        let began = self.machine.began;
        let told = self.with(id, |sandbox| {
            let alive = !matches!(sandbox.state, SandboxState::Exited(_));
            if alive && !HARMLESS.contains(&signal.number()) {
                sandbox.end(ExitReason::Signal(signal), Instant::now(), began);
            }
            alive
        })?;
        self.machine.changed.notify_waiters();
        Ok(told)
    }

    async fn wait(&self, id: &SandboxId) -> Result<Exit, Error> {
        loop {
            let changed = self.machine.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change falls between.
            changed.as_mut().enable();
            let due = match self.with(id, |s| (s.state.clone(), s.due))? {
                (SandboxState::Exited(exit), _) => return Ok(exit),
                (_, due) => due,
            };
            match due {
                Some(due) => drop(timeout_at(due, changed).await),
                None => changed.await,
            }
        }
    }

    async fn list(&self) -> Result<Vec<Sandbox>, Error> {
        let now = Instant::now();
        let mut state = self.state();
        Ok(state
            .boxes
            .values_mut()
            .map(|sandbox| {
                sandbox.advance(now, self.machine.began);
                sandbox.seen()
            })
            .collect())
    }

    async fn remove(&self, id: &SandboxId) -> Result<(), Error> {
        self.enter(FakeOperation::Remove, id).await?;
        self.state().boxes.remove(id);
        self.machine.changed.notify_waiters();
        Ok(())
    }

    async fn stats(&self, id: &SandboxId) -> Result<Stats, Error> {
        self.with(id, |sandbox| {
            let alive = !matches!(sandbox.state, SandboxState::Exited(_));
            let memory_bytes = if alive { 1 << 20 } else { 0 };
            Stats {
                memory_bytes,
                memory_peak_bytes: 1 << 20,
                pids: u64::from(alive),
                ..Stats::default()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{LogConfig, RootFs};

    fn spec(id: &str, args: &[&str]) -> SandboxSpec {
        let id = SandboxId::new(id).expect("an id");
        SandboxSpec::new(id, RootFs::Host, args.iter().copied(), LogConfig::new("/logs"))
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_of_sleep_takes_an_hour_of_paused_time() {
        let runtime = FakeRuntime::starting_at(1_000).without_logs();
        let spec = spec("a", &["sleep", "3600"]);
        runtime.create(&spec).await.expect("created");
        sleep(Duration::from_secs(5)).await;
        runtime.start(&spec.id).await.expect("started");
        let exit = runtime.wait(&spec.id).await.expect("ends");
        assert_eq!(exit.finished_at_ms, Some(1_000 + 3_605_000));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_are_counted_and_power_cuts_are_unknown_ends() {
        let runtime = FakeRuntime::starting_at(0).without_logs();
        let spec = spec("a", &["sleep", "9"]);
        runtime.fail_next(FakeOperation::Create, 1);
        runtime.delay(FakeOperation::Create, Duration::from_secs(2));
        let began = Instant::now();
        assert!(matches!(runtime.create(&spec).await, Err(Error::Kernel { .. })));
        runtime
            .create(&spec)
            .await
            .expect("only one failure was asked for");
        assert_eq!(began.elapsed(), Duration::from_secs(4));
        runtime.start(&spec.id).await.expect("started");
        runtime.power_cut();
        let exit = runtime.wait(&spec.id).await.expect("ended");
        assert_eq!(exit.code(), None);
    }
}
