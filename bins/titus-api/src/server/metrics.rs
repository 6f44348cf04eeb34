//! What the server counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// A call and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CallLabels {
    /// `JobManagementService/FindJobs`, or `GET /api/v3/jobs/{id}`: never a path as sent.
    pub(crate) method: String,
    /// The gRPC code or the HTTP status.
    pub(crate) code: String,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct MethodLabels {
    pub(crate) method: String,
}

/// The server's metrics, registered once.
#[derive(Debug, Clone)]
pub struct ApiMetrics {
    pub(crate) requests: Family<CallLabels, Counter>,
    pub(crate) seconds: Family<MethodLabels, Histogram, fn() -> Histogram>,
    pub(crate) in_flight: Gauge,
    pub(crate) shed: Counter,
    pub(crate) connections: Gauge,
    pub(crate) refused_connections: Counter,
}

impl ApiMetrics {
    /// Registers every metric.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(latency),
            in_flight: Gauge::default(),
            shed: Counter::default(),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("titus_api");
        registry.register(
            "requests",
            "Calls answered, by method and code",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request",
            "Time to the first byte of an answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Calls being worked on",
            metrics.in_flight.clone(),
        );
        registry.register(
            "requests_shed",
            "Calls refused because too many were in flight",
            metrics.shed.clone(),
        );
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register(
            "connections_refused",
            "Connections closed at once because too many were open",
            metrics.refused_connections.clone(),
        );
        metrics
    }
}

fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
}
