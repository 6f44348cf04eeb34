//! `titus completion SHELL`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::CliError;

#[derive(Debug, Args)]
#[command(after_help = "Example:  titus completion bash > /etc/bash_completion.d/titus")]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "titus", &mut script);
    crate::output::Printer::new(crate::output::Format::Table).bytes(&script)
}
