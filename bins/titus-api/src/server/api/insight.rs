//! Logs, launch stages, and why a task waits.

use std::sync::{Arc, PoisonError};

use titus_core::schedule::PlacementReport;
use titus_core::spec::{JobSpec, WarningKind};
use titus_core::task::TaskState;
use titus_store::controller::WarmView;
use tokio::sync::mpsc;

use super::Api;
use super::find::{Known, job_id};
use crate::convert::{launch_stages, millis, warning_to_proto};
use crate::server::context::CallContext;
use crate::server::error::{ApiError, ErrorKind};
use crate::server::logs::{LogPiece, LogQuery, LogStream};
use crate::v1;

/// What a log stream carries.
pub type LogStreamer = mpsc::Receiver<Result<v1::LogChunk, ApiError>>;

/// Pieces that wait for a slow client; each has at most 64 KiB.
const BUFFER: usize = 4;

impl Api {
    /// Streams a task's log.
    ///
    /// # Errors
    /// A task that nobody knows or that was never placed; a stream that does not exist; a server that is not ready.
    pub async fn read_logs(
        self: &Arc<Self>,
        context: &CallContext,
        request: v1::ReadLogsRequest,
    ) -> Result<LogStreamer, ApiError> {
        let stream = match v1::LogStream::try_from(request.stream) {
            Ok(v1::LogStream::Stderr) => LogStream::Stderr,
            Ok(v1::LogStream::Stdout | v1::LogStream::Unspecified) => LogStream::Stdout,
            Err(_) => return Err(ApiError::invalid("stream must be STDOUT or STDERR")),
        };
        let (_, known) = self.task_named(context, &request.task_id).await?;
        if known.hot.host.is_none() {
            let message = format!("task {} has not run on any host: it has no logs", known.hot.id);
            return Err(ApiError::new(ErrorKind::TaskNotFound, message));
        }
        let query = LogQuery {
            stream,
            tail: request.tail_lines,
            follow: request.follow,
        };
        Ok(self.stream_log(&known, query))
    }

    fn stream_log(self: &Arc<Self>, known: &Known, query: LogQuery) -> LogStreamer {
        let (pieces_to, mut pieces) = mpsc::channel(BUFFER);
        let (to, stream) = mpsc::channel(BUFFER);
        let source = Arc::clone(&self.parts.logs);
        let hot = known.hot;
        tokio::spawn(async move {
            let read = async {
                let ended = source.read(hot, query, pieces_to).await;
                (ended, ())
            };
            let forward = async {
                while let Some(piece) = pieces.recv().await {
                    if to.send(Ok(chunk(piece))).await.is_err() {
                        break;
                    }
                }
                // Closing the channel is how the source learns that nobody listens any more.
                drop(pieces);
            };
            let ((ended, ()), ()) = tokio::join!(read, forward);
            if let Err(error) = ended {
                let _ = to.send(Err(error)).await;
            }
        });
        stream
    }

    /// When each stage of a task's launch was reached.
    ///
    /// # Errors
    /// A task that nobody knows; a server that is not ready.
    pub async fn launch_stages(
        &self,
        context: &CallContext,
        task: &str,
    ) -> Result<v1::LaunchStages, ApiError> {
        Ok(launch_stages(&self.task_named(context, task).await?.1.hot))
    }

    /// Why a task waits, or that it does not.
    ///
    /// # Errors
    /// A task that nobody knows; a server that is not ready.
    pub async fn explain_placement(
        &self,
        context: &CallContext,
        task: &str,
    ) -> Result<v1::PlacementExplanation, ApiError> {
        let (warm, known) = self.task_named(context, task).await?;
        let mut answer = v1::PlacementExplanation {
            task_id: known.hot.id.to_string(),
            host_id: known.hot.host.map_or_else(String::new, |host| host.to_string()),
            ..Default::default()
        };
        if known.hot.state != TaskState::Accepted {
            answer.summary = placed_summary(&known);
            return Ok(answer);
        }
        answer.waiting_since_ms = known.hot.times.queued.map_or(0, millis);
        answer.not_before_ms = known.hot.not_before.map_or(0, millis);
        self.queue_place(&warm, &known, &mut answer);
        let waiting = self
            .parts
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&known.job.id)
            .cloned();
        answer.summary = match &waiting {
            Some(waiting) => {
                report_to(&waiting.report, &mut answer);
                let place = place_summary(&answer);
                format!("The task found no host: {}.{place}", waiting.report)
            }
            None if known.hot.not_before.is_some_and(|at| at > self.parts.clock.now()) => {
                "The task replaces one that failed, and waits for its back-off to pass.".to_owned()
            }
            None => format!("The task has not been looked at yet.{}", place_summary(&answer)),
        };
        Ok(answer)
    }

    /// Its place among the tasks of its group and shard that may be placed now.
    fn queue_place(&self, warm: &WarmView, known: &Known, answer: &mut v1::PlacementExplanation) {
        let (shard, group) = (known.job.spec.shard(), known.job.spec.capacity_group());
        let now = self.parts.clock.now();
        warm.with(|view| {
            let waiting = view.pending(|s| s == shard, now);
            for task in waiting.filter(|task| task.job.spec.capacity_group() == group) {
                answer.queue_length += 1;
                if task.task == known.hot.id {
                    answer.queue_position = answer.queue_length;
                }
            }
        });
    }

    /// What of an accepted job has no effect.
    ///
    /// # Errors
    /// A job that nobody knows; a server that is not ready.
    pub async fn job_warnings(&self, context: &CallContext, job: &str) -> Result<v1::Warnings, ApiError> {
        let id = job_id(job)?;
        let warm = self.fresh(context).await?;
        let job = self
            .job_record(&warm, id)
            .await?
            .ok_or_else(|| ApiError::no_job(&id.to_string()))?;
        let again = JobSpec::parse(job.spec.request().clone(), &self.parts.limits);
        let found = again.map_or_else(|_| Vec::new(), |(_, warnings)| warnings);
        let lasting = found
            .iter()
            .filter(|warning| warning.kind == WarningKind::NoEffect);
        Ok(v1::Warnings {
            warnings: lasting.map(warning_to_proto).collect(),
        })
    }
}

/// The counts of the planner's last look: with the feasible hosts they add up to all that it saw.
fn report_to(report: &PlacementReport, answer: &mut v1::PlacementExplanation) {
    let refused: u64 = report.rejections.iter().map(|rejection| rejection.hosts).sum();
    answer.hosts_seen = report.hosts;
    answer.feasible_hosts = report.hosts.saturating_sub(refused);
    answer.looked_ms = millis(report.at);
    answer.rejections = report
        .rejections
        .iter()
        .map(|rejection| v1::Rejection {
            filter: rejection.filter.clone(),
            reason: rejection.reason.clone(),
            hosts: rejection.hosts,
            asked: rejection.asked,
            best: rejection.best,
        })
        .collect();
}

fn place_summary(answer: &v1::PlacementExplanation) -> String {
    match answer.queue_position {
        0 => String::new(),
        place => format!(" Queue position {place} of {}.", answer.queue_length),
    }
}

fn placed_summary(known: &Known) -> String {
    let state = known.hot.state.name();
    match known.hot.host {
        Some(host) => format!("The task is {state} on {host}."),
        None => format!("The task is {state} and was never placed."),
    }
}

fn chunk(piece: LogPiece) -> v1::LogChunk {
    match piece {
        LogPiece::Bytes(bytes) => v1::LogChunk {
            data: bytes.into(),
            gap: false,
        },
        LogPiece::Gap => v1::LogChunk {
            data: Vec::new(),
            gap: true,
        },
    }
}
