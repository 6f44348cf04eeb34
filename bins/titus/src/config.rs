//! Where settings come from: flags, environment, a file, defaults, in this order.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::{Color, GlobalArgs};
use crate::exit::CliError;
use crate::output::Format;

const DEFAULT_ADDR: &str = "127.0.0.1:7104";

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) addr: String,
    /// None where nobody said: each command has its own default.
    pub(crate) output: Option<Format>,
    pub(crate) color: Color,
    pub(crate) reason: Option<String>,
    pub(crate) insecure: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    addr: Option<String>,
    output: Option<Format>,
    color: Option<Color>,
}

impl Config {
    /// Settles the settings; `default_file` may be missing, a file that was named may not.
    pub(crate) fn new(args: &GlobalArgs, default_file: Option<&Path>) -> Result<Self, CliError> {
        let file = match (&args.config, default_file) {
            (Some(named), _) => read(named)?,
            (None, Some(path)) if path.exists() => read(path)?,
            _ => File::default(),
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        Ok(Self {
            addr: given(&args.addr)
                .or(file.addr)
                .unwrap_or_else(|| DEFAULT_ADDR.to_owned()),
            output: args.output.or(file.output),
            color: args.color.or(file.color).unwrap_or_default(),
            reason: given(&args.reason),
            insecure: args.insecure,
        })
    }
}

/// `titus/config.toml` where the XDG base directories say.
pub(crate) fn default_file() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(base.join("titus/config.toml"))
}

fn read(path: &Path) -> Result<File, CliError> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        CliError::usage(
            format!("cannot read the configuration file {}: {e}", path.display()),
            "name another one with --config",
        )
    })?;
    toml::from_str(&text).map_err(|e| {
        CliError::usage(
            format!(
                "the configuration file {} is wrong: {}",
                path.display(),
                e.message()
            ),
            "it may set addr, output and color, as  output = \"json\"",
        )
        .at(
            miette::NamedSource::new(path.display().to_string(), text),
            e.span().unwrap_or(0..0),
            "here",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_come_before_the_file_and_the_file_before_defaults() {
        let file = file("addr = \"10.0.0.1:1\"\noutput = \"yaml\"\ncolor = \"never\"\n");
        let none = GlobalArgs::default();
        let nothing = Config::new(&none, None).unwrap();
        assert_eq!(
            (nothing.addr.as_str(), nothing.output, nothing.color),
            (DEFAULT_ADDR, None, Color::Auto)
        );
        let from_file = Config::new(&none, Some(file.path())).unwrap();
        assert_eq!(
            (from_file.addr.as_str(), from_file.output, from_file.color),
            ("10.0.0.1:1", Some(Format::Yaml), Color::Never)
        );
        let flags = GlobalArgs {
            addr: Some("h:2".into()),
            output: Some(Format::Json),
            color: Some(Color::Always),
            ..GlobalArgs::default()
        };
        let from_flags = Config::new(&flags, Some(file.path())).unwrap();
        assert_eq!(
            (from_flags.addr.as_str(), from_flags.output, from_flags.color),
            ("h:2", Some(Format::Json), Color::Always)
        );
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none_and_a_default_file_may_be_missing() {
        let args = GlobalArgs {
            addr: Some(" ".into()),
            ..GlobalArgs::default()
        };
        let config = Config::new(&args, Some(Path::new("/nowhere/at/all"))).unwrap();
        assert_eq!(config.addr, DEFAULT_ADDR);
    }

    #[test]
    fn a_bad_file_is_shown_with_its_line() {
        let file = file("addr = \"h:1\"\ncolour = \"never\"\n");
        let args = GlobalArgs {
            config: Some(file.path().to_owned()),
            ..GlobalArgs::default()
        };
        let error = Config::new(&args, None).unwrap_err();
        assert_eq!(error.exit, crate::exit::Exit::Usage);
        let shown = crate::report::render(&error, false);
        assert!(
            shown.contains(":2:1]") && shown.contains("unknown field `colour`"),
            "{shown}"
        );
        let missing = GlobalArgs {
            config: Some("/nowhere/at/all".into()),
            ..GlobalArgs::default()
        };
        assert_eq!(
            Config::new(&missing, None).unwrap_err().exit,
            crate::exit::Exit::Usage
        );
    }
}
