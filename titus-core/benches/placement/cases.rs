//! The cases: what is timed, and what is not.

use std::collections::VecDeque;
use std::time::Duration;

use super::cell::{Cell, host_number, task_number};
use super::measure::{Line, median, percentile, timed, timer_cost};
use super::scan::Scan;
use super::workload::{Quality, Task, Tasks, fill, quality};

/// What the command line says.
#[derive(Debug)]
pub struct Parameters {
    hosts: Vec<usize>,
    batch: usize,
    seed: u64,
    runs: usize,
    cases: Vec<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            hosts: vec![1_000, 5_000],
            batch: 1_000,
            seed: 42,
            runs: 7,
            cases: Vec::new(),
        }
    }
}

impl Parameters {
    /// Takes one word of the command line: a case, `key=value` or a flag of cargo's.
    pub fn read(&mut self, word: &str) -> Result<(), String> {
        let number = |text: &str| {
            text.parse::<usize>()
                .map_err(|_| format!("{word}: {text} is not a number"))
        };
        match word.split_once('=') {
            Some(("N", list)) => self.hosts = list.split(',').map(number).collect::<Result<_, _>>()?,
            Some(("B", text)) => self.batch = number(text)?.max(1),
            Some(("seed", text)) => self.seed = number(text)? as u64,
            Some(("runs", text)) => self.runs = number(text)?.max(1),
            None if ["W1", "W2", "W3", "flat"].contains(&word) => self.cases.push(word.to_owned()),
            None if word == "--bench" => {}
            _ => {
                return Err(format!(
                    "{word}: expected W1, W2, W3, flat, N=, B=, seed= or runs="
                ));
            }
        }
        Ok(())
    }

    fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|wanted| wanted == case)
    }

    fn tasks(&self) -> Tasks {
        Tasks::new(self.seed)
    }
}

pub fn run(parameters: &Parameters) {
    for _ in 0..4 {
        let passes = fill(1_000, parameters.batch, &mut parameters.tasks());
        fill_cell(1_000, &passes);
        fill_scan(1_000, &passes);
    }
    for hosts in &parameters.hosts {
        if parameters.wants("W1") {
            w1(parameters, *hosts);
        }
        if parameters.wants("W2") {
            w2(parameters, *hosts);
        }
        if parameters.wants("W3") {
            w3(parameters, *hosts);
        }
    }
    if parameters.wants("flat") {
        flat(parameters);
    }
}

/// A cluster at 80 %, who is where in it, and what filling it took.
struct Filled<C> {
    cluster: C,
    placed: VecDeque<(Task, usize)>,
    took: Duration,
    /// The part of `took` that the feed's echo took.
    echo: Duration,
}

impl<C> Filled<C> {
    fn rate(&self) -> f64 {
        self.placed.len() as f64 / self.took.as_secs_f64()
    }

    fn quality(&mut self) -> Quality {
        quality(self.placed.make_contiguous())
    }
}

fn fill_cell(hosts: usize, passes: &[Vec<Task>]) -> Filled<Cell> {
    let mut cell = Cell::new(hosts);
    let mut row: Vec<Task> = Vec::new();
    let mut placed = VecDeque::new();
    let (mut took, mut echo) = (Duration::ZERO, Duration::ZERO);
    for pass in passes {
        row.extend(pass);
        let pending = cell.submit(pass);
        let (planned, plan) = timed(|| cell.pass(&pending));
        let feed = cell.feed(&plan);
        let (told, ()) = timed(|| cell.echo(&feed));
        took += planned + told;
        echo += told;
        assert_eq!(plan.unplaced.len(), 0, "at 80 % every task finds a host");
        let numbers = plan
            .placements
            .iter()
            .map(|p| (task_number(p.task), host_number(p.host)));
        placed.extend(numbers.map(|(task, host)| (row[task], host)));
    }
    Filled {
        cluster: cell,
        placed,
        took,
        echo,
    }
}

fn fill_scan(hosts: usize, passes: &[Vec<Task>]) -> Filled<Scan> {
    let mut scan = Scan::new(hosts);
    let mut placed = VecDeque::new();
    let mut took = Duration::ZERO;
    for pass in passes {
        took += timed(|| scan_pass(&mut scan, pass, &mut placed)).0;
    }
    Filled {
        cluster: scan,
        placed,
        took,
        echo: Duration::ZERO,
    }
}

fn scan_pass(scan: &mut Scan, pass: &[Task], placed: &mut VecDeque<(Task, usize)>) {
    for task in pass {
        let host = scan.find(*task).expect("at 80 % every task finds a host");
        scan.assign(*task, host);
        placed.push_back((*task, host));
    }
}

fn w1(parameters: &Parameters, hosts: usize) {
    let passes = fill(hosts, parameters.batch, &mut parameters.tasks());
    assert_scan_quality(parameters, hosts);
    let (mut rates, mut scans, mut echoes) = (Vec::new(), Vec::new(), Vec::new());
    let mut found = None;
    for _ in 0..parameters.runs {
        scans.push(fill_scan(hosts, &passes).rate());
        let mut filled = fill_cell(hosts, &passes);
        rates.push(filled.rate());
        echoes.push(filled.echo.as_secs_f64() / filled.took.as_secs_f64());
        let quality = filled.quality();
        assert_eq!(
            *found.get_or_insert(quality),
            quality,
            "the same tasks give the same placements"
        );
    }
    let quality = found.expect("there is a run");
    Line {
        case: format!("W1 N={hosts} B={}", parameters.batch),
        metric: "placements_per_s",
        values: &rates,
        baseline: "scan",
        baseline_values: &scans,
        quality: format!(
            r#""hosts_used":{},"skew":{:.3},"echo_share":{:.2}"#,
            quality.hosts_used,
            f64::from(quality.skew_milli) / 1_000.0,
            median(&echoes)
        ),
    }
    .print();
}

