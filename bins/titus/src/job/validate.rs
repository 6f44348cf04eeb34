//! `titus job validate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use titus_api::convert::descriptor_from_request;
use titus_core::spec::{JobKind, JobSpec, Limits, Warning, WarningKind};

use crate::exit::CliError;
use crate::jobfile::JobFile;
use crate::output::Format;
use crate::output::units::count;
use crate::session::Session;
use crate::terminal::{self, plain};

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The job file, in YAML or JSON; `-` for standard input
    file: PathBuf,
    /// Whose limits to hold it against
    #[arg(long, value_enum, default_value = "dev")]
    profile: Profile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// Those of `titus dev`: no minima
    Dev,
    /// Those of Titus
    Titus,
}

pub(crate) fn run(session: &Session, args: &ValidateArgs) -> Result<(), CliError> {
    let file = JobFile::read(&args.file)?;
    let limits = match args.profile {
        Profile::Dev => Limits::dev(),
        Profile::Titus => Limits::titus(),
    };
    let (spec, warnings) =
        JobSpec::parse(file.request.clone(), &limits).map_err(|violations| file.refused(&violations.0))?;
    for warning in &warnings {
        terminal::say(&told(warning));
    }
    let verdict = format!("{}: a valid {}\n", plain(file.name()), kind(&spec));
    session.printer(Format::Table).show(
        &descriptor_from_request(spec.request()),
        |_| verdict,
        || vec![plain(spec.application()).into_owned()],
    )
}

/// A warning in one line.
pub(super) fn told(warning: &Warning) -> String {
    let kind = match warning.kind {
        WarningKind::Defaulted => "note",
        WarningKind::Adjusted | WarningKind::NoEffect => "warning",
    };
    format!("{kind}: {}", plain(&warning.to_string()))
}

fn kind(spec: &JobSpec) -> String {
    let tasks = count(spec.capacity().desired, "task");
    match spec.kind() {
        JobKind::Batch(_) => format!("batch job of {tasks}"),
        JobKind::Service(_) => format!("service job of {tasks}"),
    }
}
