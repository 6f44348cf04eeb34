//! `titus task logs`.

use clap::Args;
use titus_api::v1;
use tokio_stream::StreamExt as _;

use crate::exit::CliError;
use crate::ids::{self, Kind};
use crate::output::Format;
use crate::session::Session;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The task's id, or the beginning of it
    task: String,
    /// Go on until the task ends
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines of what is there
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Standard error in place of standard output
    #[arg(long)]
    stderr: bool,
}

pub(crate) async fn run(session: &Session, args: LogsArgs) -> Result<(), CliError> {
    let api = session.api()?;
    let task_id = ids::resolve(&api, Kind::Task, &args.task).await?;
    let stream = if args.stderr {
        v1::LogStream::Stderr
    } else {
        v1::LogStream::Stdout
    };
    let request = v1::ReadLogsRequest {
        task_id,
        stream: stream.into(),
        follow: args.follow,
        tail_lines: args.tail,
    };
    let opened = api.insight().read_logs(request).await;
    let mut chunks = opened.map_err(api.failed("read the log"))?.into_inner();
    // A log is bytes, in whatever format data is asked for.
    let printer = session.printer(Format::Table);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(api.failed("read the log"))?;
        if chunk.gap {
            terminal::say("note: older lines are gone, the log goes on after them");
        }
        printer.bytes(&chunk.data)?;
    }
    Ok(())
}
