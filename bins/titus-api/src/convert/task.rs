//! `Task`: a task's records as clients see it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use titus_core::host::HostRecord;
use titus_core::job::JobRecord;
use titus_core::spec::JobKind;
use titus_core::task::{ReasonCode, TaskHot, TaskState};
use titus_core::time::Timestamp;

use super::job::millis;
use crate::{v1, v3};

/// All that is known of one task.
#[derive(Debug, Clone, Copy)]
pub struct TaskFacts<'a> {
    /// Its hot record.
    pub hot: &'a TaskHot,
    /// Its job.
    pub job: &'a JobRecord,
    /// Its host, where it has one that is still known.
    pub host: Option<&'a HostRecord>,
    /// Why it is in its state, in full; empty for none.
    pub message: &'a str,
    /// The URL below which this server answers, without a slash at its end.
    pub base_url: &'a str,
}

/// A task with its context, its history and where its logs are.
#[must_use]
pub fn task_to_proto(facts: &TaskFacts<'_>) -> v3::Task {
    let hot = facts.hot;
    let url = format!("{}/api/v1/tasks/{}/logs", facts.base_url, hot.id);
    v3::Task {
        id: hot.id.to_string(),
        job_id: hot.job.to_string(),
        task_context: context(facts),
        status: Some(current(facts)),
        status_history: history(hot),
        log_location: Some(v3::LogLocation {
            ui: Some(v3::log_location::Ui { url: url.clone() }),
            live_stream: Some(v3::log_location::LiveStream {
                url: format!("{url}?follow=true"),
            }),
            s3: None,
        }),
        migration_details: Some(v3::MigrationDetails::default()),
        attributes: BTreeMap::new(),
        version: Some(v3::Version {
            timestamp: hot.version,
        }),
    }
}

/// The launch stages, every one of them, in order.
#[must_use]
pub fn launch_stages(hot: &TaskHot) -> v1::LaunchStages {
    let stage = |(name, at): (&str, Option<Timestamp>)| v1::Stage {
        name: name.to_owned(),
        at_ms: at.map_or(0, millis),
    };
    v1::LaunchStages {
        task_id: hot.id.to_string(),
        stages: hot.times.stages().map(stage).into(),
    }
}

/// A state as Titus numbers it.
#[must_use]
pub const fn task_state(state: TaskState) -> v3::task_status::TaskState {
    use v3::task_status::TaskState as Wire;
    match state {
        TaskState::Accepted => Wire::Accepted,
        TaskState::Launched => Wire::Launched,
        TaskState::StartInitiated => Wire::StartInitiated,
        TaskState::Started => Wire::Started,
        TaskState::KillInitiated => Wire::KillInitiated,
        TaskState::Disconnected => Wire::Disconnected,
        TaskState::Finished => Wire::Finished,
    }
}

fn current(facts: &TaskFacts<'_>) -> v3::TaskStatus {
    let hot = facts.hot;
    let told = if facts.message.is_empty() {
        hot.exit.map_or_else(String::new, |exit| exit.to_string())
    } else {
        facts.message.to_owned()
    };
    v3::TaskStatus {
        reason_message: told,
        ..status(hot.state, hot.reason, hot.since().unwrap_or_default())
    }
}

/// Every state before the current one. A state that a started task skipped is there too, as `filledIn`.
fn history(hot: &TaskHot) -> Vec<v3::TaskStatus> {
    let times = &hot.times;
    let skipped = |at: Option<Timestamp>| match (at, times.started) {
        (Some(at), _) => Some((ReasonCode::Normal, at)),
        (None, Some(started)) => Some((ReasonCode::FilledIn, started)),
        (None, None) => None,
    };
    let kill_reason = hot.kill_reason.unwrap_or(ReasonCode::Killed);
    let reached = [
        (TaskState::Accepted, skipped(times.queued)),
        (TaskState::Launched, skipped(times.placed)),
        (TaskState::StartInitiated, skipped(times.preparing)),
        (
            TaskState::Started,
            times.started.map(|at| (ReasonCode::Normal, at)),
        ),
        (TaskState::KillInitiated, times.killed.map(|at| (kill_reason, at))),
    ];
    reached
        .into_iter()
        .filter(|(state, _)| *state < hot.state)
        .filter_map(|(state, seen)| seen.map(|(reason, at)| status(state, reason, at)))
        .collect()
}

fn status(state: TaskState, reason: ReasonCode, at: Timestamp) -> v3::TaskStatus {
    v3::TaskStatus {
        state: task_state(state).into(),
        reason_code: reason.code().to_owned(),
        reason_message: String::new(),
        timestamp: millis(at),
        container_state: Vec::new(),
    }
}

fn context(facts: &TaskFacts<'_>) -> BTreeMap<String, String> {
    let hot = facts.hot;
    let mut context = BTreeMap::new();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            context.insert(key.to_owned(), value);
        }
    };
    put("v2.taskInstanceId", hot.id.to_string());
    put("task.originalId", hot.original.to_string());
    put("task.resubmitNumber", hot.attempts.resubmits.to_string());
    put("task.systemResubmitNumber", hot.attempts.system.to_string());
    put("task.evictionResubmitNumber", hot.attempts.evictions.to_string());
    put(
        "task.resubmitOf",
        hot.resubmit_of.map_or_else(String::new, |id| id.to_string()),
    );
    if matches!(facts.job.spec.kind(), JobKind::Batch(_)) {
        put("task.index", hot.index.to_string());
    }
    if let Some(address) = hot.address {
        let family = match address {
            IpAddr::V4(_) => "task.containerIPv4",
            IpAddr::V6(_) => "task.containerIPv6",
        };
        put("task.containerIp", address.to_string());
        put(family, address.to_string());
    }
    if let Some(host) = hot.host {
        put("agent.host", host.to_string());
        put("agent.instanceId", host.to_string());
    }
    if let Some(host) = facts.host {
        put("agent.zone", host.spec.zone.clone());
        put(
            "agent.region",
            host.spec.attributes.get("region").cloned().unwrap_or_default(),
        );
        put("agent.itype", host.spec.machine_type.clone());
    }
    context
}

#[cfg(test)]
mod tests;
