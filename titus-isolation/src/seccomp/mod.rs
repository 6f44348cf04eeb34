//! The system calls that a sandbox may make, compiled once for every capability set in use.
//!
//! `list.csv` beside this file is the list. A row with a capability counts for sandboxes that have it; a row with
//! a rule allows the call for some arguments only. All else answers EPERM. clone3 answers ENOSYS, since its flags
//! lie in memory where no filter can read them: the C library then falls back to clone, whose flags it can.
//!
//! One filter can refuse in one way only, so three are stacked: clone3, then arguments, then the list.

mod compact;

use std::collections::BTreeMap;
use std::io;

use seccompiler::{BpfMap, BpfProgram, TargetArch, compile_from_json, sock_filter};
use serde_json::{Value, json};

use crate::caps::CapabilitySet;

const LIST: &str = include_str!("list.csv");

/// The filters, in the order in which they are installed, as bytes for the launcher's message.
pub(crate) type Filters = [Vec<u8>; 3];

/// Compiles the filters for this machine's architecture.
pub(crate) fn compile(capabilities: CapabilitySet) -> io::Result<Filters> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    Ok(programs(capabilities, arch)
        .map_err(io::Error::other)?
        .map(|program| to_bytes(&program)))
}

/// Filters that refuse nothing but a call that no program makes, for escape tests.
#[cfg(feature = "conformance")]
pub(crate) fn allowing_all() -> io::Result<Filters> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let text = json!({"open": refusing(&[json!({"syscall": "lookup_dcookie"})], libc::ENOSYS)}).to_string();
    let programs = compile_from_json(text.as_bytes(), arch).map_err(io::Error::other)?;
    let bytes = programs.values().next().map(|p| to_bytes(p)).unwrap_or_default();
    Ok([bytes.clone(), bytes.clone(), bytes])
}

/// The filter that [`compile`] turned into bytes.
pub(crate) fn from_bytes(bytes: &[u8]) -> BpfProgram {
    bytes
        .chunks_exact(8)
        .map(|c| sock_filter {
            code: u16::from_ne_bytes([c[0], c[1]]),
            jt: c[2],
            jf: c[3],
            k: u32::from_ne_bytes([c[4], c[5], c[6], c[7]]),
        })
        .collect()
}

fn to_bytes(program: &[sock_filter]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for instruction in program {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jt, instruction.jf]);
        bytes.extend(instruction.k.to_ne_bytes());
    }
    bytes
}

fn programs(capabilities: CapabilitySet, arch: TargetArch) -> Result<[BpfProgram; 3], seccompiler::Error> {
    let calls = calls(capabilities, arch);
    let listed: Vec<_> = calls.keys().map(|call| json!({"syscall": call})).collect();
    let arguments: Vec<_> = calls
        .iter()
        .flat_map(|(call, rule)| {
            refused_arguments(rule)
                .into_iter()
                .map(move |args| json!({"syscall": call, "args": args}))
        })
        .collect();
    let text = json!({
        "clone3": refusing(&[json!({"syscall": "clone3"})], libc::ENOSYS),
        "arguments": refusing(&arguments, libc::EPERM),
        "list": {"mismatch_action": {"errno": libc::EPERM}, "match_action": "allow", "filter": listed},
    });
    let mut compiled: BpfMap = compile_from_json(text.to_string().as_bytes(), arch)?;
    let mut take = |name| compiled.remove(name).unwrap_or_default();
    Ok([take("clone3"), take("arguments"), compact::compact(&take("list"))])
}

fn refusing(rules: &[Value], errno: i32) -> Value {
    json!({"mismatch_action": "allow", "match_action": {"errno": errno}, "filter": rules})
}

