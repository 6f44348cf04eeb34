//! Volumes: normalised absolute paths, and nothing over the folders that the kernel and the sandbox own.

use std::collections::BTreeSet;

use crate::spec::findings::{Findings, shown};
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::JobRequest;

/// Linux's longest path, with its closing NUL.
const PATH_MAX: usize = 4_095;

const RESERVED: [&str; 3] = ["/proc", "/sys", "/dev"];

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let volumes = &request.container.volumes;
    let max = limits.get(Limit::Volumes).max;
    if volumes.len() as u64 > max {
        found.refuse(
            "container.volumes",
            format!("{} volumes are given, at most {max} are allowed", volumes.len()),
            "mount a folder that holds them all",
        );
    }
    let mut seen = BTreeSet::new();
    for (i, volume) in volumes.iter().enumerate() {
        path(
            &volume.host_path,
            &format!("container.volumes[{i}].hostPath"),
            found,
        );
        let field = format!("container.volumes[{i}].mountPath");
        if path(&volume.mount_path, &field, found) {
            mount_path(&volume.mount_path, &field, found);
        }
        if !seen.insert(&volume.mount_path) {
            found.refuse(
                field,
                format!("{} is mounted over twice", shown(&volume.mount_path)),
                "give each volume a folder of its own",
            );
        }
    }
}

/// True when the path is as it should be.
fn path(path: &str, field: &str, found: &mut Findings) -> bool {
    let help = "write the whole path without `.`, `..`, `//` or a `/` at its end, as /srv/data";
    if is_normal(path) {
        return true;
    }
    found.refuse(
        field,
        format!("{} is not a normalised absolute path", shown(path)),
        help,
    );
    false
}

fn is_normal(path: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p != "." && p != ".." && !p.chars().any(char::is_control);
    path.len() <= PATH_MAX
        && (path == "/"
            || path
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(part)))
}

fn mount_path(path: &str, field: &str, found: &mut Findings) {
    let below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if path == "/" || RESERVED.into_iter().any(below) {
        found.refuse(
            field,
            format!("{} belongs to the sandbox", shown(path)),
            "mount it elsewhere, as /data: not over /, /proc, /sys or /dev",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_normalised() {
        for good in ["/", "/a", "/a/b.c", "/..a/b..", "/…"] {
            assert!(is_normal(good), "{good}");
        }
        for bad in [
            "", "a", "/a/", "//a", "/a//b", "/.", "/a/./b", "/..", "/a/../b", "/a\0b", "/a\nb",
        ] {
            assert!(!is_normal(bad), "{bad}");
        }
        assert!(is_normal(&format!("/{}", "a".repeat(PATH_MAX - 1))));
        assert!(!is_normal(&format!("/{}", "a".repeat(PATH_MAX))));
    }

    #[test]
    fn the_sandboxs_own_folders_are_not_mounted_over() {
        let refused = |path: &str| {
            let mut found = Findings::default();
            mount_path(path, "f", &mut found);
            !found.violations.is_empty()
        };
        for bad in [
            "/",
            "/proc",
            "/proc/self",
            "/sys",
            "/sys/fs/cgroup",
            "/dev",
            "/dev/shm",
        ] {
            assert!(refused(bad), "{bad}");
        }
        for good in ["/data", "/process", "/system/x", "/devices"] {
            assert!(!refused(good), "{good}");
        }
    }
}
