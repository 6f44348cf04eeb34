//! From creation to removal.

use std::time::Duration;

use super::{Failure, Subject, Verdict, checks, hold, same};
use crate::error::Error;
use crate::runtime::{ExitReason, SandboxState, Started};
use crate::spec::Signal;

checks!(
    the_gate_holds,
    exit_codes_are_the_commands_own,
    a_command_that_does_not_exist_is_127,
    a_file_that_is_no_program_is_126,
    signals_reach_the_command,
    the_gate_can_be_given_up,
    waiting_is_level_triggered,
    the_list_shows_every_state,
    a_reopened_runtime_adopts,
    an_id_is_used_once,
    removal_is_final_and_repeatable,
    unknown_ids_are_not_found,
    a_spec_that_cannot_run_is_refused,
    many_at_once_are_kept_apart,
);

async fn the_gate_holds(subject: &Subject) -> Result<Verdict, Failure> {
    let spec = subject.spec(&["sh", "-c", "echo ran"]);
    let made = subject.runtime.create(&spec).await?;
    same("the state after create", &made.state, &SandboxState::Created)?;
    hold(made.init_pid > 0, || "the init has no pid".to_owned())?;
    let ended = tokio::time::timeout(Duration::from_millis(200), subject.runtime.wait(&spec.id)).await;
    hold(ended.is_err(), || "it ended before it was started".to_owned())?;
    same("output before start", super::read(&spec, "stdout"), String::new())?;
    same("start", subject.runtime.start(&spec.id).await?, Started::Running)?;
    same(
        "the end",
        subject.end_of(&spec.id).await?.reason,
        ExitReason::Code(0),
    )?;
    same("output", super::read(&spec, "stdout"), "ran\n".to_owned())?;
    subject.runtime.remove(&spec.id).await?;
    Ok(Verdict::Holds)
}

async fn exit_codes_are_the_commands_own(subject: &Subject) -> Result<Verdict, Failure> {
    let cases: [(&[&str], i32); 4] = [
        (&["true"], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "exit 255"], 255),
    ];
    for (args, code) in cases {
        let (exit, _, _) = subject.output(&subject.spec(args)).await?;
        same(
            &format!("the end of {args:?}"),
            &exit.reason,
            &ExitReason::Code(code),
        )?;
        same("the code", exit.code(), Some(code))?;
        hold(exit.finished_at_ms.is_some(), || {
            "it does not say when it ended".to_owned()
        })?;
    }
    let (exit, _, _) = subject
        .output(&subject.spec(&["sh", "-c", "kill -SEGV $$"]))
        .await?;
    same("the code of a crash", exit.code(), Some(128 + 11))?;
    let (exit, _, _) = subject
        .output(&subject.spec(&["sh", "-c", "sleep 1000 & exit 3"]))
        .await?;
    same("the end with a process left", exit.reason, ExitReason::Code(3))?;
    Ok(Verdict::Holds)
}

async fn a_command_that_does_not_exist_is_127(subject: &Subject) -> Result<Verdict, Failure> {
    not_executed(subject, "/no/such/command", 127).await?;
    not_executed(subject, "no-such-command", 127).await
}

async fn a_file_that_is_no_program_is_126(subject: &Subject) -> Result<Verdict, Failure> {
    not_executed(subject, "/etc/hostname", 126).await
}

async fn not_executed(subject: &Subject, command: &str, code: i32) -> Result<Verdict, Failure> {
    let spec = subject.spec(&[command]);
    subject.runtime.create(&spec).await?;
    let started = subject.runtime.start(&spec.id).await?;
    let Started::Failed(failure) = &started else {
        return Err(Failure(format!("`{command}` started")));
    };
    same("the code", failure.code, code)?;
    hold(failure.message.contains(command), || {
        format!("`{}` does not name it", failure.message)
    })?;
    let exit = subject.end_of(&spec.id).await?;
    same("the end", &exit.reason, &ExitReason::NotExecuted(failure.clone()))?;
    same(
        "a second start",
        subject.runtime.start(&spec.id).await?,
        started.clone(),
    )?;
    subject.runtime.remove(&spec.id).await?;
    Ok(Verdict::Holds)
}

async fn signals_reach_the_command(subject: &Subject) -> Result<Verdict, Failure> {
    for signal in [Signal::TERM, Signal::KILL, Signal::HUP] {
        let spec = subject.spec(&["sleep", "1000"]);
        subject.runtime.create(&spec).await?;
        subject.runtime.start(&spec.id).await?;
        same(
            "a second start",
            subject.runtime.start(&spec.id).await?,
            Started::Running,
        )?;
        same(
            "being told",
            subject.runtime.signal(&spec.id, signal).await?,
            true,
        )?;
        let exit = subject.end_of(&spec.id).await?;
        same("the end", exit.reason, ExitReason::Signal(signal))?;
        same(
            "being told after the end",
            subject.runtime.signal(&spec.id, signal).await?,
            false,
        )?;
        subject.runtime.remove(&spec.id).await?;
    }
    Ok(Verdict::Holds)
}

