//! The environment that a container is given beside its image's own.

use std::collections::BTreeMap;

use crate::spec::{LaunchSpec, Secret};
use crate::wire::TaskDirective;

/// The environment of one task, sorted by name.
///
/// From weak to strong: the counts of its resources (`TITUS_NUM_*`), what the user asked for, what names the task.
/// The user may change the first and never the last. A name or value that no process can be given (an empty name,
/// `=` in a name, NUL in either) is left out.
///
/// ```
/// use titus_core::agent::environment;
/// use titus_core::id::{JobId, SpecDigest, TaskId};
/// use titus_core::resources::Resources;
/// use titus_core::spec::{ImageRequest, LaunchSpec, Secret};
/// use titus_core::time::Millis;
/// use titus_core::wire::{TaskDirective, Wanted};
///
/// let launch = LaunchSpec {
///     application: "count".into(),
///     image: ImageRequest::default(),
///     entry_point: vec!["wc".into()],
///     command: vec![],
///     env: [("TITUS_TASK_INDEX".to_owned(), Secret::new("99"))].into(),
///     resources: Resources { cpu_milli: 1_500, ..Resources::ZERO },
///     shm_mb: 64,
///     volumes: vec![],
///     grace: Millis(10_000),
/// };
/// let task = TaskId::from_bytes([7; 16]);
/// let directive = TaskDirective {
///     task,
///     job: JobId::from_bytes([8; 16]),
///     index: 3,
///     original: task,
///     spec: SpecDigest([0; 32]),
///     wanted: Wanted::Run,
/// };
/// let env = environment(&launch, &directive);
/// let value = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.expose());
/// assert_eq!(value("TITUS_TASK_INDEX"), Some("3"));
/// assert_eq!(value("TITUS_NUM_CPU"), Some("2"));
/// ```
#[must_use]
pub fn environment(launch: &LaunchSpec, task: &TaskDirective) -> Vec<(String, Secret)> {
    let asked = &launch.resources;
    let counts = [
        ("TITUS_NUM_CPU", asked.cpu_milli.div_ceil(1_000)),
        ("TITUS_NUM_MEM", asked.memory_mb),
        ("TITUS_NUM_DISK", asked.disk_mb),
        ("TITUS_NUM_NETWORK_BANDWIDTH", asked.network_mbps),
        ("TITUS_NUM_GPU", asked.gpu),
    ];
    let forced = [
        ("TITUS_JOB_ID", task.job.to_string()),
        ("TITUS_TASK_ID", task.task.to_string()),
        ("TITUS_TASK_INSTANCE_ID", task.task.to_string()),
        ("TITUS_TASK_ORIGINAL_ID", task.original.to_string()),
        ("TITUS_TASK_INDEX", task.index.to_string()),
    ];
    let mut env: BTreeMap<&str, Secret> = counts
        .map(|(name, count)| (name, Secret::new(count.to_string())))
        .into();
    env.extend(
        launch
            .env
            .iter()
            .filter(|(name, value)| can_be_passed(name, value))
            .map(|(name, value)| (name.as_str(), value.clone())),
    );
    env.extend(forced.map(|(name, value)| (name, Secret::new(value))));
    env.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn can_be_passed(name: &str, value: &Secret) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.expose().contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::{directive_for, launch, task_id};
    use crate::wire::Wanted;

    #[test]
    fn a_user_may_change_the_counts_but_not_who_the_task_is() {
        let mut spec = launch();
        for name in [
            "TITUS_JOB_ID",
            "TITUS_TASK_ID",
            "TITUS_TASK_INSTANCE_ID",
            "TITUS_TASK_ORIGINAL_ID",
            "TITUS_TASK_INDEX",
            "TITUS_NUM_CPU",
            "MINE",
        ] {
            spec.env.insert(name.to_owned(), Secret::new("forged"));
        }
        let mut directive = directive_for(1, Wanted::Run);
        directive.original = task_id(9);
        let env = environment(&spec, &directive);
        let forged: Vec<&str> = env
            .iter()
            .filter(|(_, v)| v.expose() == "forged")
            .map(|(n, _)| n.as_str())
            .collect();
        assert_eq!(forged, ["MINE", "TITUS_NUM_CPU"]);
        let value = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.expose());
        let own = task_id(1).to_string();
        assert_eq!(value("TITUS_TASK_ID"), Some(own.as_str()));
        assert_eq!(value("TITUS_TASK_INSTANCE_ID"), Some(own.as_str()));
        assert_eq!(
            value("TITUS_TASK_ORIGINAL_ID"),
            Some(task_id(9).to_string().as_str())
        );
        assert_eq!(value("TITUS_NUM_MEM"), Some("512"));
    }

    #[test]
    fn what_no_process_can_be_given_is_left_out() {
        let mut spec = launch();
        for (name, value) in [
            ("", "a"),
            ("A=B", "a"),
            ("N\0", "a"),
            ("NUL", "a\0b"),
            ("with.dot", "ok"),
        ] {
            spec.env.insert(name.to_owned(), Secret::new(value));
        }
        let env = environment(&spec, &directive_for(1, Wanted::Run));
        let user: Vec<&str> = env
            .iter()
            .map(|(n, _)| n.as_str())
            .filter(|n| !n.starts_with("TITUS_"))
            .collect();
        assert_eq!(user, ["with.dot"]);
        assert!(env.is_sorted());
    }
}
