//! The baseline: every host scored for every task, nothing around it.

use super::workload::{HOST, Shape, Task, ZONES};

/// Hosts as one array for each amount, padded to whole blocks with hosts that have nothing.
pub struct Scan {
    cpu: Vec<i32>,
    memory: Vec<i32>,
    network: Vec<i32>,
    disk: Vec<i32>,
    zone: Vec<i32>,
    /// Tasks by job and zone.
    spread: Vec<[u32; ZONES]>,
}

const BLOCK: usize = 64;

impl Scan {
    pub fn new(hosts: usize) -> Self {
        let padded = hosts.next_multiple_of(BLOCK);
        let of = |amount: u32| {
            (0..padded)
                .map(|at| if at < hosts { amount as i32 } else { -1 })
                .collect()
        };
        Self {
            cpu: of(HOST.cpu),
            memory: of(HOST.memory),
            network: of(HOST.network),
            disk: of(HOST.disk),
            zone: (0..padded).map(|at| (at % ZONES) as i32).collect(),
            spread: Vec::new(),
        }
    }

    /// The host that suits best, the first of equal ones.
    pub fn find(&self, task: Task) -> Option<usize> {
        let soft = self.soft(task);
        let Shape {
            cpu,
            memory,
            network,
            disk,
        } = task.shape;
        let (cpu, memory, network, disk) = (cpu as i32, memory as i32, network as i32, disk as i32);
        let (mut best, mut best_block) = (0, 0);
        for (block, at) in (0..self.cpu.len()).step_by(BLOCK).enumerate() {
            let (cpus, memories) = (&self.cpu[at..at + BLOCK], &self.memory[at..at + BLOCK]);
            let (networks, disks) = (&self.network[at..at + BLOCK], &self.disk[at..at + BLOCK]);
            let zones = &self.zone[at..at + BLOCK];
            let mut top = 0;
            for i in 0..BLOCK {
                let (c, m) = (cpus[i] - cpu, memories[i] - memory);
                let fits = (c | m | (networks[i] - network) | (disks[i] - disk)) >= 0;
                let given = if zones[i] == 0 {
                    soft[0]
                } else if zones[i] == 1 {
                    soft[1]
                } else {
                    soft[2]
                };
                let score = given - (c * 4_096 + m);
                top = top.max(if fits { score } else { 0 });
            }
            if top > best {
                (best, best_block) = (top, block);
            }
        }
        if best == 0 {
            return None;
        }
        let first = best_block * BLOCK;
        (first..first + BLOCK).find(|at| self.score(task, &soft, *at) == best)
    }

    /// Takes the room, and counts the task in its zone.
    pub fn assign(&mut self, task: Task, host: usize) {
        self.take(task, host, 1);
        if self.spread.len() <= task.job {
            self.spread.resize(task.job + 1, [0; ZONES]);
        }
        self.spread[task.job][host % ZONES] += 1;
    }

    /// Gives the room back.
    pub fn remove(&mut self, task: Task, host: usize) {
        self.take(task, host, -1);
        self.spread[task.job][host % ZONES] -= 1;
    }

    fn take(&mut self, task: Task, host: usize, sign: i32) {
        self.cpu[host] -= sign * task.shape.cpu as i32;
        self.memory[host] -= sign * task.shape.memory as i32;
        self.network[host] -= sign * task.shape.network as i32;
        self.disk[host] -= sign * task.shape.disk as i32;
    }

    fn score(&self, task: Task, soft: &[i32; ZONES], at: usize) -> i32 {
        let Shape {
            cpu,
            memory,
            network,
            disk,
        } = task.shape;
        let (c, m) = (self.cpu[at] - cpu as i32, self.memory[at] - memory as i32);
        let (n, d) = (self.network[at] - network as i32, self.disk[at] - disk as i32);
        if (c | m | n | d) < 0 {
            0
        } else {
            soft[self.zone[at] as usize] - (c * 4_096 + m)
        }
    }

    /// What each zone gives before packing. The score, times 2 x 16 x 4,096 / 0.35: packing is a whole number, and
    /// 0.50 for a preferred zone is 187,246; the rest keeps every host that fits above 0.
    fn soft(&self, task: Task) -> [i32; ZONES] {
        const FLOOR: i32 = 2 * 65_536 + 1;
        const PREFERRED: i32 = 187_246;
        let counts = self.spread.get(task.job).copied().unwrap_or_default();
        let fewest = counts.into_iter().min().unwrap_or(0);
        counts.map(|count| {
            FLOOR
                + if !task.spreads() || count == fewest {
                    PREFERRED
                } else {
                    0
                }
        })
    }
}
