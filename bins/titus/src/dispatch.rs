//! The verbs that talk to a server.

use crate::cli::{Command, GlobalArgs};
use crate::exit::CliError;
use crate::session::Session;
use crate::{completion, dev, events, host, job, task, terminal, version};

/// Everything that talks to a server.
pub(crate) fn run(global: &GlobalArgs, command: Command) -> Result<(), CliError> {
    let session = Session::new(global)?;
    terminal::set_color(Some(session.config.color));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::io("cannot start", &e))?;
    runtime.block_on(async {
        tokio::select! {
            done = dispatch(&session, command) => done,
            _ = tokio::signal::ctrl_c() => Err(CliError::interrupted()),
        }
    })
}

async fn dispatch(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Job(verb) => job::run(session, verb).await,
        Command::Task(verb) => task::run(session, verb).await,
        Command::Host(verb) => host::run(session, verb).await,
        Command::Events(args) => events::run(session, args).await,
        // These two need no server, so that `main` runs them without a session.
        Command::Dev(args) => dev::run(&args),
        Command::Completion(args) => completion::run(&args),
        Command::Version => version::run(session).await,
    }
}