async fn the_gate_can_be_given_up(subject: &Subject) -> Result<Verdict, Failure> {
    let spec = subject.spec(&["sh", "-c", "echo ran"]);
    subject.runtime.create(&spec).await?;
    same(
        "a harmless signal",
        subject.runtime.signal(&spec.id, Signal::new(28)?).await?,
        true,
    )?;
    same(
        "being told",
        subject.runtime.signal(&spec.id, Signal::TERM).await?,
        true,
    )?;
    let exit = subject.end_of(&spec.id).await?;
    same("the end", exit.reason, ExitReason::Signal(Signal::TERM))?;
    same("output", super::read(&spec, "stdout"), String::new())?;
    let late = subject.runtime.start(&spec.id).await;
    hold(matches!(late, Err(Error::State { .. })), || {
        format!("starting it then answers {late:?}")
    })?;
    subject.runtime.remove(&spec.id).await?;
    Ok(Verdict::Holds)
}

async fn waiting_is_level_triggered(subject: &Subject) -> Result<Verdict, Failure> {
    let spec = subject.spec(&["sh", "-c", "sleep 0.3; exit 4"]);
    subject.runtime.create(&spec).await?;
    subject.runtime.start(&spec.id).await?;
    let dropped = tokio::time::timeout(Duration::from_millis(1), subject.runtime.wait(&spec.id)).await;
    hold(dropped.is_err(), || "it ended at once".to_owned())?;
    let first = subject.end_of(&spec.id).await?;
    same("the end", &first.reason, &ExitReason::Code(4))?;
    same("the end, asked again", subject.end_of(&spec.id).await?, first)?;
    subject.runtime.remove(&spec.id).await?;
    Ok(Verdict::Holds)
}

async fn the_list_shows_every_state(subject: &Subject) -> Result<Verdict, Failure> {
    let specs = [
        subject.spec(&["sleep", "1000"]),
        subject.spec(&["sleep", "1000"]),
        subject.spec(&["true"]),
    ];
    for spec in &specs {
        subject.runtime.create(spec).await?;
    }
    subject.runtime.start(&specs[1].id).await?;
    subject.runtime.start(&specs[2].id).await?;
    let ended = subject.end_of(&specs[2].id).await?;
    let wanted = [
        SandboxState::Created,
        SandboxState::Running,
        SandboxState::Exited(ended),
    ];
    let listed = subject.runtime.list().await?;
    hold(listed.is_sorted_by(|a, b| a.id < b.id), || {
        "the list is not in order".to_owned()
    })?;
    for (spec, wanted) in specs.iter().zip(wanted) {
        let found = listed
            .iter()
            .find(|s| s.id == spec.id)
            .map(|s| (&s.state, s.init_pid > 0));
        let alive = !matches!(wanted, SandboxState::Exited(_));
        same("a state in the list", found, Some((&wanted, alive)))?;
        subject.runtime.remove(&spec.id).await?;
    }
    let left = subject.runtime.list().await?;
    hold(
        left.iter().all(|s| specs.iter().all(|spec| spec.id != s.id)),
        || format!("still listed: {left:?}"),
    )?;
    Ok(Verdict::Holds)
}

async fn a_reopened_runtime_adopts(subject: &Subject) -> Result<Verdict, Failure> {
    let Some(reopen) = &subject.reopen else {
        return Ok(Verdict::Skipped("the subject cannot be reopened".to_owned()));
    };
    let specs = [
        subject.spec(&["sh", "-c", "exit 5"]),
        subject.spec(&["sh", "-c", "sleep 0.2; exit 6"]),
        subject.spec(&["sh", "-c", "exit 8"]),
    ];
    for spec in &specs {
        subject.runtime.create(spec).await?;
    }
    subject.runtime.start(&specs[1].id).await?;
    subject.runtime.start(&specs[2].id).await?;
    subject.end_of(&specs[2].id).await?;
    let again = reopen()?;
    let listed = again.list().await?;
    for spec in &specs {
        hold(listed.iter().any(|s| s.id == spec.id), || {
            format!("`{}` was not adopted", spec.id)
        })?;
    }
    same(
        "the start of an adopted one",
        again.start(&specs[0].id).await?,
        Started::Running,
    )?;
    for (spec, code) in specs.iter().zip([5, 6, 8]) {
        let waited = tokio::time::timeout(super::BOUND, again.wait(&spec.id)).await;
        let exit = waited.map_err(|_| Failure(format!("adopted `{}` did not end", spec.id)))??;
        same("the end of an adopted one", exit.reason, ExitReason::Code(code))?;
        again.remove(&spec.id).await?;
    }
    Ok(Verdict::Holds)
}

