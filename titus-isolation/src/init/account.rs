//! Users and groups by name, from the sandbox's own files. Those are the tenant's: bounded, and never waited on.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use crate::spec::User;

pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// The most bytes of `/etc/passwd` or `/etc/group` that are read.
const MAX_BYTES: u64 = 1 << 20;
const MAX_GROUPS: usize = 1_024;

pub(super) fn find(user: &User) -> Result<Account, String> {
    // The common case reads no file: root, or both by number.
    if let (Some(uid), Some(gid)) = (number(&user.user), user.group.as_deref().and_then(number)) {
        return Ok(Account {
            uid,
            gid,
            groups: Vec::new(),
        });
    }
    resolve(user, &read("/etc/passwd"), &read("/etc/group"))
}

fn resolve(user: &User, passwd: &str, group: &str) -> Result<Account, String> {
    let lines = || {
        passwd
            .lines()
            .map(|l| l.split(':').collect::<Vec<_>>())
            .filter(|f| f.len() >= 4)
    };
    let named = lines().find(|f| f[0] == user.user);
    let by_number = number(&user.user);
    let entry = named.or_else(|| by_number.and_then(|n| lines().find(|f| number(f[2]) == Some(n))));
    let uid = match (&entry, by_number) {
        (Some(fields), _) => number(fields[2]),
        (None, number) => number,
    };
    let uid = uid.ok_or_else(|| format!("`{}` is not in the image's /etc/passwd", user.user))?;
    let gid = match &user.group {
        Some(name) => {
            group_id(name, group).ok_or_else(|| format!("`{name}` is not in the image's /etc/group"))?
        }
        None => entry.as_ref().and_then(|f| number(f[3])).unwrap_or(0),
    };
    let name = entry.map_or("", |f| f[0]);
    Ok(Account {
        uid,
        gid,
        groups: memberships(name, group),
    })
}

fn group_id(name: &str, group: &str) -> Option<u32> {
    let lines = || {
        group
            .lines()
            .map(|l| l.split(':').collect::<Vec<_>>())
            .filter(|f| f.len() >= 3)
    };
    lines()
        .find(|f| f[0] == name)
        .and_then(|f| number(f[2]))
        .or_else(|| number(name))
}

fn memberships(name: &str, group: &str) -> Vec<u32> {
    let member =
        |fields: &Vec<&str>| fields.len() >= 4 && !name.is_empty() && fields[3].split(',').any(|m| m == name);
    group
        .lines()
        .map(|l| l.split(':').collect::<Vec<_>>())
        .filter(member)
        .filter_map(|f| number(f[2]))
        .take(MAX_GROUPS)
        .collect()
}

/// Only ids that the sandbox has.
fn number(text: &str) -> Option<u32> {
    text.parse::<u16>().ok().map(u32::from)
}

/// A pipe or device in the file's place is not waited for.
fn read(path: &str) -> String {
    let mut text = Vec::new();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    if let Ok(file) = file
        && file.metadata().is_ok_and(|m| m.is_file())
    {
        let _a_part_is_fine = file.take(MAX_BYTES).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nwww:x:33:34::/:\nbroken\nhuge:x:70000:1::/:\n";
    const GROUP: &str = "root:x:0:\nweb:x:50:www,other\nmail:x:8:www\n";

    fn ids(user: &str) -> Result<(u32, u32, Vec<u32>), String> {
        resolve(&User::parse(user), PASSWD, GROUP).map(|a| (a.uid, a.gid, a.groups))
    }

    #[test]
    fn names_numbers_and_memberships() {
        assert_eq!(ids("www"), Ok((33, 34, vec![50, 8])));
        assert_eq!(ids("33"), Ok((33, 34, vec![50, 8])));
        assert_eq!(ids("www:web"), Ok((33, 50, vec![50, 8])));
        assert_eq!(ids("1000"), Ok((1000, 0, vec![])));
        assert_eq!(ids("1000:7"), Ok((1000, 7, vec![])));
        assert!(ids("nobody").is_err());
        assert!(ids("www:nobody").is_err());
    }

    #[test]
    fn an_id_that_the_sandbox_does_not_have_is_refused() {
        assert!(ids("huge").is_err());
        assert!(ids("65536").is_err());
        assert!(ids("-1").is_err());
    }
}
