//! Limits and what is told about them.

use super::{Failure, Subject, Verdict, checks, hold, same};
use crate::error::Error;
use crate::runtime::ExitReason;
use crate::spec::{Limit, Signal};

checks!(
    running_out_of_memory_is_told_apart,
    usage_is_told,
    an_unenforceable_limit_is_refused
);

async fn running_out_of_memory_is_told_apart(subject: &Subject) -> Result<Verdict, Failure> {
    if !subject.runtime.facts().await?.enforces(Limit::Memory) {
        return Ok(Verdict::Skipped("this host has no memory controller".to_owned()));
    }
    let mut spec = subject.spec(&["tail", "/dev/zero"]);
    spec.resources.memory_bytes = Some(24 << 20);
    let (exit, _, _) = subject.output(&spec).await?;
    same("the end", &exit.reason, &ExitReason::OutOfMemory)?;
    hold(exit.oom_kills > 0, || {
        "no process was killed for memory".to_owned()
    })?;
    same("the code", exit.code(), Some(137))?;
    let mut killed = subject.spec(&["sleep", "1000"]);
    killed.resources.memory_bytes = Some(24 << 20);
    subject.runtime.create(&killed).await?;
    subject.runtime.start(&killed.id).await?;
    subject.runtime.signal(&killed.id, Signal::KILL).await?;
    let exit = subject.end_of(&killed.id).await?;
    same(
        "the end of a killed one",
        exit.reason,
        ExitReason::Signal(Signal::KILL),
    )?;
    subject.runtime.remove(&killed.id).await?;
    Ok(Verdict::Holds)
}

async fn usage_is_told(subject: &Subject) -> Result<Verdict, Failure> {
    let enforces = subject.runtime.facts().await?;
    let spec = subject.spec(&["sleep", "1000"]);
    subject.runtime.create(&spec).await?;
    subject.runtime.start(&spec.id).await?;
    let stats = subject.runtime.stats(&spec.id).await?;
    let pids = stats.pids >= 1 || !enforces.enforces(Limit::Pids);
    let memory = stats.memory_bytes > 0 || !enforces.enforces(Limit::Memory);
    hold(pids && memory, || {
        format!("a running sandbox uses nothing: {stats:?}")
    })?;
    subject.runtime.remove(&spec.id).await?;
    Ok(Verdict::Holds)
}

/// Disk is one that no runtime here enforces yet; the others depend on the host.
async fn an_unenforceable_limit_is_refused(subject: &Subject) -> Result<Verdict, Failure> {
    let facts = subject.runtime.facts().await?;
    let limits = [Limit::Cpu, Limit::Memory, Limit::Pids, Limit::Disk];
    let Some(limit) = limits.into_iter().find(|l| !facts.enforces(*l)) else {
        return Ok(Verdict::Skipped("this host enforces every limit".to_owned()));
    };
    let mut spec = subject.spec(&["true"]);
    let value = Some(64 << 20);
    match limit {
        Limit::Cpu => spec.resources.milli_cpu = Some(500),
        Limit::Memory => spec.resources.memory_bytes = value,
        Limit::Pids => spec.resources.pids_max = Some(50),
        Limit::Disk => spec.resources.disk_bytes = value,
    }
    let answer = subject.runtime.create(&spec).await;
    let Err(Error::Missing { what, .. }) = &answer else {
        return Err(Failure(format!("create answers {answer:?}")));
    };
    hold(what.contains(limit.name()), || {
        format!("`{what}` does not name {}", limit.name())
    })?;
    spec.unenforced.insert(limit);
    let (exit, _, _) = subject.output(&spec).await?;
    same("the end when it is accepted", exit.reason, ExitReason::Code(0))?;
    Ok(Verdict::Holds)
}
