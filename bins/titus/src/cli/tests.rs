use clap::{CommandFactory as _, Parser as _};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("titus").chain(line.split_whitespace()))
}

#[test]
fn the_words_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_takes_what_it_should() {
    for good in [
        "job init",
        "job init web.yaml --service --force",
        "job validate -",
        "job validate web.yaml --profile titus",
        "job run web.yaml",
        "job run web.yaml --watch --timeout 3s -o json",
        "job run web.yaml --detach",
        "job list",
        "job ls --state finished --application web --owner a@b -o wide",
        "job status 0198",
        "job scale 0198 5",
        "job scale 0198 --min 1 --max 9",
        "job stop 0198 0199 --yes",
        "task list --job 0198 --state Started,finished",
        "task status 0198",
        "task logs -f 0198 --tail 10 --stderr",
        "task stop 0198 --shrink -y",
        "host list",
        "host status dev-1",
        "events --from abc --no-follow --job 0198 --task 0199 --host h",
        "completion bash",
        "version",
        "--addr h:1 --color never --insecure --reason because host list -o name",
    ] {
        if let Err(refused) = parse(good) {
            panic!("{good}: {refused}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_as_wrong_usage() {
    for bad in [
        "",
        "job",
        "job run",
        "job run a.yaml b.yaml",
        "job run a.yaml --watch --detach",
        "job run a.yaml --detach --timeout 3s",
        "job run a.yaml --timeout soon",
        "job init --force",
        "job list --state Running",
        "job scale 0198",
        "job scale 0198 -1",
        "job stop",
        "task list --state Running",
        "task logs",
        "task logs 0198 --tail many",
        "host list -o xml",
        "events --since 1h",
        "completion",
        "job lst",
    ] {
        let refused = parse(bad).unwrap_err();
        assert_eq!(refused.exit_code(), 2, "{bad}");
    }
    assert_eq!(parse("--help").unwrap_err().exit_code(), 0);
    assert_eq!(parse("--version").unwrap_err().exit_code(), 0);
}

#[test]
fn help_is_as_reviewed() {
    let mut pages = String::new();
    collect(Cli::command(), "titus", &mut pages);
    insta::assert_snapshot!(pages);
}

/// Every page of help, without the options that all commands share.
fn collect(mut command: clap::Command, path: &str, pages: &mut String) {
    command = command.term_width(100).bin_name(path);
    if path != "titus" {
        for shared in ["addr", "output", "color", "config", "reason", "insecure"] {
            if command.get_arguments().any(|a| a.get_id() == shared) {
                command = command.mut_arg(shared, |a| a.hide(true));
            }
        }
    }
    *pages += &format!("$ {path} --help\n{}\n", command.clone().render_help());
    let verbs: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    for verb in verbs {
        let name = format!("{path} {}", verb.get_name());
        collect(verb, &name, pages);
    }
}
