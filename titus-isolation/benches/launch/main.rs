//! How long a sandbox takes from nothing to removed, beside the kernel's own floor and other runtimes.
//!
//! `cargo bench -p titus-isolation --features conformance,sandbox --bench launch -- [--runs N] [--init PATH]` as root.
//! One JSON object a line on standard output, notes on standard error. All cases run the same program in one private
//! mount namespace whose cgroup mount is cgroup2 alone, in turn, round after round.

mod floor;
mod oci;
mod own;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Launches of one case in one round.
const EACH: usize = 5;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// One way to launch, timed.
trait Case {
    fn name(&self) -> &'static str;
    /// Launches once and answers how long it took; an exit code other than 0 is an error.
    fn launch(&mut self) -> Outcome<Duration>;
    /// Parts of the time, as JSON members.
    fn parts(&self) -> String {
        String::new()
    }
}

struct Args {
    runs: usize,
    init: PathBuf,
}

fn main() -> Outcome<()> {
    titus_isolation::init::run_if_asked();
    let args = args()?;
    if std::env::var_os("TITUS_BENCH_FLOOR").is_some() {
        return floor::serve();
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: launch needs root, it makes namespaces and cgroups");
        return Ok(());
    }
    private_cgroup2()?;
    let folder = PathBuf::from(format!("/var/tmp/titus-bench-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("layers/one"))?;
    let done = run(&args, &folder);
    std::fs::remove_dir_all(&folder)?;
    done
}

fn run(args: &Args, folder: &std::path::Path) -> Outcome<()> {
    let rootfs = folder.join("layers/one");
    floor::write_true(&rootfs)?;
    let mut floor = floor::Floor::new(&rootfs, &folder.join("floor"))?;
    let mut cases: Vec<Box<dyn Case>> = vec![Box::new(own::Own::new(&rootfs, folder, &args.init)?)];
    for runtime in ["crun", "runc"] {
        match oci::Oci::new(runtime, &rootfs, &folder.join(runtime)) {
            Ok(case) => cases.push(Box::new(case)),
            Err(why) => eprintln!("skipped {runtime}: {why}"),
        }
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); cases.len()];
    let mut floors = Vec::new();
    for _ in 0..args.runs {
        (0..EACH).try_for_each(|_| floor.launch().map(|time| floors.push(time)))?;
        for (case, times) in cases.iter_mut().zip(&mut times) {
            (0..EACH).try_for_each(|_| case.launch().map(|time| times.push(time)))?;
        }
    }
    for (case, times) in cases.iter().zip(&mut times) {
        report(case.as_ref(), times, &mut floors)?;
    }
    Ok(())
}

fn report(case: &dyn Case, times: &mut [Duration], floors: &mut [Duration]) -> Outcome<()> {
    times.sort();
    floors.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let (value, floor) = (ms(times[times.len() / 2]), ms(floors[floors.len() / 2]));
    let (min, max) = (ms(times[0]), ms(times[times.len() - 1]));
    writeln!(
        std::io::stdout(),
        "{{\"bench\":\"launch\",\"case\":\"{}\",\"metric\":\"launch_ms\",\"value\":{value:.3},\"baseline\":\"kernel floor\",\
         \"baseline_value\":{floor:.3},\"ratio\":{:.2},\"min\":{min:.3},\"max\":{max:.3},\"n\":{},\"quality\":{{{}}}}}",
        case.name(),
        value / floor,
        times.len(),
        case.parts()
    )?;
    Ok(())
}

/// Before any thread starts: every case sees the same cgroup2 mount and no other hierarchy.
fn private_cgroup2() -> Outcome<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    umount2("/sys/fs/cgroup", MntFlags::MNT_DETACH)?;
    mount(
        Some("cgroup2"),
        "/sys/fs/cgroup",
        Some("cgroup2"),
        MsFlags::empty(),
        none,
    )?;
    Ok(())
}

fn args() -> Outcome<Args> {
    let mut args = Args {
        runs: 9,
        init: PathBuf::from(env!("CARGO_BIN_EXE_titus-init")),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--runs" => args.runs = value()?.parse()?,
            "--init" => args.init = value()?.into(),
            // What cargo itself passes to every benchmark.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}; use --runs N and --init PATH").into()),
        }
    }
    if args.runs < 7 {
        return Err("--runs must be at least 7: a median of fewer says little on a shared machine".into());
    }
    Ok(args)
}
