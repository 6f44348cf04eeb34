//! The agent over a fake runtime, a fake network and a control plane in memory: a task's whole life, and restarts.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use titus_agent::Agent;
use titus_agent::clock::Clock;
use titus_agent::executor::{Defaults, Parts};
use titus_agent::host::{HostOptions, this_host};
use titus_agent::images::FakeImages;
use titus_agent::journal::Journal;
use titus_agent::link::{ControlLink, Hold, LinkError};
use titus_agent::metrics::Metrics;
use titus_core::id::{JobId, TaskId};
use titus_core::spec::{JobRequest, JobSpec, Limits};
use titus_core::task::{Exit, ReasonCode};
use titus_core::time::Millis;
use titus_core::wire::{Directive, HostReport, Phase, TaskDirective, TaskReport, Wanted};
use titus_isolation::fake::FakeRuntime;
use titus_net::{FakeHost, HostNetwork, Network};
use tokio::sync::watch;

type Tasks = BTreeMap<TaskId, (Arc<JobSpec>, Wanted)>;

/// A control plane that wants what the test says.
struct Plane {
    wanted: watch::Sender<(u64, Tasks)>,
    report: Mutex<Option<HostReport>>,
}

impl Plane {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            wanted: watch::Sender::new((1, BTreeMap::new())),
            report: Mutex::default(),
        })
    }

    fn want(&self, task: TaskId, spec: Option<(&Arc<JobSpec>, Wanted)>) {
        self.wanted.send_modify(|(generation, tasks)| {
            *generation += 1;
            match spec {
                Some((spec, wanted)) => _ = tasks.insert(task, (Arc::clone(spec), wanted)),
                None => _ = tasks.remove(&task),
            }
        });
    }

    fn task(&self, task: TaskId) -> Option<TaskReport> {
        self.report
            .lock()
            .unwrap()
            .as_ref()?
            .tasks
            .iter()
            .find(|t| t.task == task)
            .cloned()
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool + Send + Sync) {
        let waiting = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(outcome.is_ok(), "{what}: {:?}", self.report.lock().unwrap());
    }
}

#[async_trait]
impl ControlLink for Plane {
    async fn sync(&self, report: HostReport, hold: Hold<'_>) -> Result<Directive, LinkError> {
        let (host, known) = (report.host(), report.generation);
        *self.report.lock().unwrap() = Some(report);
        let mut changes = self.wanted.subscribe();
        if changes.borrow().0 <= known {
            tokio::select! {
                _ = changes.wait_for(|(generation, _)| *generation > known) => {}
                () = hold => {}
            }
        }
        let (generation, wanted) = changes.borrow().clone();
        let tasks = wanted.iter().map(|(task, (spec, wanted))| TaskDirective {
            task: *task,
            job: JobId::from_bytes([9; 16]),
            index: 0,
            original: *task,
            spec: spec.digest(),
            wanted: *wanted,
        });
        let specs = wanted
            .values()
            .map(|(spec, _)| (spec.digest(), (**spec.launch()).clone()))
            .collect();
        Ok(Directive {
            host,
            generation,
            tasks: tasks.collect(),
            specs,
        })
    }
}

fn spec(command: &[&str], tag: &str) -> Arc<JobSpec> {
    let mut request = JobRequest {
        application_name: "test".into(),
        ..JobRequest::default()
    };
    request.owner.team_email = "team@example.com".into();
    request.container.image.name = "image".into();
    request.container.image.tag = tag.into();
    request.container.entry_point = command.iter().map(ToString::to_string).collect();
    request.batch = Some(titus_core::spec::BatchRequest {
        size: 1,
        ..Default::default()
    });
    Arc::new(JobSpec::parse(request, &Limits::dev()).unwrap().0)
}

struct Machine {
    folder: tempfile::TempDir,
    runtime: FakeRuntime,
    network: FakeHost,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            runtime: FakeRuntime::new(),
            network: FakeHost::trusting(),
        }
    }

    async fn agent(&self, plane: &Arc<Plane>) -> (watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let network = Network::new("demo".parse().unwrap(), "10.99.0.0/24".parse().unwrap());
        let network = HostNetwork::new(Arc::new(self.network.datapath(network)), Duration::ZERO);
        network.setup().await.unwrap();
        let folder: &Path = self.folder.path();
        let defaults = Defaults {
            pids_max: 100,
            log_max_bytes: 1 << 20,
            log_files: 2,
            ..Defaults::default()
        };
        let parts = Parts {
            runtime: Arc::new(self.runtime.clone()),
            network: Arc::new(network),
            images: Arc::new(FakeImages),
            journal: Journal::open(folder.join("journal")).unwrap(),
            logs: folder.join("logs"),
            defaults,
            clock: Clock::system(),
        };
        let spec = this_host(HostOptions::default(), folder);
        let agent = Agent::start(spec, Default::default(), parts, Metrics::default())
            .await
            .unwrap();
        let (stop, stopped) = watch::channel(false);
        let plane: Arc<dyn ControlLink> = plane.clone();
        (stop, tokio::spawn(agent.run(plane, stopped)))
    }
}

