//! This crate's own runtime.

use std::path::Path;
use std::time::{Duration, Instant};

use titus_isolation::{
    ContainerRuntime, InitProgram, LogConfig, RootFs, SandboxConfig, SandboxId, SandboxRuntime, SandboxSpec,
    Started,
};

use super::{Case, Outcome};

const PARTS: [&str; 4] = ["create_ms", "start_ms", "wait_ms", "remove_ms"];

pub(crate) struct Own {
    runtime: SandboxRuntime,
    executor: tokio::runtime::Runtime,
    spec: SandboxSpec,
    parts: [Vec<Duration>; 4],
}

impl Own {
    pub(crate) fn new(rootfs: &Path, folder: &Path, init: &Path) -> Outcome<Self> {
        let mut config = SandboxConfig::new(folder.join("own"));
        config.cgroup_parent = "titus-bench".to_owned();
        config.init = InitProgram::Installed(init.to_owned());
        let layers = RootFs::Layers(vec![rootfs.to_owned()]);
        let logs = LogConfig::new(folder.join("logs"));
        Ok(Self {
            runtime: SandboxRuntime::open(config)?,
            executor: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?,
            spec: SandboxSpec::new(SandboxId::new("one")?, layers, ["/true"], logs),
            parts: Default::default(),
        })
    }
}

impl Case for Own {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn launch(&mut self) -> Outcome<Duration> {
        let (runtime, spec) = (&self.runtime, &self.spec);
        let steps = self.executor.block_on(async {
            let began = Instant::now();
            runtime.create(spec).await?;
            let created = began.elapsed();
            let started = runtime.start(&spec.id).await?;
            let running = began.elapsed();
            let exit = runtime.wait(&spec.id).await?;
            let ended = began.elapsed();
            runtime.remove(&spec.id).await?;
            if started != Started::Running || exit.code() != Some(0) {
                return Err(format!("{started:?}, {exit:?}").into());
            }
            Ok::<_, Box<dyn std::error::Error>>([Duration::ZERO, created, running, ended, began.elapsed()])
        })?;
        for (part, step) in self.parts.iter_mut().zip(steps.windows(2)) {
            part.push(step[1] - step[0]);
        }
        Ok(steps[4])
    }

    fn parts(&self) -> String {
        let median = |times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort();
            times[times.len() / 2].as_secs_f64() * 1_000.0
        };
        let part = |(name, times): (&&str, &Vec<Duration>)| format!("\"{name}\":{:.3}", median(times));
        PARTS
            .iter()
            .zip(&self.parts)
            .map(part)
            .collect::<Vec<_>>()
            .join(",")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir("/sys/fs/cgroup/titus-bench");
    }
}
