//! What the server says about itself.

use titus_core::task::TaskState;

use super::Api;
use crate::convert::millis;
use crate::{v1, v3};

impl Api {
    /// Version, uptime, what is in use and how much there is; answered also while the server is not ready.
    #[must_use]
    pub fn server_status(&self) -> v1::ServerStatus {
        let about = &self.parts.about;
        let mut status = v1::ServerStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: millis(self.started),
            uptime_ms: self.uptime_ms(),
            cell: about.cell.clone(),
            store: about.store.clone(),
            runtime: about.runtime.clone(),
            data_path: about.data_path.clone(),
            ..Default::default()
        };
        if let Some(warm) = self.live().get() {
            status.ready = true;
            warm.with(|view| {
                let counts = view.counts();
                status.hosts = u32::try_from(view.hosts().count()).unwrap_or(u32::MAX);
                status.active_jobs = u64::try_from(view.job_count()).unwrap_or(u64::MAX);
                status.active_tasks = counts.unfinished().into();
                status.waiting_tasks = counts.of(TaskState::Accepted).into();
            });
        }
        status
    }

    /// Titus's own health message.
    #[must_use]
    pub fn health(&self) -> v3::HealthCheckResponse {
        use v3::health_check_response::server_status::Status;
        use v3::health_check_response::{Details, ServerStatus, ServingStatus};
        let ready = self.live().get().is_some();
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        let started = self.started.as_millis();
        let uptime = self.uptime_ms();
        let details = Details {
            status: status.into(),
            cell: self.parts.about.cell.clone(),
            leader: ready,
            active: ready,
            activation_timestamp: Some(pbjson_types::Timestamp {
                seconds: started.div_euclid(1_000),
                nanos: i32::try_from(started.rem_euclid(1_000) * 1_000_000).unwrap_or(0),
            }),
            uptime: Some(pbjson_types::Duration {
                seconds: i64::try_from(uptime / 1_000).unwrap_or(i64::MAX),
                nanos: i32::try_from(uptime % 1_000 * 1_000_000).unwrap_or(0),
            }),
            ..Default::default()
        };
        v3::HealthCheckResponse {
            status: status.into(),
            details: vec![ServerStatus {
                status: Some(Status::Details(details)),
            }],
        }
    }

    fn uptime_ms(&self) -> u64 {
        let uptime = self.parts.clock.elapsed().saturating_sub(self.started_elapsed);
        u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX)
    }
}
