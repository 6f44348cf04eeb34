//! The host agent: turns directives into running containers.
//!
//! An [`Agent`] is titus-core's [`HostAgent`](titus_core::agent::HostAgent) with hands: a container runtime, a network,
//! images, a journal, and a link to the control plane. It can be killed at any moment: containers run on, and the next
//! agent on the same folders takes them over.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use titus_agent::executor::{Defaults, Parts};
//! use titus_agent::link::{ControlLink, Hold, LinkError};
//! use titus_agent::{Agent, clock::Clock, host, images::FakeImages, journal::Journal, metrics::Metrics};
//! use titus_core::wire::{Directive, HostReport};
//! use titus_isolation::fake::FakeRuntime;
//! use titus_net::{FakeHost, HostNetwork, Network};
//!
//! /// A control plane that wants nothing, and keeps the last report.
//! struct Idle(Mutex<Option<HostReport>>);
//!
//! #[async_trait::async_trait]
//! impl ControlLink for Idle {
//!     async fn sync(&self, report: HostReport, hold: Hold<'_>) -> Result<Directive, LinkError> {
//!         let (host, generation) = (report.host(), report.generation);
//!         let first = self.0.lock().unwrap().replace(report).is_none();
//!         if !first {
//!             hold.await;
//!         }
//!         Ok(Directive { host, generation: generation.max(1), tasks: vec![], specs: Default::default() })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let folder = tempfile::tempdir().unwrap();
//! let network = Network::new("demo".parse().unwrap(), "10.99.0.0/24".parse().unwrap());
//! let network = HostNetwork::new(Arc::new(FakeHost::trusting().datapath(network)), std::time::Duration::ZERO);
//! network.setup().await.unwrap();
//! let parts = Parts {
//!     runtime: Arc::new(FakeRuntime::new()),
//!     network: Arc::new(network),
//!     images: Arc::new(FakeImages),
//!     journal: Journal::open(folder.path().join("journal")).unwrap(),
//!     logs: folder.path().join("logs"),
//!     defaults: Defaults::default(),
//!     clock: Clock::system(),
//! };
//! let spec = host::this_host(host::HostOptions::default(), folder.path());
//! let agent = Agent::start(spec, Default::default(), parts, Metrics::default()).await.unwrap();
//! let link = Arc::new(Idle(Mutex::new(None)));
//! let (stop, stopped) = tokio::sync::watch::channel(false);
//! let running = tokio::spawn(agent.run(link.clone(), stopped));
//! while link.0.lock().unwrap().as_ref().is_none_or(|report| report.generation == 0) {
//!     tokio::time::sleep(std::time::Duration::from_millis(5)).await;
//! }
//! stop.send_replace(true);
//! running.await.unwrap();
//! # });
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`agent`] | the loop: reports up, directives down |
//! | [`executor`] | performs commands, and finds what an earlier agent left |
//! | [`journal`] | what must outlive the process: one file a container |
//! | [`link`] | the seam to the control plane |
//! | [`images`] | the seam to images |
//! | [`logs`] | reads log files while they grow and rotate |
//! | [`host`], [`clock`], [`metrics`] | what this machine has, the time, what is measured |

pub mod agent;
pub mod clock;
mod error;
pub mod executor;
pub mod host;
pub mod images;
pub mod journal;
pub mod link;
pub mod logs;
pub mod metrics;

pub use agent::Agent;
pub use error::Error;
