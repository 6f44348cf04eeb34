//! `titus task`.

pub(crate) mod list;
mod logs;
mod status;
mod stop;
pub(crate) mod view;
pub(crate) mod why;

use clap::Subcommand;

use crate::exit::CliError;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum TaskVerb {
    /// Lists tasks
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Shows where a task has been, when, and why; or what it waits for
    Status(status::StatusArgs),
    /// Prints what a task has written
    Logs(logs::LogsArgs),
    /// Stops tasks; a job replaces them unless it is shrunk
    Stop(stop::StopArgs),
}

pub(crate) async fn run(session: &Session, verb: TaskVerb) -> Result<(), CliError> {
    match verb {
        TaskVerb::List(args) => list::run(session, args).await,
        TaskVerb::Status(args) => status::run(session, args).await,
        TaskVerb::Logs(args) => logs::run(session, args).await,
        TaskVerb::Stop(args) => stop::run(session, args).await,
    }
}
