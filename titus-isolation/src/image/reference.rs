use std::fmt;

use crate::error::Error;

/// The name of an image: `NAME`, `NAME:TAG` or `NAME@sha256:DIGEST`.
///
/// `NAME` is one or more words of `a-z A-Z 0-9 . _ -` divided by `/`; none begins with a dot, so it cannot lead out of
/// the folder that it is looked for in.
///
/// ```
/// use titus_isolation::image::ImageRef;
///
/// let image: ImageRef = "web/server:1.2".parse()?;
/// assert_eq!((image.name(), image.tag()), ("web/server", Some("1.2")));
/// assert!("host:latest".parse::<ImageRef>()?.is_host());
/// assert!("../secrets".parse::<ImageRef>().is_err());
/// # Ok::<(), titus_isolation::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    name: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageRef {
    /// The name without tag and digest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag, if it has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of its manifest or index, as `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether it means the host's own root file system; the tag does not matter.
    pub fn is_host(&self) -> bool {
        self.name == "host" && self.digest.is_none()
    }
}

impl std::str::FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::Image {
            image: text.chars().take(200).collect(),
            problem: "it is no image name; write NAME, NAME:TAG or NAME@sha256:DIGEST".to_owned(),
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let word = |w: &str| !w.is_empty() && !w.starts_with('.') && w.len() <= 128 && w.chars().all(plain);
        let sound = text.len() <= 512
            && name.split('/').all(word)
            && tag.is_none_or(word)
            && digest.is_none_or(|d| d.strip_prefix("sha256:").is_some_and(is_sha256));
        if !sound {
            return Err(refused());
        }
        Ok(Self {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// 64 lower-case hexadecimal digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tags_and_digests() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for text in [
            "a",
            "a/b-c_d.e",
            "a:1",
            "a/b:v1.2-rc",
            &format!("a@{digest}"),
            &format!("a:1@{digest}"),
        ] {
            assert_eq!(
                text.parse::<ImageRef>().map(|i| i.to_string()).ok().as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        let long = "a".repeat(600);
        for text in [
            "",
            "/etc",
            "..",
            "a/../b",
            "a//b",
            "a/",
            ".a",
            "a:",
            "a b",
            "a@sha256:12",
            "a@md5:00",
            "ä",
            &long,
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text:?} passed");
        }
    }
}
