//! The seam to task logs: whoever runs the tasks holds the bytes.

use std::fmt;

use async_trait::async_trait;
use prost::bytes::Bytes;
use titus_core::task::TaskHot;
use tokio::sync::mpsc;

use super::error::{ApiError, ErrorKind};

/// Which of a task's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What to read of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// Which output.
    pub stream: LogStream,
    /// Only the last so many lines of what is there at the start; `None` for all that is kept.
    pub tail: Option<u64>,
    /// Go on with what comes, until the task has ended.
    pub follow: bool,
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPiece {
    /// Bytes as written, at most 64 KiB.
    Bytes(Bytes),
    /// Older parts were rotated away before they could be read.
    Gap,
}

/// Reads the logs of tasks.
#[async_trait]
pub trait LogSource: Send + Sync + fmt::Debug {
    /// Sends a log into `to`, and returns once it has ended or nobody receives any more. `task` has a host.
    ///
    /// # Errors
    /// Why the log cannot be read, or cannot be read on; shown to the client.
    async fn read(&self, task: TaskHot, query: LogQuery, to: mpsc::Sender<LogPiece>) -> Result<(), ApiError>;
}

/// For a process that reaches no logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLogs;

#[async_trait]
impl LogSource for NoLogs {
    async fn read(&self, task: TaskHot, _: LogQuery, _: mpsc::Sender<LogPiece>) -> Result<(), ApiError> {
        let host = task
            .host
            .map_or_else(|| "no host".to_owned(), |host| host.to_string());
        let message = format!("this server does not serve logs: read them on {host}");
        Err(ApiError::new(ErrorKind::NotOffered, message))
    }
}
