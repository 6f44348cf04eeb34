//! The few programs that the fake runtime knows, as steps over time.

use std::time::Duration;

use crate::runtime::ExecFailure;
use crate::spec::{SandboxSpec, Signal};

/// What a fake program does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Writes to a stream: 0 is standard output, 1 standard error.
    Write(usize, Vec<u8>),
    Sleep(Duration),
    /// Does nothing until it is told to end.
    Forever,
    /// Asks for memory without end: the limit kills it, or it goes on for ever.
    EatMemory,
    Exit(i32),
    Raise(Signal),
}

/// Reads a command. Whatever it does not know runs until it is told to end.
pub(super) fn read(spec: &SandboxSpec) -> Result<Vec<Step>, ExecFailure> {
    let args: Vec<&str> = spec.args.iter().map(String::as_str).collect();
    let command = args[0];
    if command.starts_with("/no/such") || command.starts_with("no-such") {
        let message = format!("command `{command}` not found; check its name and that the image holds it");
        return Err(ExecFailure { code: 127, message });
    }
    if command.starts_with("/etc/") {
        let message = format!("`{command}` may not be executed by this user; check its permissions");
        return Err(ExecFailure { code: 126, message });
    }
    let words: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    Ok(match (name(command), args.get(1)) {
        ("sh" | "bash", Some(&"-c")) => shell(args.get(2).unwrap_or(&""), spec),
        _ => simple(&words),
    })
}

fn name(command: &str) -> &str {
    command.rsplit('/').next().unwrap_or(command)
}

/// Commands separated by `;` or line ends; the last one's code is the script's. `&` at the end of one is its end.
fn shell(script: &str, spec: &SandboxSpec) -> Vec<Step> {
    let mut steps = Vec::new();
    for line in script.split([';', '\n']).map(str::trim).filter(|l| !l.is_empty()) {
        let background = line.split(" & ");
        let line = background.last().unwrap_or(line);
        let (line, stream) = line
            .strip_suffix(">&2")
            .map_or((line, 0), |line| (line.trim(), 1));
        let words: Vec<String> = line.split_whitespace().map(|w| expand(w, spec)).collect();
        let mut one = simple(&words);
        if let [Step::Write(to, _), Step::Exit(0)] = one.as_mut_slice() {
            *to = stream;
        }
        // A shell goes on after a command that has ended.
        if words[0] != "exit" && words[0] != "exec" && matches!(one.last(), Some(Step::Exit(_))) {
            one.pop();
        }
        steps.extend(one);
    }
    steps.push(Step::Exit(0));
    steps
}

fn expand(word: &str, spec: &SandboxSpec) -> String {
    let bare = word.trim_matches(['"', '\'']);
    let Some(variable) = bare.strip_prefix('$') else {
        return bare.to_owned();
    };
    spec.env.iter().find(|v| v.name() == variable).map_or_else(
        || {
            if variable == "$" {
                "$$".to_owned()
            } else {
                String::new()
            }
        },
        |v| v.expose().to_owned(),
    )
}

fn simple(words: &[String]) -> Vec<Step> {
    let argument = |index: usize| words.get(index).map_or("", String::as_str);
    match name(argument(0)) {
        "true" | ":" => vec![Step::Exit(0)],
        "false" => vec![Step::Exit(1)],
        "exec" => simple(&words[1..]),
        "exit" => vec![Step::Exit(argument(1).parse().unwrap_or(0))],
        "sleep" => match argument(1)
            .parse::<f64>()
            .ok()
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
        {
            Some(time) => vec![Step::Sleep(time), Step::Exit(0)],
            None => vec![Step::Forever],
        },
        "echo" => {
            let text = format!("{}\n", words[1..].join(" "));
            vec![Step::Write(0, text.into_bytes()), Step::Exit(0)]
        }
        "kill" if argument(2) == "$$" => {
            let signal = argument(1)
                .trim_start_matches('-')
                .parse()
                .unwrap_or(Signal::TERM);
            vec![Step::Raise(signal)]
        }
        "head" if argument(1) == "-c" && argument(3) == "/dev/zero" => {
            let bytes = argument(2).parse::<usize>().unwrap_or(0).min(1 << 24);
            vec![Step::Write(0, vec![0; bytes]), Step::Exit(0)]
        }
        "tail" if argument(1) == "/dev/zero" => vec![Step::EatMemory],
        _ => vec![Step::Forever],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{EnvVar, LogConfig, RootFs, SandboxId};

    fn steps(args: &[&str]) -> Result<Vec<Step>, ExecFailure> {
        let id = SandboxId::new("a").expect("an id");
        let mut spec = SandboxSpec::new(id, RootFs::Host, args.iter().copied(), LogConfig::new("/logs"));
        spec.env.push(EnvVar::new("NAME", "value"));
        read(&spec)
    }

    #[test]
    fn programs_it_knows() {
        assert_eq!(steps(&["/bin/true"]), Ok(vec![Step::Exit(0)]));
        assert_eq!(steps(&["false"]), Ok(vec![Step::Exit(1)]));
        assert_eq!(
            steps(&["sleep", "0.5"]),
            Ok(vec![Step::Sleep(Duration::from_millis(500)), Step::Exit(0)])
        );
        assert_eq!(steps(&["sleep", "infinity"]), Ok(vec![Step::Forever]));
        assert_eq!(steps(&["/app/server", "--port", "80"]), Ok(vec![Step::Forever]));
        assert_eq!(steps(&["/no/such/command"]).map_err(|f| f.code), Err(127));
        assert_eq!(steps(&["/etc/hostname"]).map_err(|f| f.code), Err(126));
    }

    #[test]
    fn scripts_go_on_after_each_command() {
        let script = "echo $NAME one; echo two >&2; sleep 3; false; exit 7; echo never";
        let expected = vec![
            Step::Write(0, b"value one\n".to_vec()),
            Step::Write(1, b"two\n".to_vec()),
            Step::Sleep(Duration::from_secs(3)),
            Step::Exit(7),
            Step::Write(0, b"never\n".to_vec()),
            Step::Exit(0),
        ];
        assert_eq!(steps(&["sh", "-c", script]), Ok(expected));
        assert_eq!(
            steps(&["sh", "-c", "sleep 9 & exit 3"]),
            Ok(vec![Step::Exit(3), Step::Exit(0)])
        );
        assert_eq!(
            steps(&["sh", "-c", "kill -SEGV $$"]).map(|s| s[0].clone()),
            Ok(Step::Raise("SEGV".parse().expect("a signal")))
        );
    }
}
