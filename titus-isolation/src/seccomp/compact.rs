//! A list of calls as a search tree of ranges.
//!
//! The compiled list compares one number after another. The kernel runs a new filter once for every call it knows, so
//! installing a long one takes most of a millisecond; as a tree it takes a tenth. The tree is built from what the
//! list answers for every number, so it cannot mean anything else.

use seccompiler::{BpfProgram, sock_filter};

/// What lets a call through.
#[cfg(test)]
pub(super) const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

/// Above every number that any architecture gives a call.
const NUMBERS: u32 = 2_048;

const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const JUMP: u16 = 0x05;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// The same decisions as a list's, which must not look at arguments, in fewer instructions.
pub(super) fn compact(list: &[sock_filter]) -> BpfProgram {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in 0..NUMBERS {
        let action = evaluate(list, number, 0);
        if runs.last().is_none_or(|(_, last)| *last != action) {
            runs.push((number, action));
        }
    }
    // The architecture's check and the load of the number are the list's own first instructions.
    let number_loaded = list
        .iter()
        .position(|i| i.code == LOAD && i.k == 0)
        .map_or(0, |at| at + 1);
    let mut program = list[..number_loaded].to_vec();
    program.extend(tree(&runs));
    program
}

/// Runs of equal actions, by the number each begins with.
fn tree(runs: &[(u32, u32)]) -> BpfProgram {
    if let [(_, action)] = runs {
        return vec![instruction(RETURN, 0, 0, *action)];
    }
    let (low, high) = runs.split_at(runs.len() / 2);
    let (low, first_high) = (tree(low), high[0].0);
    let over_low = u32::try_from(low.len()).unwrap_or(u32::MAX);
    let mut program = vec![
        instruction(AT_LEAST, 0, 1, first_high),
        instruction(JUMP, 0, 0, over_low),
    ];
    program.extend(low);
    program.extend(tree(high));
    program
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// What a program answers for a call with this first argument, on its own architecture. A program that this does not
/// understand refuses everything.
pub(super) fn evaluate(program: &[sock_filter], number: u32, argument: u64) -> u32 {
    let architecture = program.iter().find(|i| i.code == EQUAL).map_or(0, |i| i.k);
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    while let Some(step) = program.get(at) {
        let taken = match step.code {
            LOAD => {
                accumulator = match step.k {
                    0 => number,
                    4 => architecture,
                    16 => u32::try_from(argument & 0xffff_ffff).unwrap_or(0),
                    20 => u32::try_from(argument >> 32).unwrap_or(0),
                    _ => 0,
                };
                0
            }
            AND => {
                accumulator &= step.k;
                0
            }
            JUMP => step.k as usize,
            EQUAL => usize::from(if accumulator == step.k { step.jt } else { step.jf }),
            GREATER => usize::from(if accumulator > step.k { step.jt } else { step.jf }),
            AT_LEAST => usize::from(if accumulator >= step.k { step.jt } else { step.jf }),
            RETURN => return step.k,
            _ => break,
        };
        at += 1 + taken;
    }
    libc::SECCOMP_RET_KILL_PROCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};

    fn list(numbers: &[i64]) -> BpfProgram {
        let rules = numbers.iter().map(|n| (*n, Vec::new())).collect();
        let arch = TargetArch::try_from("x86_64").expect("known");
        let filter =
            SeccompFilter::new(rules, SeccompAction::Errno(1), SeccompAction::Allow, arch).expect("a filter");
        filter.try_into().expect("compiles")
    }

    #[test]
    fn a_tree_decides_as_its_list_for_every_number() {
        for numbers in [
            vec![],
            vec![0],
            vec![5],
            vec![0, 1, 2, 7, 9, 10, 300, 434, 435, 460],
            (0..200).map(|n| n * 3).collect(),
        ] {
            let list = list(&numbers);
            let tree = compact(&list);
            for number in (0..NUMBERS).chain([NUMBERS, 0x4000_0000, 0x4000_0001, u32::MAX]) {
                assert_eq!(
                    evaluate(&tree, number, 0),
                    evaluate(&list, number, 0),
                    "{number} of {numbers:?}"
                );
            }
        }
    }

    #[test]
    fn a_tree_checks_the_architecture_first() {
        let list = list(&[0, 1]);
        let tree = compact(&list);
        assert_eq!(tree[..3], list[..3]);
        assert_eq!((tree[0].code, tree[0].k), (LOAD, 4));
        assert_eq!(tree[2], instruction(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    }

    #[test]
    fn a_program_that_is_not_understood_refuses() {
        assert_eq!(
            evaluate(&[instruction(0x87, 0, 0, 0)], 0, 0),
            libc::SECCOMP_RET_KILL_PROCESS
        );
        assert_eq!(evaluate(&[], 0, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
