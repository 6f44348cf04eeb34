//! `titus`: the command line of the platform.
//!
//! Data goes to standard output, messages and progress to standard error. The exit codes are those of [`exit::Exit`].

mod api;
mod cli;
mod completion;
mod config;
mod dev;
mod events;
mod exit;
mod host;
mod ids;
mod job;
mod jobfile;
mod output;
mod report;
mod session;
mod task;
mod terminal;
mod version;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::exit::{CliError, Exit};
use crate::session::Session;

fn main() -> ExitCode {
    titus_isolation::init::run_if_asked();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) => {
            let code = if shown.use_stderr() { Exit::Usage.code() } else { 0 };
            let _ = shown.print();
            return ExitCode::from(code);
        }
    };
    terminal::set_color(cli.global.color);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::print(&error);
            ExitCode::from(error.exit.code())
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let Cli { global, command } = cli;
    if let Command::Completion(args) = command {
        return completion::run(&args);
    }
    if let Command::Dev(args) = command {
        return dev::run(&args);
    }
    let session = Session::new(&global)?;
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
        Command::Dev(args) => dev::run(&args),
        Command::Completion(args) => completion::run(&args),
        Command::Version => version::run(session).await,
    }
}
