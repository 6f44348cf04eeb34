//! `titus dev`: scheduler, agents, store, network and API in one process, on loopback.

mod args;
mod banner;
mod host;
mod link;
mod logs;
mod signals;
mod state;
mod telemetry;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use titus_agent::Agent;
use titus_agent::clock::Clock as AgentClock;
use titus_agent::metrics::Metrics as AgentMetrics;
use titus_api::server::{About, ApiMetrics, Bounds, Parts, Server};
use titus_core::agent::AgentConfig;
use titus_core::rng::RngTree;
use titus_core::spec::Limits;
use titus_net::HostNetwork;
use titus_scheduler::{Scheduler, SchedulerConfig};
use titus_store::backend::Embedded;
use titus_store::clock::{Clock, SystemClock};
use titus_store::cluster::Cluster;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use args::DevArgs;

use crate::exit::{CliError, Exit};
use host::{DevHost, Kind};
use link::DirectLink;
use logs::DevLogs;
use state::StateDir;

/// Runs until it is told to stop.
pub(crate) fn run(args: &DevArgs) -> Result<(), CliError> {
    telemetry::start(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::io("cannot start", &e))?;
    let outcome = runtime.block_on(dev(args));
    // Log readers and file writers may still be at work; nothing that must be finished is among them.
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}

async fn dev(args: &DevArgs) -> Result<(), CliError> {
    let signals = signals::Signals::listen()?;
    let listener = listen(args).await?;
    let address = listener
        .local_addr()
        .map_err(|e| CliError::io("cannot listen", &e))?;
    let state = StateDir::open(args)?;
    let kind = host::choose(args)?;
    let store = Embedded::open(state.store()).map_err(|e| state::store_failed(&e))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let cluster = Cluster::new(Arc::new(store.clone()), Arc::clone(&clock));
    let rng = RngTree::new(state::entropy());
    let mut registry = Registry::default();

    let scheduler = Scheduler::new(cluster.clone(), SchedulerConfig::default(), &rng);
    scheduler.metrics().register(&mut registry);
    let hosts = host::open(args, kind, &state).await?;
    let (stop, stopped) = watch::channel(false);
    let mut agents = JoinSet::new();
    let mut logs = DevLogs::default();
    for (nth, host) in hosts.iter().enumerate() {
        let metrics = AgentMetrics::default();
        if nth == 0 {
            metrics.register(&mut registry, Arc::clone(&host.parts.network));
        }
        let agent = start_agent(host, metrics).await?;
        tokio::spawn(keep_network(Arc::clone(&host.parts.network)));
        logs.add(host.spec.id, Arc::clone(agent.executor()));
        let link = Arc::new(DirectLink::new(cluster.clone()));
        agents.spawn(agent.run(link, stopped.clone()));
    }
    let api_metrics = ApiMetrics::register(&mut registry);
    let about = About {
        cell: "dev".into(),
        store: format!("embedded {}", state.store().display()),
        runtime: kind.runtime().into(),
        data_path: kind.datapath().into(),
        base_url: format!("http://{address}"),
    };
    let parts = Parts {
        cluster,
        live: Arc::clone(scheduler.live()),
        waiting: scheduler.waiting(),
        logs: Arc::new(logs),
        clock,
        limits: Limits::dev(),
        ids: rng.child("ids"),
        about,
    };
    let live = Arc::clone(scheduler.live());
    let server = Server::new(parts, api_metrics, Arc::new(registry), Bounds::default());
    let mut api_stop = stopped.clone();
    let serving = tokio::spawn(server.serve(listener, async move {
        let _process_ends = api_stop.wait_for(|stop| *stop).await;
    }));
    let scheduling = tokio::spawn(scheduler.run(stopped));

    banner::ready(args, kind, &state, address, &hosts, &live).await;
    signals.wait().await;
    banner::stopping();
    stop.send_replace(true);
    while agents.join_next().await.is_some() {}
    let (_, _) = tokio::join!(serving, scheduling);
    host::close(args, kind, hosts, &state).await;
    drop(store);
    state.close();
    Ok(())
}

async fn start_agent(host: &DevHost, metrics: AgentMetrics) -> Result<Agent, CliError> {
    Agent::start(
        host.spec.clone(),
        AgentConfig::default(),
        host.parts.clone(),
        metrics,
    )
    .await
    .map_err(|error| CliError::new(Exit::Other, told(&error), "look at the log above"))
}

/// Completes the network's rules again and again: reloading the host's firewall flushes them.
async fn keep_network(network: Arc<HostNetwork>) {
    loop {
        tokio::time::sleep(Duration::from_secs(30)).await;
        if let Err(error) = network.setup().await {
            tracing::error!(%error, "the network's rules could not be completed");
        }
    }
}

async fn listen(args: &DevArgs) -> Result<TcpListener, CliError> {
    let address = args.listen;
    if !address.ip().is_loopback() {
        return Err(CliError::usage(
            format!("{address} is not on loopback"),
            "titus dev talks in plaintext and asks nobody who they are: listen on 127.0.0.1 or [::1]",
        ));
    }
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => CliError::new(
            Exit::Other,
            format!("port {} is in use", address.port()),
            "stop the other program, or choose another port: titus dev --listen 127.0.0.1:0 takes a free one",
        ),
        _ => CliError::io(format!("cannot listen on {address}"), &error),
    })
}

/// An error with its sources, in one line.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// The agents' clock, which follows tokio's.
fn agent_clock() -> AgentClock {
    AgentClock::system()
}

impl Kind {
    const fn runtime(self) -> &'static str {
        match self {
            Self::Real => "sandbox",
            Self::Fake => "fake",
        }
    }

    const fn datapath(self) -> &'static str {
        match self {
            Self::Real => "bridge",
            Self::Fake => "fake",
        }
    }
}
