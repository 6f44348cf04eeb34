//! `titus host`.

mod list;
mod status;
mod view;

use clap::Subcommand;

use crate::exit::CliError;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum HostVerb {
    /// Lists hosts
    #[command(visible_alias = "ls")]
    List,
    /// Shows a host, what it has, and its tasks
    Status(status::StatusArgs),
}

pub(crate) async fn run(session: &Session, verb: HostVerb) -> Result<(), CliError> {
    match verb {
        HostVerb::List => list::run(session).await,
        HostVerb::Status(args) => status::run(session, args).await,
    }
}
