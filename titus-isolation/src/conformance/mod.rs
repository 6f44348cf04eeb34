//! The public suite that every runtime passes, ours and anybody's: [`run`] it from a test.
//!
//! ```
//! use std::sync::Arc;
//! use titus_isolation::conformance::{Subject, run};
//! use titus_isolation::{RootFs, fake::FakeRuntime};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let folder = tempfile::tempdir()?;
//! let runtime = FakeRuntime::new();
//! let again = runtime.clone();
//! let mut subject = Subject::new(Arc::new(runtime), RootFs::Host, folder.path());
//! subject.reopen = Some(Box::new(move || Ok(Arc::new(again.clone()))));
//! let report = run(&subject).await;
//! assert!(report.failed.is_empty(), "{report}");
//! # Ok::<(), std::io::Error>(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod life;
mod limits;
mod output;
#[cfg(feature = "sandbox")]
mod weakened;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "sandbox")]
#[doc(hidden)]
pub use weakened::Weakened;

use crate::error::Error;
use crate::runtime::{ContainerRuntime, Exit};
use crate::spec::{EnvVar, LogConfig, RootFs, SandboxId, SandboxSpec};

/// Answers the same runtime as after a restart of its process.
pub type Reopen = Box<dyn Fn() -> Result<Arc<dyn ContainerRuntime>, Error> + Send + Sync>;

/// A runtime under test and what it needs.
#[non_exhaustive]
pub struct Subject {
    /// The runtime.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// A root file system with `sh`, `true`, `false`, `sleep`, `echo`, `head`, `tail` in `PATH`.
    pub rootfs: RootFs,
    /// Opens it again; `None` leaves out what needs that.
    pub reopen: Option<Reopen>,
    /// A folder of its own, for logs.
    pub folder: PathBuf,
    /// Variables that every command gets, where its root file system needs some.
    pub env: Vec<EnvVar>,
    next: AtomicU64,
}

impl Subject {
    /// A subject that cannot be reopened.
    pub fn new(runtime: Arc<dyn ContainerRuntime>, rootfs: RootFs, folder: impl Into<PathBuf>) -> Self {
        Self {
            runtime,
            rootfs,
            reopen: None,
            folder: folder.into(),
            env: Vec::new(),
            next: AtomicU64::new(0),
        }
    }

    /// A spec with an id that no other check uses.
    pub fn spec(&self, args: &[&str]) -> SandboxSpec {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("conformance-{}-{number}", std::process::id());
        let id = SandboxId::new(name.clone()).expect("made of letters, digits and `-`");
        let logs = LogConfig::new(self.folder.join(name));
        let mut spec = SandboxSpec::new(id, self.rootfs.clone(), args.iter().copied(), logs);
        spec.env.clone_from(&self.env);
        spec
    }

    /// Runs a command to its end and answers how it ended and what it wrote to standard output and error.
    pub async fn output(&self, spec: &SandboxSpec) -> Result<(Exit, String, String), Failure> {
        self.runtime.create(spec).await?;
        self.runtime.start(&spec.id).await?;
        let exit = self.end_of(&spec.id).await?;
        let (out, err) = (read(spec, "stdout"), read(spec, "stderr"));
        self.runtime.remove(&spec.id).await?;
        Ok((exit, out, err))
    }

    /// Waits for the end, with a generous bound.
    pub async fn end_of(&self, id: &SandboxId) -> Result<Exit, Failure> {
        let waited = tokio::time::timeout(BOUND, self.runtime.wait(id)).await;
        Ok(waited.map_err(|_| Failure(format!("`{id}` had not ended after {BOUND:?}")))??)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("runtime", &self.runtime)
            .field("rootfs", &self.rootfs)
            .finish()
    }
}

/// No check takes that long on any machine that works at all.
const BOUND: Duration = Duration::from_secs(120);

/// Why a check did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        Self(text)
    }
}

/// What the suite found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Checks that hold.
    pub passed: Vec<&'static str>,
    /// Checks that do not, and why.
    pub failed: Vec<(&'static str, String)>,
    /// Checks that this host or subject has no means for, and which.
    pub skipped: Vec<(&'static str, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} passed", self.passed.len())?;
        self.skipped
            .iter()
            .try_for_each(|(name, why)| writeln!(f, "skipped {name}: {why}"))?;
        self.failed
            .iter()
            .try_for_each(|(name, why)| writeln!(f, "FAILED {name}: {why}"))
    }
}

/// How one check went.
enum Verdict {
    Holds,
    Skipped(String),
}

type Checked<'a> = Pin<Box<dyn Future<Output = Result<Verdict, Failure>> + Send + 'a>>;
type Check = (&'static str, for<'a> fn(&'a Subject) -> Checked<'a>);

/// Runs every check, one after another, and goes on after failures.
pub async fn run(subject: &Subject) -> Report {
    let mut report = Report::default();
    for (name, check) in life::CHECKS.iter().chain(output::CHECKS).chain(limits::CHECKS) {
        match check(subject).await {
            Ok(Verdict::Holds) => report.passed.push(name),
            Ok(Verdict::Skipped(why)) => report.skipped.push((name, why)),
            Err(Failure(why)) => report.failed.push((name, why)),
        }
    }
    report
}

/// Fails the check with a text unless the condition holds.
fn hold(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if condition {
        Ok(())
    } else {
        Err(Failure(otherwise()))
    }
}

fn same<T: PartialEq + fmt::Debug>(what: &str, found: T, wanted: T) -> Result<(), Failure> {
    hold(found == wanted, || {
        format!("{what} is {found:?}, wanted {wanted:?}")
    })
}

fn read(spec: &SandboxSpec, stream: &str) -> String {
    let bytes = std::fs::read(spec.logs.dir.join(stream)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names the checks of a file.
macro_rules! checks {
    ($($name:ident),+ $(,)?) => {
        pub(super) const CHECKS: &[super::Check] = &[$((stringify!($name), |subject| Box::pin($name(subject)))),+];
    };
}
use checks;
