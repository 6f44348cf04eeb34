//! The command line's words.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::completion::CompletionArgs;
use crate::dev::DevArgs;
use crate::events::EventsArgs;
use crate::host::HostVerb;
use crate::job::JobVerb;
use crate::output::Format;
use crate::task::TaskVerb;

/// Runs jobs in containers, and tells what becomes of them.
#[derive(Debug, Parser)]
#[command(name = "titus", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the whole platform in this process, for development
    Dev(Box<DevArgs>),
    /// Jobs: write, check, run, list, look at, scale, stop
    #[command(subcommand)]
    Job(JobVerb),
    /// Tasks: list, look at, read logs, stop
    #[command(subcommand)]
    Task(TaskVerb),
    /// Hosts: list, look at
    #[command(subcommand)]
    Host(HostVerb),
    /// Prints what happens, one JSON object a line
    Events(EventsArgs),
    /// Prints the completions of a shell
    Completion(CompletionArgs),
    /// Prints the versions of this program and of the server
    Version,
}

/// What every command takes. Flags come before environment variables, these before the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GlobalArgs {
    /// The server, as HOST:PORT [default: 127.0.0.1:7104]
    #[arg(
        long,
        global = true,
        env = "TITUS_ADDR",
        value_name = "ADDRESS",
        hide_env_values = true
    )]
    pub(crate) addr: Option<String>,
    /// How to print data [default: table]
    #[arg(
        short,
        long,
        global = true,
        env = "TITUS_OUTPUT",
        value_enum,
        value_name = "FORMAT",
        hide_env_values = true
    )]
    pub(crate) output: Option<Format>,
    /// When to use colour [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub(crate) color: Option<Color>,
    /// The configuration file [default: titus/config.toml in $XDG_CONFIG_HOME or ~/.config]
    #[arg(
        long,
        global = true,
        env = "TITUS_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// Why you do it, for the server's records
    #[arg(
        long,
        global = true,
        env = "TITUS_REASON",
        value_name = "TEXT",
        hide_env_values = true
    )]
    pub(crate) reason: Option<String>,
    /// Talk in plaintext to a server on another machine
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Color {
    /// At a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[cfg(test)]
mod tests;
