//! What a command writes, and what it is told by its environment.

use super::{Failure, Subject, Verdict, checks, hold, same};
use crate::spec::{EnvVar, SandboxSpec};

checks!(
    streams_are_kept_apart,
    variables_reach_the_command_only,
    logs_are_bounded_and_the_latest_is_kept
);

async fn streams_are_kept_apart(subject: &Subject) -> Result<Verdict, Failure> {
    let spec = subject.spec(&["sh", "-c", "echo one; echo two >&2; echo three"]);
    let (_, out, err) = subject.output(&spec).await?;
    same("standard output", out.as_str(), "one\nthree\n")?;
    same("standard error", err.as_str(), "two\n")?;
    Ok(Verdict::Holds)
}

async fn variables_reach_the_command_only(subject: &Subject) -> Result<Verdict, Failure> {
    let mut spec = subject.spec(&["sh", "-c", "echo $SECRET_WORD; echo $HOME"]);
    spec.env.push(EnvVar::new("SECRET_WORD", "sesame"));
    hold(!format!("{spec:?}").contains("sesame"), || {
        "Debug shows the value".to_owned()
    })?;
    let (_, out, _) = subject.output(&spec).await?;
    // Nothing is inherited from the runtime's own environment.
    same("output", out.as_str(), "sesame\n\n")?;
    Ok(Verdict::Holds)
}

/// Writes ten times what may be kept.
async fn logs_are_bounded_and_the_latest_is_kept(subject: &Subject) -> Result<Verdict, Failure> {
    let mut spec = subject.spec(&["sh", "-c", "head -c 200000 /dev/zero; echo the end"]);
    spec.logs.max_bytes = 5_000;
    spec.logs.files = 4;
    let (exit, latest, _) = subject.output(&spec).await?;
    same("the code", exit.code(), Some(0))?;
    let (files, bytes) = kept(&spec);
    same("the number of files", files, 4)?;
    hold((15_000..=20_000).contains(&bytes), || {
        format!("{bytes} bytes are kept, at most 20,000 may be")
    })?;
    hold(latest.ends_with("the end\n"), || {
        "the last line is not in the current file".to_owned()
    })?;
    same("bytes dropped", exit.log_bytes_dropped, 0)?;
    Ok(Verdict::Holds)
}

fn kept(spec: &SandboxSpec) -> (usize, u64) {
    let names = (0..10).map(|n| {
        if n == 0 {
            "stdout".to_owned()
        } else {
            format!("stdout.{n}")
        }
    });
    let sizes: Vec<u64> = names
        .filter_map(|n| std::fs::metadata(spec.logs.dir.join(n)).ok())
        .map(|m| m.len())
        .collect();
    (sizes.len(), sizes.iter().sum())
}
