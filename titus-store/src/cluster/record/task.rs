//! The hot record of a task: hand-written, 241 bytes in version 1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use titus_core::id::{HostId, JobId, PlanId, TaskId};
use titus_core::task::{Attempts, Exit, ReasonCode, StageTimes, TaskHot, TaskState};
use titus_core::time::Timestamp;

use crate::codec::{Reader, Writer};
use crate::error::Result;

const VERSION: u8 = 1;
const RECORD: &str = "task";
/// Stands for no time: no clock reads it.
const NO_TIME: i64 = i64::MIN;
const NO_REASON: u8 = 255;

/// Writes the record.
#[must_use]
pub fn encode(task: &TaskHot) -> Vec<u8> {
    let mut w = Writer::new(VERSION);
    w.raw(&task.id.to_bytes())
        .raw(&task.job.to_bytes())
        .raw(&task.original.to_bytes());
    w.raw(&task.resubmit_of.map_or([0; 16], TaskId::to_bytes));
    w.raw(&task.plan.map_or([0; 16], PlanId::to_bytes));
    w.u32(task.index).u64(task.version);
    w.u8(task.state.number()).u8(task.reason.number());
    w.u8(task.kill_reason.map_or(NO_REASON, ReasonCode::number));
    let (kind, detail) = exit_bytes(task.exit);
    w.u8(kind).u8(detail);
    w.u16(task.attempts.resubmits)
        .u16(task.attempts.system)
        .u16(task.attempts.evictions);
    host(&mut w, task.host);
    address(&mut w, task.address);
    for (_, at) in task.times.stages() {
        time(&mut w, at);
    }
    time(&mut w, task.not_before);
    w.finish()
}

/// Reads the record.
///
/// # Errors
/// [`Error::Record`](crate::Error::Record) when it is damaged or of an unknown version.
pub fn decode(bytes: &[u8]) -> Result<TaskHot> {
    let (_, mut r) = Reader::open(RECORD, &[VERSION], bytes)?;
    let id = TaskId::from_bytes(r.array()?);
    let job = JobId::from_bytes(r.array()?);
    let original = TaskId::from_bytes(r.array()?);
    let resubmit_of = some_unless_zero(r.array()?).map(TaskId::from_bytes);
    let plan = some_unless_zero(r.array()?).map(PlanId::from_bytes);
    let (index, version) = (r.u32()?, r.u64()?);
    let state = r.u8()?;
    let state = TaskState::from_number(state).ok_or_else(|| r.invalid("state"))?;
    let reason = r.u8()?;
    let reason = ReasonCode::from_number(reason).ok_or_else(|| r.invalid("reason"))?;
    let kill_reason = match r.u8()? {
        NO_REASON => None,
        number => Some(ReasonCode::from_number(number).ok_or_else(|| r.invalid("kill reason"))?),
    };
    let exit = read_exit(&mut r)?;
    let attempts = Attempts {
        resubmits: r.u16()?,
        system: r.u16()?,
        evictions: r.u16()?,
    };
    let host = read_host(&mut r)?;
    let address = read_address(&mut r)?;
    let mut times = StageTimes::default();
    for at in [
        &mut times.queued,
        &mut times.placed,
        &mut times.preparing,
        &mut times.image,
        &mut times.network,
        &mut times.started,
        &mut times.healthy,
        &mut times.killed,
        &mut times.finished,
    ] {
        *at = read_time(&mut r)?;
    }
    let not_before = read_time(&mut r)?;
    r.finish()?;
    Ok(TaskHot {
        id,
        job,
        index,
        state,
        reason,
        kill_reason,
        exit,
        original,
        resubmit_of,
        attempts,
        host,
        plan,
        address,
        times,
        not_before,
        version,
    })
}

fn some_unless_zero(bytes: [u8; 16]) -> Option<[u8; 16]> {
    (bytes != [0; 16]).then_some(bytes)
}

fn time(w: &mut Writer, at: Option<Timestamp>) {
    w.i64(at.map_or(NO_TIME, Timestamp::as_millis));
}

fn read_time(r: &mut Reader<'_>) -> Result<Option<Timestamp>> {
    let millis = r.i64()?;
    Ok((millis != NO_TIME).then(|| Timestamp::from_millis(millis)))
}

const fn exit_bytes(exit: Option<Exit>) -> (u8, u8) {
    match exit {
        None => (0, 0),
        Some(Exit::Code(code)) => (1, code),
        Some(Exit::Signal(signal)) => (2, signal),
        Some(Exit::OutOfMemory) => (3, 0),
        Some(Exit::ExecFailed(code)) => (4, code),
        Some(Exit::Unknown) => (5, 0),
    }
}

