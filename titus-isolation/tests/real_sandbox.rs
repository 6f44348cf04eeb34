//! The sandbox on a real kernel: the conformance suite, the hardening as seen from inside, and what is left behind.
//!
//! `cargo test -p titus-isolation --features conformance,fake,image,sandbox --test real_sandbox -- --include-ignored`
//! as root; on cgroup v1 natively, and the same binary on v2 in a guest kernel by `scripts/guest-v2.sh`.

mod real;

use std::sync::Arc;

use real::Host;
use titus_isolation::RootFs;
use titus_isolation::conformance::{Subject, run};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn the_sandbox_conforms() {
    let host = Host::new().await;
    let before = Left::now(&host);
    let mut subject = Subject::new(Arc::new((*host.runtime).clone()), RootFs::Host, host.logs());
    subject.env = real::env();
    let runtime = (*host.runtime).clone();
    subject.reopen = Some(Box::new(move || Ok(Arc::new(runtime.clone()))));
    let report = run(&subject).await;
    assert!(report.failed.is_empty(), "{report}");
    assert!(report.passed.len() + report.skipped.len() == 20, "{report}");
    eprintln!("{report}");
    assert_eq!(Left::now(&host), before);
}

/// What a test must not leave: mounts, cgroups, folders of sandboxes.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    mounts: String,
    groups: Vec<String>,
    folders: Vec<String>,
}

impl Left {
    fn now(host: &Host) -> Self {
        let names = |path: &std::path::Path| {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let folders = entries.filter(|e| e.path().is_dir());
            let mut names: Vec<_> = folders
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        let group = host.control_file("pids", "x", "y");
        let parent = group
            .parent()
            .and_then(std::path::Path::parent)
            .expect("two levels up");
        Self {
            mounts: std::fs::read_to_string("/proc/self/mountinfo").expect("readable"),
            groups: names(parent),
            folders: names(&host.folder.join("sandboxes")),
        }
    }
}
