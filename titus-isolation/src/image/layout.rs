//! The parts of the OCI image format that are used here. Unknown fields are passed over, as the format asks.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::spec::EnvVar;

#[derive(Debug, Deserialize)]
pub(super) struct Index {
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Platform {
    pub(super) architecture: String,
    pub(super) os: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConfigFile {
    #[serde(default)]
    pub(super) config: RawConfig,
    pub(super) rootfs: RootFsIds,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawConfig {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RootFsIds {
    #[serde(default)]
    pub(super) diff_ids: Vec<String>,
}

impl Descriptor {
    pub(super) fn tag(&self) -> Option<&str> {
        self.annotations
            .get("org.opencontainers.image.ref.name")
            .map(String::as_str)
    }

    pub(super) fn is_index(&self) -> bool {
        self.media_type.ends_with(".image.index.v1+json")
            || self.media_type.ends_with(".manifest.list.v2+json")
    }

    /// An image without a platform says nothing, and is taken.
    pub(super) fn is_for_this_machine(&self) -> bool {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        self.platform
            .as_ref()
            .is_none_or(|p| p.os == "linux" && p.architecture == architecture)
    }
}

/// What an image says about how it wants to be run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ImageConfig {
    /// Its variables.
    pub env: Vec<EnvVar>,
    /// The program and first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, or the whole command where there is no entry point.
    pub cmd: Vec<String>,
    /// Working directory; `/` if it names none.
    pub working_dir: String,
    /// User, as [`User::parse`](crate::User::parse) reads it; empty means root.
    pub user: String,
}

impl ImageConfig {
    /// The command to run: what the caller gives replaces the image's part by part, and an own entry point
    /// also drops the image's arguments.
    ///
    /// ```
    /// use titus_isolation::image::ImageConfig;
    ///
    /// let mut image = ImageConfig::default();
    /// image.entrypoint = vec!["/server".into()];
    /// image.cmd = vec!["--port=80".into()];
    /// assert_eq!(image.command(&[], &[]), ["/server", "--port=80"]);
    /// assert_eq!(image.command(&[], &["--help".into()]), ["/server", "--help"]);
    /// assert_eq!(image.command(&["sh".into()], &[]), ["sh"]);
    /// ```
    pub fn command(&self, entrypoint: &[String], args: &[String]) -> Vec<String> {
        let own_args = if args.is_empty() && entrypoint.is_empty() {
            self.cmd.as_slice()
        } else {
            args
        };
        let program = if entrypoint.is_empty() {
            self.entrypoint.as_slice()
        } else {
            entrypoint
        };
        program.iter().chain(own_args).cloned().collect()
    }

    /// The image's variables under the caller's, which win.
    pub fn environment(&self, own: &[EnvVar]) -> Vec<EnvVar> {
        let replaced = |v: &&EnvVar| own.iter().any(|o| o.name() == v.name());
        self.env
            .iter()
            .filter(|v| !replaced(v))
            .chain(own)
            .cloned()
            .collect()
    }
}

impl From<RawConfig> for ImageConfig {
    fn from(raw: RawConfig) -> Self {
        let variable = |text: String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Some(EnvVar::new(name, value)),
            _ => None,
        };
        Self {
            env: raw
                .env
                .unwrap_or_default()
                .into_iter()
                .filter_map(variable)
                .collect(),
            entrypoint: raw.entrypoint.unwrap_or_default(),
            cmd: raw.cmd.unwrap_or_default(),
            working_dir: raw
                .working_dir
                .filter(|d| d.starts_with('/'))
                .unwrap_or_else(|| "/".to_owned()),
            user: raw.user.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_missing_fields_are_the_same() {
        for text in [
            "{}",
            r#"{"Env":null,"Entrypoint":null,"Cmd":null,"WorkingDir":"","User":null}"#,
        ] {
            let raw: RawConfig = serde_json::from_str(text).expect("read");
            let config = ImageConfig::from(raw);
            assert_eq!(
                (config.working_dir.as_str(), config.command(&[], &[])),
                ("/", Vec::new())
            );
        }
    }

    #[test]
    fn the_callers_variables_win() {
        let raw: RawConfig = serde_json::from_str(r#"{"Env":["A=1","B=2","broken","=x"]}"#).expect("read");
        let env = ImageConfig::from(raw).environment(&[EnvVar::new("B", "3")]);
        let shown: Vec<_> = env
            .iter()
            .map(|v| format!("{}={}", v.name(), v.expose()))
            .collect();
        assert_eq!(shown, ["A=1", "B=3"]);
    }
}
