//! The fake runtime passes the same suite as the real one, and the suite fails a runtime that is wrong.

use std::sync::Arc;

use async_trait::async_trait;
use titus_isolation::conformance::{Subject, run};
use titus_isolation::fake::FakeRuntime;
use titus_isolation::{
    ContainerRuntime, Error, Exit, ExitReason, HostFacts, RootFs, Sandbox, SandboxId, SandboxSpec, Signal,
    Started, Stats,
};

#[tokio::test(start_paused = true)]
async fn the_fake_runtime_conforms() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = FakeRuntime::new();
    let again = runtime.clone();
    let mut subject = Subject::new(Arc::new(runtime), RootFs::Host, folder.path());
    subject.reopen = Some(Box::new(move || Ok(Arc::new(again.clone()))));
    let report = run(&subject).await;
    assert!(report.failed.is_empty() && report.skipped.is_empty(), "{report}");
    assert_eq!(report.passed.len(), 20, "{report}");
}

/// A runtime that is wrong in one way.
#[derive(Debug)]
struct Wrong {
    inner: FakeRuntime,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    StartsAtCreate,
    ForgetsCodes,
    UnknownEndIsZero,
    LeavesAfterRemove,
    LosesSignals,
}

#[async_trait]
impl ContainerRuntime for Wrong {
    async fn facts(&self) -> Result<HostFacts, Error> {
        self.inner.facts().await
    }
    async fn create(&self, spec: &SandboxSpec) -> Result<Sandbox, Error> {
        let made = self.inner.create(spec).await?;
        if self.fault == Fault::StartsAtCreate {
            self.inner.start(&spec.id).await?;
        }
        Ok(made)
    }
    async fn start(&self, id: &SandboxId) -> Result<Started, Error> {
        self.inner.start(id).await
    }
    async fn signal(&self, id: &SandboxId, signal: Signal) -> Result<bool, Error> {
        if self.fault == Fault::LosesSignals {
            return Ok(true);
        }
        self.inner.signal(id, signal).await
    }
    async fn wait(&self, id: &SandboxId) -> Result<Exit, Error> {
        let mut exit = self.inner.wait(id).await?;
        let known = matches!(exit.reason, ExitReason::Code(_));
        if self.fault == Fault::ForgetsCodes || (self.fault == Fault::UnknownEndIsZero && !known) {
            exit.reason = ExitReason::Code(0);
        }
        Ok(exit)
    }
    async fn list(&self) -> Result<Vec<Sandbox>, Error> {
        self.inner.list().await
    }
    async fn remove(&self, id: &SandboxId) -> Result<(), Error> {
        if self.fault == Fault::LeavesAfterRemove {
            return Ok(());
        }
        self.inner.remove(id).await
    }
    async fn stats(&self, id: &SandboxId) -> Result<Stats, Error> {
        self.inner.stats(id).await
    }
}

#[tokio::test(start_paused = true)]
async fn the_suite_fails_wrong_runtimes() {
    for fault in [
        Fault::StartsAtCreate,
        Fault::ForgetsCodes,
        Fault::UnknownEndIsZero,
        Fault::LeavesAfterRemove,
        Fault::LosesSignals,
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = Wrong {
            inner: FakeRuntime::new(),
            fault,
        };
        let report = run(&Subject::new(Arc::new(runtime), RootFs::Host, folder.path())).await;
        assert!(!report.failed.is_empty(), "{fault:?} passed");
    }
}
