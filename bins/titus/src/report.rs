//! Errors on standard error: drawn by miette, in colour where the terminal has it.

use std::io::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme};

use crate::exit::{CliError, Exit};
use crate::terminal;

pub(crate) fn print(error: &CliError) {
    if error.exit == Exit::Silent {
        return;
    }
    let text = render(error, terminal::error_has_color());
    // Nobody is left to tell when standard error is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The parts of an error, then the error itself, so that what to do comes last.
pub(crate) fn render(error: &CliError, color: bool) -> String {
    let mut theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    theme.characters.error = "error:".to_owned();
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_wrap_lines(false);
    let mut text = String::new();
    for part in error.parts() {
        text += &one(&handler, part);
        text += "\n";
    }
    text + &one(&handler, error)
}

fn one(handler: &GraphicalReportHandler, error: &CliError) -> String {
    let mut text = String::new();
    match handler.render_report(&mut text, error) {
        Ok(()) => text.trim_start().to_owned(),
        Err(_) => format!("error: {error}\n"),
    }
}
