//! What standard input, output and error are, and what may be done with them.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};

use anstream::ColorChoice;

use crate::cli::Color;
use crate::exit::CliError;

/// Fixes the use of colour: an explicit choice first, then `NO_COLOR` and `CLICOLOR_FORCE`, then the terminal.
pub(crate) fn set_color(choice: Option<Color>) {
    let choice = match choice {
        Some(Color::Always) => ColorChoice::Always,
        Some(Color::Never) => ColorChoice::Never,
        Some(Color::Auto) | None => ColorChoice::Auto,
    };
    choice.write_global();
}

pub(crate) fn error_has_color() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// True where progress may be drawn.
pub(crate) fn shows_progress() -> bool {
    std::io::stderr().is_terminal()
}

/// One line for people, on standard error.
pub(crate) fn say(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Asks before something is destroyed. Without a terminal to ask on, only `--yes` will do.
pub(crate) fn confirm(yes: bool, question: &str) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CliError::usage(
            format!("{question} There is no terminal to ask on"),
            "say --yes if you mean it",
        ));
    }
    let _ = write!(anstream::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    stdin
        .read_line(&mut answer)
        .map_err(|e| CliError::io("cannot read your answer", &e))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(CliError::usage("nothing was done", "answer y, or say --yes"))
    }
}

/// A text from outside as a terminal may show it: control characters escaped.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.chars()
            .flat_map(|c| {
                let escaped = c.is_control().then(|| c.escape_default());
                let kept = (!c.is_control()).then_some(c);
                escaped.into_iter().flatten().chain(kept)
            })
            .collect::<String>()
            .into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(plain("héllo"), "héllo");
        assert_eq!(plain("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
    }

    #[test]
    fn without_a_terminal_only_yes_destroys() {
        assert!(confirm(true, "Stop it?").is_ok());
        if !std::io::stdin().is_terminal() {
            let refused = confirm(false, "Stop it?").unwrap_err();
            assert_eq!(refused.exit, crate::exit::Exit::Usage);
            assert_eq!(refused.help_text(), Some("say --yes if you mean it"));
        }
    }
}
