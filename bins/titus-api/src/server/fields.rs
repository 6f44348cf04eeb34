//! Field masks: dotted paths of field names; whatever they do not name is cleared, `id` always stays.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MapKey, MessageDescriptor, ReflectMessage as _, Value};

/// The descriptors of every message here.
pub(crate) fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        DescriptorPool::decode(crate::DESCRIPTORS).expect("the build wrote these descriptors")
    })
}

/// A tree of names; an empty one keeps everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tree(BTreeMap<String, Self>);

impl Tree {
    fn add(&mut self, path: &str) {
        let (head, rest) = path.split_once('.').map_or((path, None), |(h, r)| (h, Some(r)));
        let known = self.0.get(head).is_some_and(|below| below.0.is_empty());
        let below = self.0.entry(head.to_owned()).or_default();
        match rest {
            Some(rest) if !known => below.add(rest),
            Some(_) => {}
            None => below.0.clear(),
        }
    }
}

/// Which fields of one kind of message a client wants.
#[derive(Debug, Clone)]
pub(crate) struct FieldMask {
    descriptor: MessageDescriptor,
    keep: Tree,
}

impl FieldMask {
    /// The mask for messages of one type, or none where no path is given and so everything is wanted. Unknown paths
    /// select nothing.
    #[must_use]
    pub(crate) fn new(message: &str, paths: &[String]) -> Option<Self> {
        let mut keep = Tree::default();
        for path in paths.iter().map(|p| p.trim()).filter(|p| !p.is_empty()) {
            keep.add(path);
        }
        if keep.0.is_empty() {
            return None;
        }
        keep.add("id");
        let descriptor = pool().get_message_by_name(message)?;
        Some(Self { descriptor, keep })
    }

    /// The message with the wanted fields alone.
    #[must_use]
    pub(crate) fn apply<M: Message + Default>(&self, message: &M) -> M {
        let bytes = message.encode_to_vec();
        let pruned = DynamicMessage::decode(self.descriptor.clone(), &bytes[..]).map(|mut dynamic| {
            prune(&mut dynamic, &self.keep);
            dynamic.encode_to_vec()
        });
        let bytes = pruned.expect("a message decodes as its own type");
        M::decode(&bytes[..]).expect("a message decodes as its own type")
    }
}

fn prune(message: &mut DynamicMessage, keep: &Tree) {
    for field in message.descriptor().fields() {
        match keep.0.get(field.name()) {
            None => message.clear_field(&field),
            Some(below) if !below.0.is_empty() && message.has_field(&field) => {
                prune_value(message.get_field_mut(&field), below);
            }
            Some(_) => {}
        }
    }
}

fn prune_value(value: &mut Value, keep: &Tree) {
    match value {
        Value::Message(message) => prune(message, keep),
        Value::List(items) => items.iter_mut().for_each(|item| prune_value(item, keep)),
        Value::Map(entries) => {
            entries.retain(|key, _| matches!(key, MapKey::String(name) if keep.0.contains_key(name)));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v3;

    fn job() -> v3::Job {
        serde_json::from_str(
            r#"{"id": "j", "jobDescriptor": {"applicationName": "web", "owner": {"teamEmail": "a@b"},
                "attributes": {"name": "web-v001", "source": "spinnaker"}},
                "status": {"state": "KillInitiated", "reasonCode": "killed"},
                "statusHistory": [{"state": "Accepted", "reasonCode": "normal", "timestamp": "7"}]}"#,
        )
        .unwrap()
    }

    fn masked(paths: &[&str]) -> serde_json::Value {
        let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
        let mask = FieldMask::new("com.netflix.titus.Job", &paths).unwrap();
        let kept = mask.apply(&job());
        let mut json = serde_json::to_value(kept).unwrap();
        strip_defaults(&mut json);
        json
    }

    /// Replies print defaults; what is left after them is what the mask kept.
    fn strip_defaults(json: &mut serde_json::Value) {
        if let Some(object) = json.as_object_mut() {
            object.values_mut().for_each(strip_defaults);
            let empty = |v: &serde_json::Value| {
                matches!(v.to_string().as_str(), "\"\"" | "[]" | "{}" | "\"0\"" | "0")
            };
            object.retain(|_, v| !empty(v));
        }
        if let Some(items) = json.as_array_mut() {
            items.iter_mut().for_each(strip_defaults);
        }
    }

    #[test]
    fn paths_go_through_messages_lists_and_map_keys() {
        assert_eq!(masked(&["id"]), serde_json::json!({"id": "j"}));
        assert_eq!(
            masked(&["jobDescriptor.attributes.name"]),
            serde_json::json!({"id": "j", "jobDescriptor": {"attributes": {"name": "web-v001"}}})
        );
        assert_eq!(
            masked(&["status.state", "statusHistory.timestamp"]),
            serde_json::json!({"id": "j", "status": {"state": "KillInitiated"},
                "statusHistory": [{"state": "Accepted", "timestamp": "7"}]})
        );
    }

    #[test]
    fn a_whole_field_wins_over_its_parts_and_unknown_paths_select_nothing() {
        let whole = masked(&["jobDescriptor.owner", "jobDescriptor.owner.teamEmail"]);
        assert_eq!(whole["jobDescriptor"]["owner"]["teamEmail"], "a@b");
        let parts_first = masked(&["jobDescriptor.owner.x", "jobDescriptor.owner"]);
        assert_eq!(parts_first["jobDescriptor"]["owner"]["teamEmail"], "a@b");
        assert_eq!(
            masked(&["color", "status.color"]),
            serde_json::json!({"id": "j", "status": {"state": "Accepted"}})
        );
    }

    #[test]
    fn no_path_means_everything() {
        assert!(FieldMask::new("com.netflix.titus.Job", &[]).is_none());
        assert!(FieldMask::new("com.netflix.titus.Job", &[" ".into()]).is_none());
    }
}
