//! Random schedules, checked against a model: is there a serial order that explains everything that was read?
//!
//! Every transaction appends its number to a log, so the log is the order of the commits, and tells which of the unknown
//! ones landed. Replaying it must explain every serializable read of a landed transaction at the transaction's place in
//! the order, and every read of any transaction at its read version.

use std::collections::BTreeMap;

use titus_core::rng::{Rng, RngTree};

use super::{Keys, Outcome, Stop, Subject, TRIES, ensure};
use crate::error::Error;
use crate::key::{Key, Stamp};
use crate::kv::{KeyRange, Read, Txn, Version};

const KEYS: u64 = 5;

/// Schedules played at the same time, each under keys of its own, so that commits meet in a batch.
const SIDE_BY_SIDE: usize = 16;

type State = BTreeMap<u64, u64>;

/// The order of the commits: version and number of each transaction that landed.
type Log = Vec<(Version, usize)>;

/// One transaction of a schedule: what it saw, what it wrote, how it ended.
struct Run {
    txn: Option<Box<dyn Txn>>,
    read_version: Version,
    reads: Vec<(Read, Seen)>,
    writes: Vec<Write>,
    end: End,
}

/// A read and its result. Its own writes at that moment come before what is stored.
struct Seen {
    from: u64,
    to: u64,
    limit: usize,
    own: usize,
    found: Vec<(u64, u64)>,
}

#[derive(Clone, Copy)]
enum Write {
    Set(u64, u64),
    Clear(u64, u64),
}

enum End {
    Open,
    Committed(Version),
    Refused,
    Unknown,
}

pub(super) async fn history(subject: &Subject, keys: &Keys) -> Outcome {
    let tree = RngTree::new(subject.seed);
    let mut committed = 0;
    let mut finished = 0;
    for first in (0..subject.schedules).step_by(SIDE_BY_SIDE) {
        let group = (first..subject.schedules).take(SIDE_BY_SIDE).map(async |number| {
            let mut rng = tree.child(&format!("schedule/{number}"));
            let (runs, log) = play_one(subject, keys, number, &mut rng).await?;
            let explain = |seen| format!("schedule {number} of seed {}: {seen}", subject.seed);
            check(&runs, &log).map_err(explain).map_err(Stop::Broken)?;
            Ok::<_, Stop>((log.len(), runs.len()))
        });
        for (landed, played) in futures::future::try_join_all(group).await? {
            committed += landed;
            finished += played;
        }
    }
    ensure(committed * 4 > finished, || {
        format!("only {committed} of {finished} transactions committed: conflicts are found where none are")
    })
}

/// Plays a schedule, again under fresh keys when chance failed an operation.
async fn play_one(subject: &Subject, keys: &Keys, number: u64, rng: &mut Rng) -> Outcome<(Vec<Run>, Log)> {
    let mut failed = None;
    for attempt in 0..TRIES {
        let schedule = Schedule {
            subject,
            root: keys.0.clone().uint(number).uint(attempt),
        };
        let played = async { Ok((schedule.play(rng).await?, schedule.log().await?)) };
        match played.await {
            Err(Stop::Failed(error)) => failed = Some(error),
            done => return done,
        }
    }
    Err(failed.map_or_else(|| Stop::Broken("no schedule was played".into()), Stop::Failed))
}

/// A schedule's keys: `data` for values, `log` for the order.
struct Schedule<'a> {
    subject: &'a Subject,
    root: Key,
}

impl Schedule<'_> {
    fn data(&self, key: u64) -> Key {
        self.root.clone().text("data").uint(key)
    }

    fn range(&self, from: u64, to: u64) -> KeyRange {
        KeyRange::new(self.data(from).into_bytes(), self.data(to).into_bytes())
    }

    /// Runs a few transactions in a random interleaving until all have ended.
    async fn play(&self, rng: &mut Rng) -> Outcome<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        let total = 2 + rng.below(4);
        loop {
            let open: Vec<usize> = (0..runs.len()).filter(|i| runs[*i].txn.is_some()).collect();
            let can_begin = (runs.len() as u64) < total;
            if open.is_empty() && !can_begin {
                return Ok(runs);
            }
            if open.is_empty() || (can_begin && rng.chance(1, 4)) {
                let acknowledged = latest(&runs);
                let run = self.begin().await?;
                ensure(run.read_version >= acknowledged, || {
                    format!(
                        "read at {} after {acknowledged} was acknowledged",
                        run.read_version
                    )
                })?;
                runs.push(run);
                continue;
            }
            let pick = usize::try_from(rng.below(open.len() as u64)).unwrap_or(0);
            let number = open[pick];
            self.step(&mut runs[number], number as u64, rng).await?;
        }
    }

    async fn begin(&self) -> Outcome<Run> {
        let txn = self.subject.kv.begin().await?;
        Ok(Run {
            read_version: txn.read_version(),
            txn: Some(txn),
            reads: Vec::new(),
            writes: Vec::new(),
            end: End::Open,
        })
    }

    /// One random operation of a transaction.
    async fn step(&self, run: &mut Run, number: u64, rng: &mut Rng) -> Outcome {
        let Some(mut txn) = run.txn.take() else {
            return Ok(());
        };
        let read = if rng.chance(1, 4) {
            Read::Snapshot
        } else {
            Read::Serializable
        };
        let (a, b) = (rng.below(KEYS), rng.below(KEYS));
        let (from, to) = (a.min(b), a.max(b) + 1);
        match rng.below(10) {
            0..=2 => {
                let value = txn.get(&self.data(a), read).await?;
                let found = value.iter().map(|value| (a, number_of(value))).collect();
                run.saw(read, a, a + 1, usize::MAX, found);
            }
            3..=4 => {
                let limit = usize::try_from(1 + rng.below(4)).unwrap_or(1);
                let entries = txn.scan(&self.range(from, to), limit, read).await?;
                let first = self.data(0).len() - 1;
                let found = entries
                    .iter()
                    .map(|e| (key_of(&e.key[first..]), number_of(&e.value)));
                run.saw(read, from, to, limit, found.collect());
            }
            5..=6 => {
                let value = rng.next_u64();
                txn.set(&self.data(a), &value.to_be_bytes());
                run.writes.push(Write::Set(a, value));
            }
            7 => {
                txn.clear(&self.range(from, to));
                run.writes.push(Write::Clear(from, to));
            }
            _ => {
                txn.append(&self.root.clone().text("log"), &number.to_be_bytes());
                run.end = match txn.commit().await {
                    Ok(version) => End::Committed(version),
                    Err(Error::Conflict(_)) => End::Refused,
                    Err(Error::Unknown) => End::Unknown,
                    Err(error) => return Err(error.into()),
                };
                return Ok(());
            }
        }
        run.txn = Some(txn);
        Ok(())
    }

    async fn log(&self) -> Outcome<Log> {
        let txn = self.subject.kv.begin().await?;
        let range = self.root.clone().text("log").children();
        let entries = txn.scan(&range, 1_000, Read::Snapshot).await?;
        let mut log = Vec::new();
        for entry in entries {
            let number = usize::try_from(number_of(&entry.value)).unwrap_or(usize::MAX);
            log.push((Stamp::of_key(&entry.key)?.version, number));
        }
        Ok(log)
    }
}

