//! The whole control plane around a server on a port of its own: a memory store, the controllers, and hosts that do at
//! once what their directives say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::registry::Registry;
use titus_api::server::{
    About, ApiError, ApiMetrics, Bounds, ErrorKind, Live, LogPiece, LogQuery, LogSource, LogStream, Parts,
    Server,
};
use titus_core::host::HostSpec;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::reconcile::Limits as ReconcileLimits;
use titus_core::resources::Resources;
use titus_core::rng::RngTree;
use titus_core::schedule::StandardPlanner;
use titus_core::spec::Limits;
use titus_core::task::{Exit, TaskHot};
use titus_core::wire::{Directive, HostReport, Phase, TaskReport, Wanted};
use titus_store::backend::MemKv;
use titus_store::clock::SystemClock;
use titus_store::cluster::{Cluster, LeaseKeeper, MemberId};
use titus_store::controller::{ReconcileController, ScheduleController, WarmView};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;

/// A running control plane; it ends with its value.
pub(crate) struct Platform {
    pub(crate) address: SocketAddr,
    pub(crate) live: Arc<Live>,
    pub(crate) cluster: Cluster,
    over: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    driver: Option<std::thread::JoinHandle<()>>,
}

/// What a test may want otherwise.
pub(crate) struct Options {
    pub(crate) hosts: usize,
    pub(crate) bounds: Bounds,
    pub(crate) warm: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: 2,
            bounds: Bounds::default(),
            warm: true,
        }
    }
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let clock = Arc::new(SystemClock::new());
        let cluster = Cluster::new(Arc::new(MemKv::new()), clock.clone());
        let warm = Arc::new(
            WarmView::load(cluster.clone())
                .await
                .expect("a memory store loads"),
        );
        let live = Arc::new(Live::new());
        if options.warm {
            live.set(warm.clone());
        }
        let schedule =
            ScheduleController::new(Box::new(StandardPlanner::new()), RngTree::new(1).child("plan"));
        let mut registry = Registry::default();
        let metrics = ApiMetrics::register(&mut registry);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let parts = Parts {
            cluster: cluster.clone(),
            live: live.clone(),
            waiting: schedule.waiting(),
            logs: Arc::new(Echo),
            clock,
            limits: Limits::dev(),
            ids: RngTree::new(2).child("ids"),
            about: About {
                base_url: format!("http://{address}"),
                ..About::default()
            },
        };
        let server = Server::new(parts, metrics, Arc::new(registry), options.bounds);
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        let over = Arc::new(AtomicBool::new(false));
        let (watched, hosts, driven) = (over.clone(), options.hosts, cluster.clone());
        let driver = std::thread::spawn(move || drive(driven, warm, schedule, hosts, &watched));
        Self {
            address,
            live,
            cluster,
            over,
            stop: Some(stop),
            driver: Some(driver),
        }
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).expect("a good address");
        endpoint.connect().await.expect("the server listens")
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.driver.take().map(std::thread::JoinHandle::join);
    }
}

