//! Short-lived helper processes: how the runtime asks them, and what it asks.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::init::{self, Built, StepError};
use crate::plan::SandboxPlan;
use crate::seccomp::Filters;

/// The program that becomes a sandbox's launcher and init, or unpacks an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitProgram {
    /// This program: its `main` begins with [`run_if_asked`](crate::init::run_if_asked).
    CurrentExe,
    /// The installed `titus-init`.
    Installed(PathBuf),
}

impl InitProgram {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::CurrentExe => "this program, started again as its helper".to_owned(),
            Self::Installed(path) => format!("the helper {}", path.display()),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::CurrentExe => PathBuf::from("/proc/self/exe"),
            Self::Installed(path) => path.clone(),
        }
    }
}

/// What a helper is asked, as it is sent; [`init::Request`] is the same as it is read.
#[derive(Debug, Serialize)]
enum Request<'a> {
    Launch(&'a SandboxPlan),
    ProbeIdMap(&'a Path),
    #[cfg(feature = "image")]
    Unpack(&'a crate::image::unpack::Unpack),
}

/// Building takes milliseconds; a starved host may need seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds a sandbox up to its gate.
pub(crate) fn launch(program: &InitProgram, plan: &SandboxPlan, filters: &Filters) -> io::Result<Built> {
    ask(
        program,
        &Request::Launch(plan),
        &filters.each_ref().map(Vec::as_slice),
        None,
        Some(PATIENCE),
    )
}

/// Whether the files of a folder can be shown as owned by root inside. `Err`: the helper gave no answer.
pub(crate) fn probe_id_map(program: &InitProgram, folder: &Path) -> io::Result<Result<(), StepError>> {
    ask(program, &Request::ProbeIdMap(folder), &[], None, Some(PATIENCE))
}

/// Unpacks a layer, which may take as long as its bounds allow.
#[cfg(feature = "image")]
pub(crate) fn unpack(
    program: &InitProgram,
    unpack: &crate::image::unpack::Unpack,
    layer: OwnedFd,
) -> io::Result<Result<crate::image::unpack::Unpacked, String>> {
    ask(program, &Request::Unpack(unpack), &[], Some(layer), None)
}

fn ask<T: DeserializeOwned>(
    program: &InitProgram,
    request: &Request<'_>,
    more: &[&[u8]],
    data: Option<OwnedFd>,
    patience: Option<Duration>,
) -> io::Result<T> {
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(patience)?;
    let mut helper = spawn(program, theirs, data)?;
    let request = serde_json::to_vec(request)?;
    let answer = send(&mut ours, &request, more).and_then(|()| init::read_answer(&mut ours));
    if answer.is_err() {
        helper.kill()?;
    }
    helper.wait()?;
    answer
}

/// Each part goes after its length, all in one write.
fn send(to: &mut UnixStream, request: &[u8], more: &[&[u8]]) -> io::Result<()> {
    let mut message = Vec::with_capacity(request.len() + more.iter().map(|p| p.len()).sum::<usize>() + 64);
    for part in std::iter::once(&request).chain(more) {
        let length = u32::try_from(part.len()).map_err(io::Error::other)?;
        message.extend(length.to_ne_bytes());
        message.extend(*part);
    }
    to.write_all(&message)?;
    to.shutdown(Shutdown::Write)
}

/// Nothing of this process is passed on but one socket, and the file to unpack if there is one.
fn spawn(program: &InitProgram, control: UnixStream, data: Option<OwnedFd>) -> io::Result<Child> {
    Command::new(program.path())
        .arg0(init::ARG0)
        .env_clear()
        .stdin(OwnedFd::from(control))
        .stdout(data.map_or_else(Stdio::null, Stdio::from))
        .stderr(Stdio::null())
        .spawn()
}