/// The baseline must place as well as it is known to, before it is measured against.
fn assert_scan_quality(parameters: &Parameters, hosts: usize) {
    let passes = fill(hosts, parameters.batch, &mut parameters.tasks());
    let found = fill_scan(hosts, &passes).quality();
    let known = [(1_000, 835), (5_000, 4_146)];
    let expected = known.iter().find(|(of, _)| *of == hosts && parameters.seed == 42);
    if let Some((_, hosts_used)) = expected {
        assert_eq!(
            found,
            Quality {
                hosts_used: *hosts_used,
                skew_milli: 1_000
            }
        );
    }
}

fn w2(parameters: &Parameters, hosts: usize) {
    const PASSES: usize = 60;
    const DROPPED: usize = 10;
    let (mut ours, mut scans) = (Vec::new(), Vec::new());
    let clock = timer_cost();
    let micros = |took: Duration| took.saturating_sub(clock).as_secs_f64() * 1e6;
    for _ in 0..parameters.runs {
        let mut tasks = parameters.tasks();
        let passes = fill(hosts, parameters.batch, &mut tasks);
        let mut scan = fill_scan(hosts, &passes).cluster;
        let mut cell = fill_cell(hosts, &passes).cluster;
        for pass in 0..PASSES {
            let task = tasks.next().expect("the row does not end");
            let (by_scan, host) = timed(|| {
                let host = scan.find(task).expect("there is room");
                scan.assign(task, host);
                host
            });
            std::hint::black_box(host);
            let pending = cell.submit(&[task]);
            let (by_cell, plan) = timed(|| cell.pass(&pending));
            let feed = cell.feed(&plan);
            cell.echo(&feed);
            if pass >= DROPPED {
                ours.push(micros(by_cell));
                scans.push(micros(by_scan));
            }
        }
    }
    let ratio = percentile(&ours, 99) / percentile(&scans, 99);
    Line {
        case: format!("W2 N={hosts}"),
        metric: "decision_us",
        values: &ours,
        baseline: "scan",
        baseline_values: &scans,
        quality: format!(r#""p99":{:.3},"p99_ratio":{ratio:.3}"#, percentile(&ours, 99)),
    }
    .print();
}

fn w3(parameters: &Parameters, hosts: usize) {
    const ROUNDS: usize = 6;
    const CHURN: usize = 1_000;
    let (mut ours, mut scans, mut fills) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..parameters.runs {
        let mut tasks = parameters.tasks();
        let passes = fill(hosts, parameters.batch, &mut tasks);
        let mut scan = fill_scan(hosts, &passes);
        let mut cell = fill_cell(hosts, &passes);
        fills.push(cell.rate());
        let (mut ours_took, mut scan_took) = (Duration::ZERO, Duration::ZERO);
        let mut oldest = 0;
        for round in 0..ROUNDS {
            let pass: Vec<Task> = tasks.by_ref().take(CHURN).collect();
            let (by_scan, ()) = timed(|| {
                for (task, host) in scan.placed.drain(..CHURN) {
                    scan.cluster.remove(task, host);
                }
                scan_pass(&mut scan.cluster, &pass, &mut scan.placed);
            });
            let (removed, ()) = timed(|| cell.cluster.end(oldest..oldest + CHURN as u64));
            oldest += CHURN as u64;
            let pending = cell.cluster.submit(&pass);
            let (planned, plan) = timed(|| cell.cluster.pass(&pending));
            let feed = cell.cluster.feed(&plan);
            let (told, ()) = timed(|| cell.cluster.echo(&feed));
            assert_eq!(plan.unplaced.len(), 0, "as much was removed as is placed");
            if round > 0 {
                ours_took += removed + planned + told;
                scan_took += by_scan;
            }
        }
        let rate = |took: Duration| (CHURN * (ROUNDS - 1)) as f64 / took.as_secs_f64();
        ours.push(rate(ours_took));
        scans.push(rate(scan_took));
    }
    Line {
        case: format!("W3 N={hosts} B={CHURN}"),
        metric: "placements_per_s",
        values: &ours,
        baseline: "scan",
        baseline_values: &scans,
        quality: format!(r#""of_w1":{:.3}"#, median(&ours) / median(&fills)),
    }
    .print();
}

/// Whether the cost of a placement grows with the cluster.
fn flat(parameters: &Parameters) {
    const SMALL: usize = 1_000;
    const LARGE: usize = 50_000;
    let cost = |filled: &Filled<Cell>| 1e6 / filled.rate();
    let small = fill(SMALL, parameters.batch, &mut parameters.tasks());
    let large = fill(LARGE, parameters.batch, &mut parameters.tasks());
    let (mut smalls, mut larges) = (Vec::new(), Vec::new());
    for _ in 0..parameters.runs {
        smalls.push(cost(&fill_cell(SMALL, &small)));
        larges.push(cost(&fill_cell(LARGE, &large)));
    }
    Line {
        case: format!("W1 N={LARGE} B={}", parameters.batch),
        metric: "placement_us",
        values: &larges,
        baseline: "W1 N=1000",
        baseline_values: &smalls,
        quality: String::new(),
    }
    .print();
}
