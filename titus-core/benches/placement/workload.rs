//! The generated hosts and tasks of the placement workloads.

/// Hosts are in three zones, by number.
pub const ZONES: usize = 3;

/// A job has so many equal tasks.
pub const JOB_SIZE: usize = 20;

/// What every host has: CPUs, MB, Mbps, MB of disk.
pub const HOST: Shape = Shape {
    cpu: 16,
    memory: 65_536,
    network: 10_000,
    disk: 1_000_000,
};

/// What one task asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub cpu: u32,
    pub memory: u32,
    pub network: u32,
    pub disk: u32,
}

/// One task: its job, and what it asks for.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    pub job: usize,
    pub shape: Shape,
}

impl Task {
    /// Jobs with an odd number want to be spread over zones.
    pub const fn spreads(self) -> bool {
        self.job % 2 == 1
    }
}

/// Upper bounds of the size classes' draws, of 100.
const CLASSES: [(u64, Shape); 7] = [
    (
        35,
        Shape {
            cpu: 1,
            memory: 2_048,
            network: 64,
            disk: 10_000,
        },
    ),
    (
        50,
        Shape {
            cpu: 1,
            memory: 6_144,
            network: 64,
            disk: 10_000,
        },
    ),
    (
        70,
        Shape {
            cpu: 2,
            memory: 4_096,
            network: 128,
            disk: 10_000,
        },
    ),
    (
        80,
        Shape {
            cpu: 2,
            memory: 12_288,
            network: 128,
            disk: 20_000,
        },
    ),
    (
        92,
        Shape {
            cpu: 4,
            memory: 16_384,
            network: 256,
            disk: 20_000,
        },
    ),
    (
        98,
        Shape {
            cpu: 8,
            memory: 24_576,
            network: 512,
            disk: 40_000,
        },
    ),
    (
        100,
        Shape {
            cpu: 12,
            memory: 49_152,
            network: 1_024,
            disk: 40_000,
        },
    ),
];

/// The endless row of tasks, job after job.
#[derive(Debug, Clone)]
pub struct Tasks {
    state: u64,
    number: usize,
    shape: Shape,
}

impl Tasks {
    pub const fn new(seed: u64) -> Self {
        Self {
            state: seed,
            number: 0,
            shape: CLASSES[0].1,
        }
    }

    fn next_shape(&mut self) -> Shape {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let draw = ((z ^ (z >> 31)) >> 1) % 100;
        let class = CLASSES.iter().find(|(bound, _)| draw < *bound);
        class.expect("the last bound is 100").1
    }
}

impl Iterator for Tasks {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        if self.number.is_multiple_of(JOB_SIZE) {
            self.shape = self.next_shape();
        }
        let job = self.number / JOB_SIZE;
        self.number += 1;
        Some(Task {
            job,
            shape: self.shape,
        })
    }
}

/// The passes that fill a cluster of `hosts` until 80 % of its CPU is asked for.
pub fn fill(hosts: usize, batch: usize, tasks: &mut Tasks) -> Vec<Vec<Task>> {
    let target = hosts as u64 * u64::from(HOST.cpu) * 8 / 10;
    let mut asked = 0;
    let mut passes = Vec::new();
    while asked < target {
        let mut pass = Vec::with_capacity(batch);
        while pass.len() < batch && asked < target {
            let task = tasks.next().expect("the row does not end");
            asked += u64::from(task.shape.cpu);
            pass.push(task);
        }
        passes.push(pass);
    }
    passes
}

/// How good a fill is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    pub hosts_used: usize,
    /// The mean over spreading jobs of most less fewest tasks a zone, in thousandths.
    pub skew_milli: u32,
}

/// Works it out from where each task of a row went.
pub fn quality(placed: &[(Task, usize)]) -> Quality {
    let mut used = std::collections::BTreeSet::new();
    let mut zones = std::collections::BTreeMap::<usize, [u32; ZONES]>::new();
    for (task, host) in placed {
        used.insert(*host);
        if task.spreads() {
            zones.entry(task.job).or_default()[host % ZONES] += 1;
        }
    }
    let whole = zones
        .values()
        .filter(|counts| counts.iter().sum::<u32>() == JOB_SIZE as u32);
    let skews: Vec<u32> = whole
        .map(|c| c.iter().max().unwrap() - c.iter().min().unwrap())
        .collect();
    let mean = skews.iter().sum::<u32>() as f64 / skews.len().max(1) as f64;
    Quality {
        hosts_used: used.len(),
        skew_milli: (mean * 1_000.0).round() as u32,
    }
}