fn task(n: u8) -> TaskId {
    TaskId::from_bytes([n; 16])
}

#[tokio::test]
async fn a_task_runs_ends_and_is_forgotten_once_acknowledged() {
    let (machine, plane) = (Machine::new(), Plane::new());
    let _agent = machine.agent(&plane).await;
    plane.want(task(1), Some((&spec(&["exit", "3"], "latest"), Wanted::Run)));
    plane
        .until("it ends", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Ended)
        })
        .await;
    let ended = plane.task(task(1)).unwrap();
    assert_eq!(ended.exit, Some(Exit::Code(3)));
    assert!(ended.address.is_some());
    let times = ended.times;
    let order = [
        times.preparing,
        times.image,
        times.network,
        times.started,
        times.finished,
    ];
    assert!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{times:?}"
    );
    plane.want(task(1), None);
    plane
        .until("it is forgotten", |p| p.task(task(1)).is_none())
        .await;
}

#[tokio::test]
async fn a_stop_ends_a_program_that_would_run_on() {
    let (machine, plane) = (Machine::new(), Plane::new());
    let _agent = machine.agent(&plane).await;
    let forever = spec(&["sleep", "100000"], "latest");
    plane.want(task(1), Some((&forever, Wanted::Run)));
    plane
        .until("it runs", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Running)
        })
        .await;
    plane.want(task(1), Some((&forever, Wanted::Stop)));
    plane
        .until("it ends", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Ended)
        })
        .await;
    assert_eq!(plane.task(task(1)).unwrap().exit, Some(Exit::Signal(15)));
}

#[tokio::test]
async fn an_unknown_image_is_the_jobs_fault_and_says_so() {
    let (machine, plane) = (Machine::new(), Plane::new());
    let _agent = machine.agent(&plane).await;
    plane.want(task(1), Some((&spec(&["true"], "missing"), Wanted::Run)));
    plane
        .until("it ends", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Ended)
        })
        .await;
    let ended = plane.task(task(1)).unwrap();
    assert_eq!(
        (ended.reason, ended.exit),
        (Some(ReasonCode::InvalidRequest), None)
    );
    assert!(ended.message.contains("image:missing"), "{}", ended.message);
}

#[tokio::test]
async fn the_next_agent_takes_running_containers_over() {
    let (machine, plane) = (Machine::new(), Plane::new());
    let (_stop, running) = machine.agent(&plane).await;
    let forever = spec(&["sleep", "100000"], "latest");
    plane.want(task(1), Some((&forever, Wanted::Run)));
    plane
        .until("it runs", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Running)
        })
        .await;
    let before = plane.task(task(1)).unwrap();
    running.abort();
    let _ended = running.await;
    *plane.report.lock().unwrap() = None;
    let _next = machine.agent(&plane).await;
    plane
        .until("it is reported", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Running)
        })
        .await;
    let after = plane.task(task(1)).unwrap();
    assert_eq!(after.address, before.address);
    // The journal notes the start a moment apart from the machine.
    let (first, second) = (before.times.started.unwrap(), after.times.started.unwrap());
    assert!(
        first.since(second).max(second.since(first)) < Millis::from_secs(1),
        "{first:?} {second:?}"
    );
    plane.want(task(1), Some((&forever, Wanted::Stop)));
    plane
        .until("it ends", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Ended)
        })
        .await;
}

#[tokio::test]
async fn an_exit_while_no_agent_runs_is_not_lost() {
    let (machine, plane) = (Machine::new(), Plane::new());
    let (_stop, running) = machine.agent(&plane).await;
    plane.want(task(1), Some((&spec(&["sleep", "1"], "latest"), Wanted::Run)));
    plane
        .until("it runs", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Running)
        })
        .await;
    running.abort();
    let _ended = running.await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let _next = machine.agent(&plane).await;
    plane
        .until("it has ended", |p| {
            p.task(task(1)).is_some_and(|t| t.phase == Phase::Ended)
        })
        .await;
    assert_eq!(plane.task(task(1)).unwrap().exit, Some(Exit::Code(0)));
}
