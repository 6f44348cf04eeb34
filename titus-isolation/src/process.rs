//! Processes of the host, named so that a reused pid is never mistaken for the one meant.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use crate::sys;

/// When a process began, in clock ticks since the machine booted.
pub(crate) fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_time(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Field 22. The second field is the program's name in brackets, which may itself hold brackets and spaces.
fn parse_start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// A descriptor of the process that had this pid since then; `None` when it has ended and been reaped.
pub(crate) fn open(pid: i32, began: u64) -> io::Result<Option<OwnedFd>> {
    let process = match sys::pidfd_open(pid) {
        Ok(process) => process,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
        Err(error) => return Err(error),
    };
    // Read after opening: if the pid still has that age now, the descriptor is of that process.
    match start_time(pid) {
        Ok(now) if now == began => Ok(Some(process)),
        Ok(_) => Ok(None),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let numbers = (3..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = format!("7 (a ) (b) S {}", numbers.split_once(' ').expect("many").1);
        assert_eq!(parse_start_time(&stat), Some(22));
    }

    #[test]
    fn a_pid_with_another_age_is_another_process() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let began = start_time(own).expect("readable");
        assert!(open(own, began).expect("readable").is_some());
        assert!(open(own, began + 1).expect("readable").is_none());
    }
}
