//! `titus job init`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use titus_core::spec::example;

use crate::exit::CliError;
use crate::output::{Format, Printer};
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where to write it; standard output when left out
    file: Option<PathBuf>,
    /// A service job, whose tasks stay, in place of a batch job
    #[arg(long)]
    service: bool,
    /// Write over a file that is there
    #[arg(long, requires = "file")]
    force: bool,
}

pub(crate) fn run(args: &InitArgs) -> Result<(), CliError> {
    let text = if args.service {
        example::SERVICE
    } else {
        example::BATCH
    };
    let Some(path) = &args.file else {
        return Printer::new(Format::Table).text(text);
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let shown = path.display();
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| {
        let help = match e.kind() {
            std::io::ErrorKind::AlreadyExists => "name another file, or say --force to write over it",
            _ => "name a file that you may write",
        };
        CliError::usage(format!("cannot write {shown}: {e}"), help)
    })?;
    terminal::say(&format!("{shown} is written. Next:  titus job run {shown}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_kept_unless_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.yaml");
        let mut args = InitArgs {
            file: Some(path.clone()),
            service: false,
            force: false,
        };
        run(&args).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), example::BATCH);
        args.service = true;
        let refused = run(&args).unwrap_err();
        assert!(refused.help_text().unwrap().contains("--force"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), example::BATCH);
        args.force = true;
        run(&args).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), example::SERVICE);
    }
}
