//! `titus job`.

mod init;
mod list;
mod run;
mod scale;
mod status;
mod stop;
mod validate;
pub(crate) mod view;
mod watch;

use clap::Subcommand;

use crate::api::Api;
use crate::exit::CliError;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// Writes an example of a job file, with a comment on every part
    Init(init::InitArgs),
    /// Checks a job file without a server
    Validate(validate::ValidateArgs),
    /// Submits a job and waits until its tasks run
    Run(run::RunArgs),
    /// Lists jobs
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Shows a job, its tasks, and why some of them wait
    Status(status::StatusArgs),
    /// Changes how many tasks a service job has
    Scale(scale::ScaleArgs),
    /// Stops jobs and all their tasks
    Stop(stop::StopArgs),
}

pub(crate) async fn run(session: &Session, verb: JobVerb) -> Result<(), CliError> {
    match verb {
        JobVerb::Init(args) => init::run(&args),
        JobVerb::Validate(args) => validate::run(session, &args),
        JobVerb::Run(args) => run::run(session, args).await,
        JobVerb::List(args) => list::run(session, args).await,
        JobVerb::Status(args) => status::run(session, args).await,
        JobVerb::Scale(args) => scale::run(session, args).await,
        JobVerb::Stop(args) => stop::run(session, args).await,
    }
}

/// Fails where there is no such job: a listing of the tasks of none would be empty, and say nothing.
pub(crate) async fn exists(api: &Api, id: &str) -> Result<(), CliError> {
    status::fetch(api, id).await.map(|_| ())
}