impl Run {
    fn saw(&mut self, read: Read, from: u64, to: u64, limit: usize, found: Vec<(u64, u64)>) {
        let own = self.writes.len();
        let seen = Seen {
            from,
            to,
            limit,
            own,
            found,
        };
        self.reads.push((read, seen));
    }

    /// Fails when a read differs from what `state` and the own writes before it explain.
    fn explain(&self, state: &State, reads: impl Fn(Read) -> bool) -> Result<(), String> {
        for (_, seen) in self.reads.iter().filter(|(read, _)| reads(*read)) {
            let mut state = state.clone();
            self.writes[..seen.own]
                .iter()
                .for_each(|write| write.apply(&mut state));
            let expected: Vec<(u64, u64)> = state
                .range(seen.from..seen.to)
                .take(seen.limit)
                .map(|(key, value)| (*key, *value))
                .collect();
            if expected != seen.found {
                let (from, to) = (seen.from, seen.to);
                return Err(format!(
                    "keys {from} to {to} read as {:?}, explained {expected:?}",
                    seen.found
                ));
            }
        }
        Ok(())
    }
}

impl Write {
    fn apply(&self, state: &mut State) {
        match *self {
            Self::Set(key, value) => {
                state.insert(key, value);
            }
            Self::Clear(from, to) => state.retain(|key, _| !(from..to).contains(key)),
        }
    }
}

/// Checks the ends against the log, and all reads against its replay.
fn check(runs: &[Run], log: &[(Version, usize)]) -> Result<(), String> {
    for (number, run) in runs.iter().enumerate() {
        let landed: Vec<Version> = log
            .iter()
            .filter(|(_, n)| *n == number)
            .map(|(v, _)| *v)
            .collect();
        let right = match run.end {
            End::Committed(version) => landed == [version],
            End::Refused | End::Open => landed.is_empty(),
            End::Unknown => landed.len() <= 1,
        };
        if !right {
            return Err(format!(
                "transaction {number} landed at {landed:?}, which is not what was answered"
            ));
        }
        run.explain(
            &replay(runs, log, |version, _| version <= run.read_version),
            |_| true,
        )
        .map_err(|seen| {
            format!(
                "transaction {number} at its read version {}: {seen}",
                run.read_version
            )
        })?;
    }
    for (place, (version, number)) in log.iter().enumerate() {
        runs[*number]
            .explain(&replay(runs, log, |_, p| p < place), |read| {
                read == Read::Serializable
            })
            .map_err(|seen| {
                format!("not serializable: transaction {number} at its commit {version}: {seen}")
            })?;
    }
    Ok(())
}

/// The state after those transactions of the log that `included` takes.
fn replay(runs: &[Run], log: &[(Version, usize)], included: impl Fn(Version, usize) -> bool) -> State {
    let mut state = State::new();
    for (place, (version, number)) in log.iter().enumerate() {
        if included(*version, place) {
            runs[*number]
                .writes
                .iter()
                .for_each(|write| write.apply(&mut state));
        }
    }
    state
}

fn latest(runs: &[Run]) -> Version {
    let acknowledged = runs.iter().filter_map(|run| match run.end {
        End::Committed(version) => Some(version),
        _ => None,
    });
    acknowledged.max().unwrap_or_default()
}

fn number_of(value: &[u8]) -> u64 {
    value.try_into().map_or(u64::MAX, u64::from_be_bytes)
}

fn key_of(part: &[u8]) -> u64 {
    crate::key::Parts::of(part).uint().unwrap_or(u64::MAX)
}