/// Every allowed call with the rule for its arguments, which is empty where all are allowed.
fn calls(capabilities: CapabilitySet, arch: TargetArch) -> BTreeMap<&'static str, &'static str> {
    let mut calls = BTreeMap::new();
    for row in LIST.lines().skip(1) {
        let mut cells = row.split(',');
        let mut cell = || cells.next().unwrap_or_default();
        let (call, row_arch, capability, rule) = (cell(), cell(), cell(), cell());
        let here = row_arch == "any" || TargetArch::try_from(row_arch).is_ok_and(|a| a == arch);
        if here && (capability.is_empty() || capabilities.contains(capability)) {
            calls.insert(call, rule);
        }
    }
    // Who may make namespaces at all may make them by clone too.
    if capabilities.contains("SYS_ADMIN") {
        calls.insert("clone", "");
    }
    calls
}

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NEW_NAMESPACES: [u64; 7] = [
    0x0002_0000,
    0x0200_0000,
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
];
const AF_VSOCK: u64 = 40;
/// Linux and SVR4, with and without UNAME26, and the query.
const PERSONALITIES: [u64; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// The sets of conditions under which a call is refused; each set holds as a whole.
fn refused_arguments(rule: &str) -> Vec<Vec<Value>> {
    let condition = |op: Value, value: u64| json!({"index": 0, "type": "dword", "op": op, "val": value});
    match rule {
        "no-new-namespace" => NEW_NAMESPACES
            .iter()
            .map(|bit| vec![condition(json!({"masked_eq": bit}), *bit)])
            .collect(),
        "not-vsock" => vec![vec![condition(json!("eq"), AF_VSOCK)]],
        "plain-personality" => vec![PERSONALITIES.iter().map(|p| condition(json!("ne"), *p)).collect()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::compact::{ALLOW, evaluate};
    use super::*;

    fn arch(name: &str) -> TargetArch {
        TargetArch::try_from(name).expect("known")
    }

    /// The action of all three together for a call with this first argument, as errno; 0 is allowed.
    fn errno(programs: &[BpfProgram; 3], number: libc::c_long, argument: u64) -> u32 {
        let number = u32::try_from(number).expect("a call");
        let actions = programs.iter().map(|p| evaluate(p, number, argument));
        actions.rev().find(|a| *a != ALLOW).map_or(0, |a| a & 0xffff)
    }

    #[test]
    fn the_list_compiles_for_both_architectures_and_any_capabilities() {
        let all = CapabilitySet::EMPTY
            .with("SYS_ADMIN")
            .and_then(|s| s.with("SYS_PTRACE"))
            .expect("known");
        for name in ["x86_64", "aarch64"] {
            for capabilities in [CapabilitySet::EMPTY, CapabilitySet::docker_default(), all] {
                let programs = programs(capabilities, arch(name)).expect("every name is a call there");
                assert!(
                    programs.iter().all(|p| p.len() > 5 && p.len() < 700),
                    "{:?}",
                    programs.each_ref().map(Vec::len)
                );
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn calls_and_arguments_are_decided_as_listed() {
        let default = programs(CapabilitySet::docker_default(), arch("x86_64")).expect("compiles");
        let (eperm, enosys) = (libc::EPERM.unsigned_abs(), libc::ENOSYS.unsigned_abs());
        for call in [
            libc::SYS_read,
            libc::SYS_execve,
            libc::SYS_chroot,
            libc::SYS_ptrace,
            libc::SYS_futex,
        ] {
            assert_eq!(errno(&default, call, 0), 0, "{call}");
        }
        for call in [
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_kexec_load,
            libc::SYS_io_uring_setup,
            libc::SYS_add_key,
            libc::SYS_open_by_handle_at,
            0x4000_0000,
            100_000,
        ] {
            assert_eq!(errno(&default, call, 0), eperm, "{call}");
        }
        assert_eq!(errno(&default, libc::SYS_clone3, 0), enosys);
        for bit in NEW_NAMESPACES {
            assert_eq!(errno(&default, libc::SYS_clone, bit | 17), eperm, "{bit:x}");
        }
        assert_eq!(errno(&default, libc::SYS_clone, 0x0100_0000 | 17), 0);
        assert_eq!(
            (
                errno(&default, libc::SYS_socket, 2),
                errno(&default, libc::SYS_socket, 40)
            ),
            (0, eperm)
        );
        assert_eq!(errno(&default, libc::SYS_personality, 0xffff_ffff), 0);
        assert_eq!(errno(&default, libc::SYS_personality, 0x0040_0000), eperm);
        let admin = CapabilitySet::docker_default().with("SYS_ADMIN").expect("known");
        let admin = programs(admin, arch("x86_64")).expect("compiles");
        for (call, argument) in [
            (libc::SYS_mount, 0),
            (libc::SYS_clone, 0x1000_0000),
            (libc::SYS_unshare, 0),
        ] {
            assert_eq!(errno(&admin, call, argument), 0, "{call}");
        }
    }

    #[test]
    fn every_rule_of_the_list_has_conditions() {
        for rule in LIST
            .lines()
            .skip(1)
            .filter_map(|l| l.split(',').nth(3))
            .filter(|r| !r.is_empty())
        {
            assert!(!refused_arguments(rule).is_empty(), "{rule} refuses nothing");
        }
    }

    #[test]
    fn filters_survive_the_way_through_bytes() {
        for program in programs(CapabilitySet::default(), arch("x86_64")).expect("compiles") {
            assert_eq!(from_bytes(&to_bytes(&program)), program);
        }
    }
}