fn read_exit(r: &mut Reader<'_>) -> Result<Option<Exit>> {
    let (kind, detail) = (r.u8()?, r.u8()?);
    Ok(match kind {
        0 => None,
        1 => Some(Exit::Code(detail)),
        2 => Some(Exit::Signal(detail)),
        3 => Some(Exit::OutOfMemory),
        4 => Some(Exit::ExecFailed(detail)),
        5 => Some(Exit::Unknown),
        _ => return Err(r.invalid("exit")),
    })
}

fn host(w: &mut Writer, host: Option<HostId>) {
    let mut bytes = [0; HostId::MAX];
    if let Some(host) = &host {
        bytes[..host.as_str().len()].copy_from_slice(host.as_str().as_bytes());
    }
    w.raw(&bytes);
}

fn read_host(r: &mut Reader<'_>) -> Result<Option<HostId>> {
    let bytes: [u8; HostId::MAX] = r.array()?;
    let len = bytes.iter().position(|b| *b == 0).unwrap_or(HostId::MAX);
    if len == 0 {
        return Ok(None);
    }
    let name = std::str::from_utf8(&bytes[..len]).map_err(|_| r.invalid("host"))?;
    HostId::new(name).map(Some).map_err(|_| r.invalid("host"))
}

fn address(w: &mut Writer, address: Option<IpAddr>) {
    let (kind, bytes) = match address {
        None => (0, [0; 16]),
        Some(IpAddr::V4(v4)) => (4, v4.to_ipv6_mapped().octets()),
        Some(IpAddr::V6(v6)) => (6, v6.octets()),
    };
    w.u8(kind).raw(&bytes);
}

fn read_address(r: &mut Reader<'_>) -> Result<Option<IpAddr>> {
    let (kind, bytes) = (r.u8()?, r.array::<16>()?);
    let [.., a, b, c, d] = bytes;
    Ok(match kind {
        0 => None,
        4 => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        6 => Some(IpAddr::V6(Ipv6Addr::from(bytes))),
        _ => return Err(r.invalid("address")),
    })
}

#[cfg(test)]
mod tests {
    use titus_core::time::Millis;

    use super::*;
    use crate::error::Error;

    fn full() -> TaskHot {
        let at = |n: u64| Some(Timestamp::from_millis(1_700_000_000_000) + Millis(n));
        let task = TaskHot::accepted(
            TaskId::from_bytes([1; 16]),
            JobId::from_bytes([2; 16]),
            7,
            at(0).unwrap(),
        );
        TaskHot {
            state: TaskState::Finished,
            reason: ReasonCode::Failed,
            kill_reason: Some(ReasonCode::Killed),
            exit: Some(Exit::Signal(9)),
            resubmit_of: Some(TaskId::from_bytes([3; 16])),
            attempts: Attempts {
                resubmits: 3,
                system: 2,
                evictions: 1,
            },
            host: Some(HostId::new(&"h".repeat(40)).unwrap()),
            plan: Some(PlanId::from_bytes([4; 16])),
            address: Some("10.1.2.3".parse().unwrap()),
            times: StageTimes {
                queued: at(0),
                placed: at(1),
                preparing: at(2),
                image: at(3),
                network: at(4),
                started: at(5),
                healthy: at(6),
                killed: at(7),
                finished: at(8),
            },
            not_before: at(9),
            version: u64::MAX,
            ..task
        }
    }

    #[test]
    fn a_record_is_read_back_and_fits_256_bytes() {
        let empty = TaskHot::accepted(
            TaskId::from_bytes([9; 16]),
            JobId::from_bytes([8; 16]),
            0,
            Timestamp::EPOCH,
        );
        for task in [
            full(),
            empty,
            TaskHot {
                address: Some("fe80::1".parse().unwrap()),
                ..full()
            },
        ] {
            let bytes = encode(&task);
            assert_eq!(bytes.len(), 241);
            assert_eq!(decode(&bytes).unwrap(), task);
        }
        for exit in [
            Exit::Code(255),
            Exit::OutOfMemory,
            Exit::ExecFailed(127),
            Exit::Unknown,
        ] {
            let task = TaskHot {
                exit: Some(exit),
                ..full()
            };
            assert_eq!(decode(&encode(&task)).unwrap(), task);
        }
    }

    #[test]
    fn version_1_never_changes() {
        let golden: String = encode(&full()).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(golden, include_str!("../../../tests/golden/task_v1.hex").trim());
    }

    #[test]
    fn damage_is_an_error_that_names_the_record() {
        let good = encode(&full());
        let mut unknown = good.clone();
        unknown[0] = 2;
        let mut bad_state = good.clone();
        bad_state[93] = 77;
        for bytes in [
            &good[..200],
            &unknown,
            &bad_state,
            &[],
            &[good.clone(), vec![0]].concat(),
        ] {
            assert!(
                matches!(decode(bytes), Err(Error::Record { record: "task", .. })),
                "{bytes:?}"
            );
        }
    }
}
