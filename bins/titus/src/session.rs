//! What every command is given: the settings, the printer, and the server on demand.

use crate::api::Api;
use crate::cli::GlobalArgs;
use crate::config::{self, Config};
use crate::exit::CliError;
use crate::output::{Format, Printer};

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: Config,
}

impl Session {
    pub(crate) fn new(args: &GlobalArgs) -> Result<Self, CliError> {
        let config = Config::new(args, config::default_file().as_deref())?;
        Ok(Self { config })
    }

    pub(crate) fn api(&self) -> Result<Api, CliError> {
        Api::new(&self.config)
    }

    /// Prints as the user wants it, or as the command does by default.
    pub(crate) fn printer(&self, default: Format) -> Printer {
        Printer::new(self.config.output.unwrap_or(default))
    }
}
