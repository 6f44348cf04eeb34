use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Count, InitProgram, Inner, id_ranges};
use crate::error::Error;
use crate::init::{self, Built, StepError};
use crate::kernel::{apply, undo};
use crate::plan::{self, Plan};
use crate::runtime::{Sandbox, SandboxState};
use crate::seccomp::Filters;
use crate::spec::{SandboxId, SandboxSpec};

/// What happens to a plan before it is carried out: nothing, outside of escape tests.
pub(super) type Change<'a> = &'a dyn Fn(&mut Plan, &mut Arc<Filters>) -> Result<(), Error>;

/// A launcher that has not answered by then is given up. Building takes milliseconds; a starved host, seconds.
const PATIENCE: Duration = Duration::from_secs(60);

impl Inner {
    pub(super) fn create(&self, spec: &SandboxSpec, change: Change<'_>) -> Result<Sandbox, Error> {
        if !self.making().insert(spec.id.clone()) {
            return Err(exists(&spec.id));
        }
        let began = Instant::now();
        let made = self.make(spec, change);
        self.making().remove(&spec.id);
        match &made {
            Ok(_) => {
                self.count(Count::Created);
                let micros = began.elapsed().as_micros();
                tracing::debug!(sandbox = %spec.id, micros, "sandbox built");
            }
            Err(error) => {
                self.count(Count::CreateFailed);
                tracing::warn!(sandbox = %spec.id, %error, "sandbox could not be built");
            }
        }
        made
    }

    fn make(&self, spec: &SandboxSpec, change: Change<'_>) -> Result<Sandbox, Error> {
        // Refused specs cost nothing: the plan for some range is as good as any to find out.
        plan::plan(spec, &self.facts)?;
        let mut filters = self.filters(spec.capabilities)?;
        let mut plan = self.claim(spec)?;
        change(&mut plan, &mut filters)?;
        let built = apply(&self.kernel, &plan.host[1..]).and_then(|()| self.launch(spec, &plan, &filters));
        match built {
            Ok(pid) => Ok(Sandbox::new(
                spec.id.clone(),
                pid,
                PathBuf::from(format!("/proc/{pid}/ns/net")),
                SandboxState::Created,
            )),
            Err(error) => {
                // `apply` has taken back what it did; a failed launch leaves all of it. Removal finds either.
                for failure in self.take_down(&spec.id) {
                    tracing::warn!(sandbox = %spec.id, %failure, "left behind by a failed launch");
                }
                Err(error)
            }
        }
    }

    /// Claims the id by making its folder, and a range of ids with it: the folder is what keeps the range taken.
    fn claim(&self, spec: &SandboxSpec) -> Result<Plan, Error> {
        let mut ranges = id_ranges::Ranges::open(&self.config.id_ranges)?;
        let folder = plan::Folders::new(&self.facts, &spec.id).base;
        if folder.exists() {
            return Err(exists(&spec.id));
        }
        let mut spec = spec.clone();
        spec.ids = Some(match spec.ids {
            Some(ids) => ids,
            None => ranges.take(&folder)?,
        });
        let plan = plan::plan(&spec, &self.facts)?;
        apply(&self.kernel, &plan.host[..1])?;
        ranges
            .save()
            .inspect_err(|_| drop(undo(&self.kernel, &plan.host[..1])))?;
        Ok(plan)
    }

    fn launch(&self, spec: &SandboxSpec, plan: &Plan, filters: &Filters) -> Result<u32, Error> {
        let failed = |step: &str| {
            let (id, step) = (spec.id.clone(), step.to_owned());
            move |source: io::Error| Error::Build { id, step, source }
        };
        let (mut ours, theirs) = UnixStream::pair().map_err(failed("make a socket pair"))?;
        ours.set_read_timeout(Some(PATIENCE))
            .map_err(failed("set a time-out"))?;
        let mut launcher = self.spawn(theirs).map_err(failed("execute the launcher"))?;
        let answer = init::send_launch(&mut ours, &plan.sandbox, filters)
            .and_then(|()| ours.shutdown(Shutdown::Write))
            .and_then(|()| init::read_answer(&mut ours));
        finish(&mut launcher, answer.is_err()).map_err(failed("wait for the launcher"))?;
        match answer {
            Ok(Built::Ready(pid)) => {
                u32::try_from(pid).map_err(|e| failed("read the pid")(io::Error::other(e)))
            }
            Ok(Built::Failed(StepError { step, errno })) => Err(Error::Build {
                id: spec.id.clone(),
                step,
                source: io::Error::from_raw_os_error(errno),
            }),
            Err(source) => Err(failed(&format!(
                "get an answer from {}; a program that embeds the runtime must begin its main with run_if_asked",
                self.config.init.describe()
            ))(source)),
        }
    }

    /// Nothing of this process but one socket is passed on.
    fn spawn(&self, control: UnixStream) -> io::Result<Child> {
        let program = match &self.config.init {
            InitProgram::CurrentExe => PathBuf::from("/proc/self/exe"),
            InitProgram::Installed(path) => path.clone(),
        };
        Command::new(program)
            .arg0(init::ARG0)
            .env_clear()
            .stdin(OwnedFd::from(control))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }
}

fn finish(launcher: &mut Child, kill: bool) -> io::Result<()> {
    if kill {
        launcher.kill()?;
    }
    launcher.wait().map(drop)
}

fn exists(id: &SandboxId) -> Error {
    let problem = "it exists already; remove it first, or choose another id".to_owned();
    Error::State {
        operation: "create",
        id: id.clone(),
        problem,
    }
}

impl InitProgram {
    fn describe(&self) -> String {
        match self {
            Self::CurrentExe => "this program, started again as its launcher".to_owned(),
            Self::Installed(path) => format!("the launcher {}", path.display()),
        }
    }
}