async fn an_id_is_used_once(subject: &Subject) -> Result<Verdict, Failure> {
    let spec = subject.spec(&["true"]);
    subject.runtime.create(&spec).await?;
    let second = subject.runtime.create(&spec).await;
    hold(matches!(second, Err(Error::State { .. })), || {
        format!("a second create answers {second:?}")
    })?;
    same(
        "the first one's start",
        subject.runtime.start(&spec.id).await?,
        Started::Running,
    )?;
    subject.end_of(&spec.id).await?;
    subject.runtime.remove(&spec.id).await?;
    let (exit, _, _) = subject.output(&spec).await?;
    same("the end of a new one", exit.reason, ExitReason::Code(0))?;
    Ok(Verdict::Holds)
}

async fn removal_is_final_and_repeatable(subject: &Subject) -> Result<Verdict, Failure> {
    let spec = subject.spec(&["sleep", "1000"]);
    subject.runtime.create(&spec).await?;
    subject.runtime.start(&spec.id).await?;
    subject.runtime.remove(&spec.id).await?;
    subject.runtime.remove(&spec.id).await?;
    not_found(subject, &spec.id).await?;
    hold(spec.logs.dir.join("stdout").exists(), || {
        "the logs are gone as well".to_owned()
    })?;
    Ok(Verdict::Holds)
}

async fn unknown_ids_are_not_found(subject: &Subject) -> Result<Verdict, Failure> {
    let id = subject.spec(&["true"]).id;
    subject.runtime.remove(&id).await?;
    not_found(subject, &id).await?;
    Ok(Verdict::Holds)
}

async fn not_found(subject: &Subject, id: &crate::spec::SandboxId) -> Result<(), Failure> {
    let runtime = &subject.runtime;
    let answers = [
        ("start", runtime.start(id).await.map(drop)),
        ("signal", runtime.signal(id, Signal::TERM).await.map(drop)),
        ("wait", runtime.wait(id).await.map(drop)),
        ("stats", runtime.stats(id).await.map(drop)),
    ];
    for (call, answer) in answers {
        hold(matches!(answer, Err(Error::NotFound { .. })), || {
            format!("{call} answers {answer:?}")
        })?;
    }
    Ok(())
}

async fn a_spec_that_cannot_run_is_refused(subject: &Subject) -> Result<Verdict, Failure> {
    let mut relative = subject.spec(&["true"]);
    relative.cwd = "tmp".into();
    let mut variable = subject.spec(&["true"]);
    variable.env.push(crate::spec::EnvVar::new("A=B", "secret"));
    for spec in [subject.spec(&[]), relative, variable] {
        let answer = subject.runtime.create(&spec).await;
        hold(matches!(answer, Err(Error::Invalid { .. })), || {
            format!("create answers {answer:?}")
        })?;
        let text = format!("{answer:?}");
        hold(!text.contains("secret"), || {
            "the error shows the value of a variable".to_owned()
        })?;
        not_found(subject, &spec.id).await?;
    }
    Ok(Verdict::Holds)
}

async fn many_at_once_are_kept_apart(subject: &Subject) -> Result<Verdict, Failure> {
    let mut running = tokio::task::JoinSet::new();
    for code in 0..8_i32 {
        let spec = subject.spec(&["sh", "-c", &format!("echo {code}; exit {code}")]);
        let runtime = std::sync::Arc::clone(&subject.runtime);
        running.spawn(async move {
            runtime.create(&spec).await?;
            runtime.start(&spec.id).await?;
            let exit = runtime.wait(&spec.id).await?;
            runtime.remove(&spec.id).await?;
            Ok::<_, Error>((code, exit.reason, super::read(&spec, "stdout")))
        });
    }
    let all = tokio::time::timeout(super::BOUND, running.join_all()).await;
    for one in all.map_err(|_| Failure("they did not all end".to_owned()))? {
        let (code, reason, output) = one?;
        same("the end", reason, ExitReason::Code(code))?;
        same("the output", output, format!("{code}\n"))?;
    }
    Ok(Verdict::Holds)
}

impl From<crate::spec::UnknownSignal> for Failure {
    fn from(error: crate::spec::UnknownSignal) -> Self {
        Self(error.to_string())
    }
}
