//! One port for gRPC, REST, health and metrics.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tonic_health::server::HealthReporter;

use super::api::{Api, Parts};
use super::layer::{Gate, gate};
use super::metrics::ApiMetrics;
use super::rest::Rest;
use super::{grpc, rest};

/// How much the server takes on at once. The defaults suit one machine and a few hundred clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Calls in flight; further ones are refused.
    pub calls: usize,
    /// Open connections; further ones are closed at once.
    pub connections: usize,
    /// Streams of one connection.
    pub streams: u32,
    /// The longest that one call may take to begin its answer.
    pub timeout: Duration,
    /// How long a stop waits for calls that are being answered.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            calls: 1_024,
            connections: 4_096,
            streams: 256,
            timeout: Duration::from_secs(60),
            grace: Duration::from_secs(5),
        }
    }
}

/// The server, ready to listen.
pub struct Server {
    api: Arc<Api>,
    router: Router,
    reporter: HealthReporter,
    metrics: ApiMetrics,
    bounds: Bounds,
}

impl Server {
    /// A server over these parts. `metrics` are registered in `registry`, which `/metrics` shows.
    #[must_use]
    pub fn new(parts: Parts, metrics: ApiMetrics, registry: Arc<Registry>, bounds: Bounds) -> Self {
        let clock = Arc::clone(&parts.clock);
        let api = Arc::new(Api::new(parts));
        let (grpc, reporter) = grpc::routes(Arc::clone(&api));
        let rest = rest::routes(Rest {
            api: Arc::clone(&api),
            registry,
        });
        let state = Gate {
            slots: Arc::new(Semaphore::new(bounds.calls)),
            timeout: bounds.timeout,
            metrics: metrics.clone(),
            clock,
        };
        let router = rest
            .merge(grpc.into_axum_router().reset_fallback())
            .layer(from_fn_with_state(state, gate));
        Self {
            api,
            router,
            reporter,
            metrics,
            bounds,
        }
    }

    /// The operations, for callers in the same process.
    #[must_use]
    pub const fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// Everything that is served, for an embedder's own listener.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves until `stop` resolves, then lets calls end for a while. Streams end with it.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let health = tokio::spawn(report_health(self.reporter.clone(), Arc::clone(&self.api)));
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.bounds.connections));
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer)) => self.connect(stream, peer, &places, &graceful),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        health.abort();
        if tokio::time::timeout(self.bounds.grace, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::info!("connections were still busy when the server stopped");
        }
    }

    fn connect(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        places: &Arc<Semaphore>,
        graceful: &GracefulShutdown,
    ) {
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            self.metrics.refused_connections.inc();
            tracing::warn!(%peer, "too many connections are open: this one is closed");
            return;
        };
        // Small answers go out at once; a socket that refuses is served all the same.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(self.router.clone());
        let connection = self
            .protocol()
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let served = graceful.watch(connection);
        let open = self.metrics.connections.clone();
        tokio::spawn(async move {
            open.inc();
            if let Err(error) = served.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            open.dec();
            drop(place);
        });
    }

    fn protocol(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .max_buf_size(64 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(self.bounds.streams)
            .max_header_list_size(16 << 10);
        builder
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("api", &self.api)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

/// Tells `grpc.health.v1` when the view has become warm.
async fn report_health(reporter: HealthReporter, api: Arc<Api>) {
    use tonic_health::ServingStatus::{NotServing, Serving};
    let mut warm = api.live().get().is_some();
    loop {
        let status = if warm { Serving } else { NotServing };
        for name in grpc::service_names().iter().map(String::as_str).chain([""]) {
            reporter.set_service_status(name, status).await;
        }
        if !api.live().turned(warm).await {
            return;
        }
        warm = !warm;
    }
}
