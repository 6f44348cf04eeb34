//! The image: a name that is a path in a registry, with a tag or a digest; or `host`.

use super::text;
use crate::spec::findings::{Findings, shown};
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::JobRequest;

/// The name that stands for the host's own root.
pub(in crate::spec) const HOST_IMAGE: &str = "host";

const NAME: &str = "container.image.name";
const TAG: &str = "container.image.tag";
const DIGEST: &str = "container.image.digest";

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let image = &mut request.container.image;
    let max = limits.get(Limit::NameBytes).max;
    for (part, field) in [
        (&mut image.name, NAME),
        (&mut image.tag, TAG),
        (&mut image.digest, DIGEST),
    ] {
        text::trim(part, field, found);
        text::plain(part, max, field, found);
    }
    name(&image.name, limits, found);
    if !image.tag.is_empty() && !is_tag(&image.tag) {
        let help = "use letters, digits, `.`, `_` and `-`, as  tag: \"1.36\"";
        found.refuse(TAG, format!("{} is not a tag", shown(&image.tag)), help);
    }
    if !image.digest.is_empty() && !is_digest(&image.digest) {
        let help = "write the algorithm and the hexadecimal digest, as  digest: sha256:<64 digits>";
        found.refuse(DIGEST, format!("{} is not a digest", shown(&image.digest)), help);
    }
    if image.tag.is_empty() && image.digest.is_empty() && image.name != HOST_IMAGE {
        found.refuse(
            TAG,
            "neither a tag nor a digest is given",
            "write one of them, as  tag: latest",
        );
    }
}

fn name(name: &str, limits: &Limits, found: &mut Findings) {
    if name.is_empty() {
        found.refuse(
            NAME,
            "it is required",
            "name the image, as  image: { name: library/busybox, tag: latest }",
        );
    } else if !is_name(name) {
        let help = "write letters, digits, `.`, `_`, `-` and single `/` between parts, as library/busybox";
        found.refuse(NAME, format!("{} is not an image name", shown(name)), help);
    } else if name == HOST_IMAGE && limits.get(Limit::HostImage).max == 0 {
        found.refuse(
            NAME,
            "the host's own root is not offered as an image here",
            "name an image of a registry; `titus dev` alone offers `host`",
        );
    }
}

const fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')
}

/// `[registry[:port]/]part[/part…]`. No part is `.` or `..`, so that a name can never climb out of a folder.
fn is_name(name: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p != "." && p != ".." && p.bytes().all(is_word_byte);
    let with_port = |p: &str| {
        p.split_once(':').is_some_and(|(host, port)| {
            part(host) && (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())
        })
    };
    match name.split_once('/') {
        Some((first, rest)) => (part(first) || with_port(first)) && rest.split('/').all(part),
        None => part(name),
    }
}

fn is_tag(tag: &str) -> bool {
    tag.bytes().all(is_word_byte)
}

/// `algorithm:hex`: words of letters and digits joined by one of `+._-`, then at least 32 digits, 64 for sha256.
fn is_digest(digest: &str) -> bool {
    let word = |w: &str| w.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    let alnum = |w: &str| w.bytes().all(|b| b.is_ascii_alphanumeric());
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        let long_enough = if algorithm == "sha256" {
            hex.len() == 64
        } else {
            hex.len() >= 32
        };
        algorithm.split(['+', '.', '_', '-']).all(|w| word(w) && alnum(w))
            && long_enough
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_that_cannot_climb() {
        for good in ["host", "library/busybox", "a.b_c-D", "reg.example:5000/a/b"] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/..",
            "a/./b",
            "a b",
            "a:1",
            "reg:/a",
            "reg:x/a",
            "reg:123456/a",
            ":1/a",
            "a/b:1/c",
            "é",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn digests_name_their_algorithm() {
        let hex = "0123456789abcdef0123456789ABCDEF";
        assert!(is_digest(&format!("sha256:{hex}{hex}")));
        assert!(is_digest(&format!("md5:{hex}")));
        assert!(is_digest(&format!("sha512+b64u.x:{hex}")));
        for bad in [
            "",
            "sha256",
            "sha256:",
            &format!("sha256:{hex}"),
            &format!("md5:{}", &hex[1..]),
            &format!(":{hex}"),
            &format!("5md:{hex}"),
            &format!("sha++x:{hex}"),
            &format!("md5:{}g", &hex[1..]),
        ] {
            assert!(!is_digest(bad), "{bad}");
        }
    }
}
