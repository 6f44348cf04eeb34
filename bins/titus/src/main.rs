//! `titus`: the command line of the platform.
//!
//! Data goes to standard output, messages and progress to standard error. The exit codes are those of [`exit::Exit`].

mod api;
mod cli;
mod completion;
mod config;
mod dev;
mod dispatch;
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
    match cli.command {
        Command::Completion(args) => completion::run(&args),
        Command::Dev(args) => dev::run(&args),
        verb => dispatch::run(&cli.global, verb),
    }
}
