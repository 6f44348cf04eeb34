use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a sandbox sees as `/`. Writes go to a layer of its own that ends with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootFs {
    /// Unpacked image layers, the top one first. Their files belong to root inside.
    ///
    /// All must lie in one folder (the layer store): it is mounted once, whatever the number of layers.
    Layers(Vec<PathBuf>),
    /// The root file system of the host, without what is mounted on it, under the rights of a nobody: programs
    /// run, `/etc/shadow`, `/root` and keys stay closed, homes, temporary files and our own state are hidden.
    Host,
}

/// One environment variable. Its value may be a secret: it never appears in `Debug`, errors or traces.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    name: String,
    value: String,
}

impl EnvVar {
    /// A variable; checked when the sandbox is planned.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value. Do not log it.
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=<{} bytes>", self.name, self.value.len())
    }
}

/// Who a command runs as. Names are looked up in the sandbox's own `/etc/passwd` and `/etc/group`, inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// A name or a number from 0 to 65,535.
    pub user: String,
    /// A name or a number; `None`: the user's own group, or 0.
    pub group: Option<String>,
}

impl User {
    /// Root inside: uid 0, gid 0.
    pub fn root() -> Self {
        Self {
            user: "0".to_owned(),
            group: Some("0".to_owned()),
        }
    }

    /// A user and group by number.
    pub fn ids(uid: u16, gid: u16) -> Self {
        Self {
            user: uid.to_string(),
            group: Some(gid.to_string()),
        }
    }

    /// Reads `user`, `user:group`, `1000` or `1000:1000`, as images and job files write it. Empty means root.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            _ if text.is_empty() => Self::root(),
            Some((user, group)) => Self {
                user: user.to_owned(),
                group: Some(group.to_owned()),
            },
            None => Self {
                user: text.to_owned(),
                group: None,
            },
        }
    }
}

/// Limits of one sandbox; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a CPU, at least 10: the share under contention, and the most it gets.
    pub milli_cpu: Option<u64>,
    /// Bytes of memory, page cache and kernel memory included; no swap on top.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids_max: Option<u64>,
    /// Size of `/dev/shm` in bytes. It counts as memory as well.
    pub shm_bytes: u64,
    /// Bytes that it may write to its own layer.
    pub disk_bytes: Option<u64>,
}

impl Default for Resources {
    /// No limits, and 64 MiB of `/dev/shm`.
    fn default() -> Self {
        Self {
            milli_cpu: None,
            memory_bytes: None,
            pids_max: None,
            shm_bytes: 64 << 20,
            disk_bytes: None,
        }
    }
}

/// A limit that a host may be unable to enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// [`Resources::milli_cpu`].
    Cpu,
    /// [`Resources::memory_bytes`].
    Memory,
    /// [`Resources::pids_max`].
    Pids,
    /// [`Resources::disk_bytes`].
    Disk,
}

impl Limit {
    /// The word for it in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Disk => "disk",
        }
    }
}

/// A folder or file of the host, shown read-only inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The folder of the host that volumes may come from. The operator's word, followed as it stands.
    pub root: PathBuf,
    /// The source, relative to `root`. No part of it may be a symbolic link or leave `root`.
    pub source: PathBuf,
    /// Absolute path inside; made when it is missing.
    pub target: PathBuf,
}

/// Where standard output and error go: `stdout` and `stderr` in a folder, older parts as `stdout.1`, `stdout.2`, …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// The folder on the host; made when it is missing, and left when the sandbox is removed.
    pub dir: PathBuf,
    /// Bytes in one file before it is rotated.
    pub max_bytes: u64,
    /// Files kept of each stream, the current one included; at least 1.
    pub files: u32,
}

impl LogConfig {
    /// Four files of 16 MiB for each stream.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_bytes: 16 << 20,
            files: 4,
        }
    }
}

/// A per-process limit, by the kernel's name in lower case without `RLIMIT_`, as `nofile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack`
    pub name: String,
    /// What a process has.
    pub soft: u64,
    /// What it can raise itself to.
    pub hard: u64,
}

/// A signal for a sandbox's command, by its Linux number, 1 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Signal(i32);

/// The text or number names no signal from 1 to 31.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no signal; use a name as `SIGTERM` or `TERM`, or a number from 1 to 31")]
pub struct UnknownSignal(String);

const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

impl Signal {
    /// Ask to end.
    pub const TERM: Self = Self(15);
    /// End at once; cannot be refused.
    pub const KILL: Self = Self(9);
    /// What a terminal sends on Ctrl-C.
    pub const INT: Self = Self(2);
    /// Commonly: read the configuration again.
    pub const HUP: Self = Self(1);

    /// The signal with this number.
    pub fn new(number: i32) -> Result<Self, UnknownSignal> {
        if (1..=31).contains(&number) {
            Ok(Self(number))
        } else {
            Err(UnknownSignal(number.to_string()))
        }
    }

    /// Its number.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Its name with `SIG`.
    pub fn name(self) -> String {
        let index = usize::try_from(self.0 - 1).expect("1 to 31 by construction");
        format!("SIG{}", SIGNALS[index])
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse() {
            return Self::new(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let index = SIGNALS
            .iter()
            .position(|s| *s == name)
            .ok_or_else(|| UnknownSignal(text.to_owned()))?;
        Self::new(i32::try_from(index + 1).unwrap_or(0))
    }
}

impl TryFrom<i32> for Signal {
    type Error = UnknownSignal;
    fn try_from(number: i32) -> Result<Self, Self::Error> {
        Self::new(number)
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_never_show() {
        let shown = format!("{:?}", EnvVar::new("TOKEN", "hunter2"));
        assert_eq!(shown, "TOKEN=<7 bytes>");
    }

    #[test]
    fn signals_by_name_and_number() {
        for (text, number) in [("SIGTERM", 15), ("kill", 9), ("10", 10), ("SYS", 31), ("HUP", 1)] {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number));
        }
        for bad in ["", "0", "32", "SIG", "-1", "TERMINATE"] {
            assert!(bad.parse::<Signal>().is_err(), "{bad:?} passed");
        }
        assert_eq!(Signal::KILL.to_string(), "SIGKILL");
    }

    #[test]
    fn users_as_images_write_them() {
        assert_eq!(User::parse(""), User::root());
        assert_eq!(
            User::parse("www"),
            User {
                user: "www".into(),
                group: None
            }
        );
        assert_eq!(
            User::parse("1000:50"),
            User {
                user: "1000".into(),
                group: Some("50".into())
            }
        );
    }
}