/// One scheduler process with its hosts, on a thread of its own.
fn drive(
    cluster: Cluster,
    warm: Arc<WarmView>,
    mut schedule: ScheduleController,
    hosts: usize,
    over: &AtomicBool,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let tree = RngTree::new(3);
        let member = MemberId::generate(&mut tree.child("member"));
        let mut keeper = LeaseKeeper::new(cluster.clone(), member, Duration::from_secs(1));
        let mut reconcile = ReconcileController::new(ReconcileLimits::default(), tree.child("reconcile"));
        let mut hosts: Vec<Host> = (0..hosts).map(Host::new).collect();
        while !over.load(Ordering::Relaxed) {
            if keeper.tick().await.expect("memory does not fail") {
                reconcile.look_at_all(&warm);
            }
            let Some(lease) = keeper.lease().cloned() else {
                continue;
            };
            let version = cluster.version().await.expect("memory does not fail");
            warm.catch_up(version).await.expect("memory does not fail");
            reconcile.tick(&warm, &lease).await.expect("memory does not fail");
            schedule.tick(&warm, &lease).await.expect("memory does not fail");
            for host in &mut hosts {
                host.sync(&cluster, &warm).await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

struct Host {
    spec: HostSpec,
    directive: Option<Directive>,
    /// Tasks that have been reported as running: each is, before it ends.
    ran: BTreeSet<TaskId>,
}

impl Host {
    fn new(number: usize) -> Self {
        let spec = HostSpec {
            id: HostId::new(&format!("host-{number}")).expect("a good name"),
            capacity: Resources {
                cpu_milli: 8_000,
                memory_mb: 64_000,
                disk_mb: 1_000_000,
                network_mbps: 100_000,
                addresses: 250,
                gpu: 0,
            },
            zone: "zone-a".into(),
            machine_type: "fake.large".into(),
            runtime: "fake".into(),
            datapath: "fake".into(),
            attributes: BTreeMap::from([("region".into(), "here-1".into())]),
        };
        Self {
            spec,
            directive: None,
            ran: BTreeSet::new(),
        }
    }

    async fn sync(&mut self, cluster: &Cluster, warm: &WarmView) {
        let report = self.report(warm);
        self.ran.extend(report.tasks.iter().map(|task| task.task));
        self.directive = Some(cluster.sync_host(&report).await.expect("memory does not fail"));
        cluster.beat(&[self.spec.id]).await.expect("memory does not fail");
    }

    /// The tasks of applications named `ends` end with 0, those of `fails` with 3, others run until they are stopped.
    fn report(&self, warm: &WarmView) -> HostReport {
        let application = |job: JobId| {
            warm.with(|view| view.job(job).map(|job| job.spec.application().to_owned()))
                .unwrap_or_default()
        };
        let tasks = self.directive.iter().flat_map(|d| &d.tasks).map(|task| {
            let exit = match (task.wanted, application(task.job).as_str()) {
                (Wanted::Stop, _) => Some(Exit::Signal(15)),
                (Wanted::Run, _) if !self.ran.contains(&task.task) => None,
                (Wanted::Run, "ends") => Some(Exit::Code(0)),
                (Wanted::Run, "fails") => Some(Exit::Code(3)),
                (Wanted::Run, _) => None,
            };
            TaskReport {
                task: task.task,
                phase: if exit.is_some() {
                    Phase::Ended
                } else {
                    Phase::Running
                },
                exit,
                reason: None,
                message: if exit == Some(Exit::Code(3)) {
                    "the disk is on fire".into()
                } else {
                    String::new()
                },
                address: Some("10.1.2.3".parse().expect("an address")),
                times: Default::default(),
            }
        });
        HostReport {
            generation: self.directive.as_ref().map_or(0, |d| d.generation),
            tasks: tasks.collect(),
            spec: self.spec.clone(),
        }
    }
}

/// A log that says what was asked, one line a piece; with `follow` it never ends by itself.
#[derive(Debug)]
struct Echo;

#[tonic::async_trait]
impl LogSource for Echo {
    async fn read(&self, task: TaskHot, query: LogQuery, to: mpsc::Sender<LogPiece>) -> Result<(), ApiError> {
        if query.tail == Some(0) {
            return Err(ApiError::new(ErrorKind::NotReady, "the host is not reached"));
        }
        let name = if query.stream == LogStream::Stdout {
            "stdout"
        } else {
            "stderr"
        };
        let first = format!("{name} of {} tail {:?}\n", task.id, query.tail);
        let pieces = [
            LogPiece::Bytes(first.into()),
            LogPiece::Gap,
            LogPiece::Bytes("more\n".into()),
        ];
        for piece in pieces {
            if to.send(piece).await.is_err() {
                return Ok(());
            }
        }
        if query.follow {
            to.closed().await;
        }
        Ok(())
    }
}
