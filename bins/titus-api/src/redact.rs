//! `Debug` of the messages that carry environment variables: values are shown as their length.

use std::collections::BTreeMap;
use std::fmt;

use crate::{agent, v3};

struct Values<'a>(&'a BTreeMap<String, String>);

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(k, v)| (k, format!("[{} bytes]", v.len())));
        f.debug_map().entries(shown).finish()
    }
}

impl fmt::Debug for v3::Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("resources", &self.resources)
            .field("security_profile", &self.security_profile)
            .field("image", &self.image)
            .field("attributes", &self.attributes)
            .field("entry_point", &self.entry_point)
            .field("command", &self.command)
            .field("env", &Values(&self.env))
            .field("soft_constraints", &self.soft_constraints)
            .field("hard_constraints", &self.hard_constraints)
            .field("volume_mounts", &self.volume_mounts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v3::BasicContainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicContainer")
            .field("name", &self.name)
            .field("image", &self.image)
            .field("entry_point", &self.entry_point)
            .field("command", &self.command)
            .field("env", &Values(&self.env))
            .field("volume_mounts", &self.volume_mounts)
            .finish()
    }
}

impl fmt::Debug for v3::SecurityProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityProfile")
            .field("security_groups", &self.security_groups)
            .field("iam_role", &self.iam_role)
            .field("attributes", &Values(&self.attributes))
            .finish()
    }
}

impl fmt::Debug for agent::LaunchSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaunchSpec")
            .field("application", &self.application)
            .field("image", &self.image)
            .field("env", &Values(&self.env))
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> BTreeMap<String, String> {
        BTreeMap::from([("TOKEN".into(), "hunter2".into())])
    }

    #[test]
    fn no_message_shows_a_secret() {
        let descriptor = v3::JobDescriptor {
            container: Some(v3::Container {
                env: env(),
                security_profile: Some(v3::SecurityProfile {
                    attributes: env(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            extra_containers: vec![v3::BasicContainer {
                env: env(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let directive = agent::Directive {
            specs: vec![agent::LaunchSpec {
                env: env(),
                ..Default::default()
            }],
            ..Default::default()
        };
        for shown in [format!("{descriptor:?}"), format!("{directive:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("TOKEN") && shown.contains("[7 bytes]"), "{shown}");
        }
    }
}
