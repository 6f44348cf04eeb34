use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::{Count, Inner, id_ranges};
use crate::error::Error;
use crate::helper;
use crate::init::{Built, StepError};
use crate::kernel::{apply, undo};
use crate::plan::{self, Plan};
use crate::runtime::{Sandbox, SandboxState};
use crate::seccomp::Filters;
use crate::spec::{SandboxId, SandboxSpec};

/// What happens to a plan before it is carried out: nothing, outside of escape tests.
pub(super) type Change<'a> = &'a dyn Fn(&mut Plan, &mut Arc<Filters>) -> Result<(), Error>;

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
        let failed = |step: String, source| Error::Build {
            id: spec.id.clone(),
            step,
            source,
        };
        match helper::launch(&self.config.init, &plan.sandbox, filters) {
            Ok(Built::Ready(pid)) => Ok(pid.unsigned_abs()),
            Ok(Built::Failed(StepError { step, errno })) => {
                Err(failed(step, io::Error::from_raw_os_error(errno)))
            }
            Err(source) => Err(failed(
                format!(
                    "get an answer from {}; a program that embeds the runtime begins its main with run_if_asked",
                    self.config.init.describe()
                ),
                source,
            )),
        }
    }
}

fn exists(id: &SandboxId) -> Error {
    let problem = "it exists already; remove it first, or choose another id".to_owned();
    Error::State {
        operation: "create",
        id: id.clone(),
        problem,
    }
}
