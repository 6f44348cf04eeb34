//! The system calls that a sandbox may make, compiled once for every capability set in use.
//!
//! `seccomp.csv` beside this file is the list. A row with a capability counts for sandboxes that have it; a row with
//! a rule allows the call for some arguments only. All else answers EPERM. clone3 answers ENOSYS, since its flags
//! lie in memory where no filter can read them: the C library then falls back to clone, whose flags it can.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{BpfMap, BpfProgram, TargetArch, compile_from_json, sock_filter};
use serde_json::{Value, json};

use crate::caps::CapabilitySet;

const LIST: &str = include_str!("seccomp.csv");

/// The two filters, in the order in which they are installed, as bytes for the launcher's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filters {
    pub(crate) clone3: Vec<u8>,
    pub(crate) allowed: Vec<u8>,
}

/// Compiles both filters for this machine's architecture.
pub(crate) fn compile(capabilities: CapabilitySet) -> io::Result<Filters> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let mut programs = programs(capabilities, arch).map_err(io::Error::other)?;
    let mut take = |name| programs.remove(name).map(|p| to_bytes(&p)).unwrap_or_default();
    Ok(Filters {
        clone3: take("clone3"),
        allowed: take("allowed"),
    })
}

#[cfg(feature = "conformance")]
impl Filters {
    /// Filters that refuse nothing but a call that no program makes, for escape tests.
    pub(crate) fn allowing_all() -> io::Result<Self> {
        let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
        let nothing = json!({
            "mismatch_action": "allow",
            "match_action": {"errno": libc::ENOSYS},
            "filter": [{"syscall": "lookup_dcookie"}],
        });
        let text = json!({"nothing": nothing}).to_string();
        let programs = compile_from_json(text.as_bytes(), arch).map_err(io::Error::other)?;
        let bytes = programs.values().next().map(|p| to_bytes(p)).unwrap_or_default();
        Ok(Self {
            clone3: bytes.clone(),
            allowed: bytes,
        })
    }
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

fn programs(capabilities: CapabilitySet, arch: TargetArch) -> Result<BpfMap, seccompiler::Error> {
    let clone3 = json!({
        "mismatch_action": "allow",
        "match_action": {"errno": libc::ENOSYS},
        "filter": [{"syscall": "clone3"}],
    });
    let allowed = json!({
        "mismatch_action": {"errno": libc::EPERM},
        "match_action": "allow",
        "filter": rules(capabilities, arch),
    });
    let text = json!({"clone3": clone3, "allowed": allowed}).to_string();
    compile_from_json(text.as_bytes(), arch)
}

/// One entry for each call and way of allowing it. A call allowed whole is listed once, without conditions.
fn rules(capabilities: CapabilitySet, arch: TargetArch) -> Vec<Value> {
    let mut calls: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in LIST.lines().skip(1) {
        let mut cells = row.split(',');
        let mut cell = || cells.next().unwrap_or_default();
        let (call, row_arch, capability, rule) = (cell(), cell(), cell(), cell());
        let here = row_arch == "any" || TargetArch::try_from(row_arch).is_ok_and(|a| a == arch);
        if here && (capability.is_empty() || capabilities.contains(capability)) {
            calls.entry(call).or_default().push(rule);
        }
    }
    let mut rules = Vec::new();
    for (call, ways) in calls {
        if ways.contains(&"") || (call == "clone" && capabilities.contains("SYS_ADMIN")) {
            rules.push(json!({"syscall": call}));
        } else {
            rules.extend(
                ways.iter()
                    .flat_map(|way| conditions(way))
                    .map(|c| json!({"syscall": call, "args": [c]})),
            );
        }
    }
    rules
}

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
const AF_VSOCK: u64 = 40;
/// Linux, SVR4, with and without UNAME26, and the query.
const PERSONALITIES: [u64; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// The conditions of a named rule; one of them must hold.
fn conditions(rule: &str) -> Vec<Value> {
    let condition = |op: Value, value: u64| json!({"index": 0, "type": "dword", "op": op, "val": value});
    match rule {
        "no-new-namespace" => {
            vec![json!({"index": 0, "type": "qword", "op": {"masked_eq": NEW_NAMESPACES}, "val": 0})]
        }
        "not-vsock" => vec![condition(json!("ne"), AF_VSOCK)],
        "plain-personality" => PERSONALITIES.iter().map(|p| condition(json!("eq"), *p)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_compiles_for_both_architectures_and_any_capabilities() {
        let all = CapabilitySet::EMPTY
            .with("SYS_ADMIN")
            .and_then(|s| s.with("SYS_PTRACE"))
            .expect("known");
        for arch in ["x86_64", "aarch64"] {
            for capabilities in [CapabilitySet::EMPTY, CapabilitySet::docker_default(), all] {
                let arch = TargetArch::try_from(arch).expect("known");
                let programs =
                    programs(capabilities, arch).expect("every name is a call of that architecture");
                assert!(programs["allowed"].len() > 200);
            }
        }
    }

    #[test]
    fn capabilities_open_their_calls_and_no_others() {
        let arch = TargetArch::try_from("x86_64").expect("known");
        let allowed = |set| {
            rules(set, arch)
                .iter()
                .map(|r| r["syscall"].to_string())
                .collect::<Vec<_>>()
        };
        let has = |list: &[String], call: &str| list.contains(&format!("\"{call}\""));
        let default = allowed(CapabilitySet::docker_default());
        for call in ["read", "clone", "socket", "chroot", "clone3", "execve"] {
            assert!(has(&default, call), "{call} is not allowed");
        }
        for call in [
            "mount",
            "bpf",
            "keyctl",
            "unshare",
            "setns",
            "kexec_load",
            "io_uring_setup",
            "add_key",
        ] {
            assert!(!has(&default, call), "{call} is allowed");
        }
        assert!(has(
            &allowed(CapabilitySet::EMPTY.with("SYS_ADMIN").expect("known")),
            "mount"
        ));
    }

    #[test]
    fn every_rule_of_the_list_has_conditions() {
        for rule in LIST
            .lines()
            .skip(1)
            .filter_map(|l| l.split(',').nth(3))
            .filter(|r| !r.is_empty())
        {
            assert!(!conditions(rule).is_empty(), "{rule} allows nothing");
        }
    }

    #[test]
    fn filters_survive_the_way_through_bytes() {
        let arch = TargetArch::try_from("x86_64").expect("known");
        let program = programs(CapabilitySet::default(), arch)
            .expect("compiles")
            .remove("allowed")
            .expect("there");
        assert_eq!(from_bytes(&to_bytes(&program)), program);
    }
}
