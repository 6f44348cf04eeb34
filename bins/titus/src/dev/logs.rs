//! Task logs, read from the files of this process's own agents.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use titus_agent::executor::Executor;
use titus_agent::logs::{self, LogChunk};
use titus_api::server::{ApiError, ErrorKind, LogPiece, LogQuery, LogSource, LogStream};
use titus_core::id::HostId;
use titus_core::task::{TaskHot, TaskState};
use tokio::sync::{mpsc, watch};

/// The executors by host.
#[derive(Debug, Default)]
pub(super) struct DevLogs(BTreeMap<HostId, Arc<Executor>>);

impl DevLogs {
    pub(super) fn add(&mut self, host: HostId, executor: Arc<Executor>) {
        self.0.insert(host, executor);
    }
}

#[async_trait]
impl LogSource for DevLogs {
    async fn read(&self, task: TaskHot, query: LogQuery, to: mpsc::Sender<LogPiece>) -> Result<(), ApiError> {
        let executor = task.host.and_then(|host| self.0.get(&host)).ok_or_else(|| {
            let host = task
                .host
                .map_or_else(|| "no host".to_owned(), |host| host.to_string());
            let message = format!(
                "the logs of task {} are on {host}, which this process does not run",
                task.id
            );
            ApiError::new(ErrorKind::TaskNotFound, message)
        })?;
        let over = || watch::channel(true).1;
        let ended = match executor.ended(task.id) {
            Some(ended) => ended,
            None if task.state == TaskState::Finished => over(),
            None => watch::channel(false).1,
        };
        let dir = executor.log_dir(task.id);
        if task.state == TaskState::Finished && !dir.exists() {
            let message = format!("the logs of task {} are not kept any more", task.id);
            return Err(ApiError::new(ErrorKind::TaskNotFound, message));
        }
        let query = logs::LogQuery {
            stream: match query.stream {
                LogStream::Stdout => logs::LogStream::Stdout,
                LogStream::Stderr => logs::LogStream::Stderr,
            },
            tail: query.tail,
            follow: query.follow,
        };
        let (out, mut chunks) = mpsc::channel(4);
        let reading = tokio::spawn(async move { logs::read_log(&dir, query, ended, out).await });
        let outcome = forward(&mut chunks, &to).await;
        reading.abort();
        outcome
    }
}

async fn forward(
    chunks: &mut mpsc::Receiver<std::io::Result<LogChunk>>,
    to: &mpsc::Sender<LogPiece>,
) -> Result<(), ApiError> {
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            () = to.closed() => return Ok(()),
        };
        let piece = match chunk {
            None => return Ok(()),
            Some(Ok(LogChunk::Bytes(bytes))) => LogPiece::Bytes(bytes),
            Some(Ok(LogChunk::Gap)) => LogPiece::Gap,
            Some(Err(error)) => {
                return Err(ApiError::new(
                    ErrorKind::Internal,
                    format!("the log cannot be read: {error}"),
                ));
            }
        };
        if to.send(piece).await.is_err() {
            return Ok(());
        }
    }
}
