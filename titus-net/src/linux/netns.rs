//! The way into a container's network namespace. A thread that enters it stays in it, so the thread is made
//! for that and ends; what it brings back is a netlink connection, which stays bound to the namespace.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::thread;

use futures::channel::oneshot;
use nix::sched::{CloneFlags, setns};
use tokio::runtime::Handle;

use super::links::Links;
use crate::{AttachmentId, Error, Netns};

/// A container's network namespace, entered.
#[derive(Debug)]
pub(super) struct Inside {
    pub file: File,
    pub links: Links,
}

pub(super) async fn enter(id: &AttachmentId, netns: &Netns) -> Result<Inside, Error> {
    let (send, receive) = oneshot::channel();
    let (runtime, owned_id, netns) = (Handle::current(), id.clone(), netns.clone());
    let work = move || {
        let _context = runtime.enter();
        // The receiver is gone only when the attachment was given up.
        let _given_up = send.send(enter_here(&owned_id, &netns));
    };
    let started = thread::Builder::new()
        .name("titus-net-enter".to_owned())
        .spawn(work);
    started.map_err(|source| failed("start", "a thread", source))?;
    receive.await.unwrap_or_else(|_| {
        Err(failed(
            "enter",
            "a namespace",
            io::Error::other("the thread ended"),
        ))
    })
}

fn enter_here(id: &AttachmentId, netns: &Netns) -> Result<Inside, Error> {
    let bad = |why: String| Error::Netns { id: id.clone(), why };
    let file = open(netns).map_err(|error| bad(format!("it cannot be opened: {error}")))?;
    let own = fs::metadata("/proc/thread-self/ns/net").map_err(|e| failed("read", "own namespace", e))?;
    let other = file
        .metadata()
        .map_err(|error| bad(format!("it cannot be read: {error}")))?;
    if own.dev() != other.dev() {
        return Err(bad("it is no namespace".to_owned()));
    }
    if own.ino() == other.ino() {
        return Err(bad("it is the host's own".to_owned()));
    }
    setns(&file, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
        nix::Error::EPERM => Error::Permission {
            operation: format!("enter the namespace of {id}"),
            source: errno.into(),
        },
        _ => bad(format!("it cannot be entered: {errno}")),
    })?;
    Ok(Inside {
        file,
        links: Links::open()?,
    })
}

fn open(netns: &Netns) -> io::Result<File> {
    match (netns.path(), netns.fd()) {
        (Some(path), _) => File::open(path),
        (_, Some(fd)) => Ok(File::from(fd.try_clone()?)),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn failed(operation: &'static str, object: &str, source: io::Error) -> Error {
    Error::Kernel {
        operation,
        object: object.to_owned(),
        source: source.into(),
    }
}
