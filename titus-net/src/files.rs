//! The two files by which a container finds names: pure text to text.

use std::net::{IpAddr, Ipv4Addr};

use crate::{Error, Ipv4Block};

/// Most name servers that resolvers read.
const SERVERS_MAX: usize = 3;

/// The text of a container's `/etc/resolv.conf`, from the host's.
///
/// A container reaches neither its host's loopback, where many hosts run a resolver, nor denied addresses, nor
/// IPv6. So the first of the `candidates` that names a server outside of these wins, with its search list and
/// options: the text of `/etc/resolv.conf`, and then best that of `/run/systemd/resolve/resolv.conf`. When
/// none does, the `fallback` servers are named. `None` means that there is no server to name.
///
/// ```
/// use titus_net::resolv_conf;
///
/// let stub = "nameserver 127.0.0.53\nsearch lan\n";
/// let upstream = "nameserver 192.0.2.53\nsearch example.com\n";
/// let denied = ["169.254.0.0/16".parse()?];
/// let text = resolv_conf(&[stub, upstream], &denied, &[]).unwrap();
/// assert_eq!(text, "nameserver 192.0.2.53\nsearch example.com\n");
/// # Ok::<(), titus_net::Error>(())
/// ```
pub fn resolv_conf(candidates: &[&str], denied: &[Ipv4Block], fallback: &[Ipv4Addr]) -> Option<String> {
    let reachable = |server: &Ipv4Addr| {
        !server.is_loopback()
            && !server.is_unspecified()
            && !denied.iter().any(|block| block.contains(*server))
    };
    for text in candidates {
        let servers: Vec<_> = servers(text).filter(reachable).collect();
        if !servers.is_empty() {
            let others = text
                .lines()
                .filter(|line| matches!(keyword(line), "search" | "domain" | "options"));
            let others: String = others.map(|line| format!("{}\n", line.trim())).collect();
            return Some(name(&servers) + &others);
        }
    }
    let servers: Vec<_> = fallback.iter().copied().filter(reachable).collect();
    (!servers.is_empty()).then(|| name(&servers))
}

fn servers(text: &str) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let lines = text.lines().filter(|line| keyword(line) == "nameserver");
    lines.filter_map(|line| match line.split_whitespace().nth(1)?.parse().ok()? {
        IpAddr::V4(server) => Some(server),
        IpAddr::V6(_) => None,
    })
}

fn keyword(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

fn name(servers: &[Ipv4Addr]) -> String {
    servers
        .iter()
        .take(SERVERS_MAX)
        .map(|server| format!("nameserver {server}\n"))
        .collect()
}

/// The text of a container's `/etc/hosts`: loopback, and its own name at its own address.
///
/// `hostname` is letters, digits, `.` and `-`, at most 253 bytes.
pub fn hosts_file(hostname: &str, address: Ipv4Addr) -> Result<String, Error> {
    let plain = hostname
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    if hostname.is_empty() || hostname.len() > 253 || !plain {
        let why = "use 1 to 253 letters, digits, '.' and '-'".to_owned();
        return Err(Error::Invalid {
            what: "host name",
            value: hostname.to_owned(),
            why,
        });
    }
    Ok(format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{hostname}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> [Ipv4Block; 1] {
        ["169.254.0.0/16".parse().unwrap()]
    }

    #[test]
    fn servers_that_a_container_reaches_are_kept_with_search_and_options() {
        let text = "# made by hand\n nameserver 192.0.2.1\nnameserver ::1\nnameserver 127.0.0.53\n\
                    nameserver 169.254.169.253\nnameserver 0.0.0.0\nsearch a b\nsortlist x\n\toptions ndots:2\n";
        let expected = "nameserver 192.0.2.1\nsearch a b\noptions ndots:2\n";
        assert_eq!(resolv_conf(&[text], &denied(), &[]).as_deref(), Some(expected));
    }

    #[test]
    fn at_most_three_servers_are_named() {
        let text: String = (1..9).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
        let text = resolv_conf(&[&text], &[], &[]).unwrap();
        assert_eq!(
            text,
            "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
        );
    }

    #[test]
    fn without_a_reachable_server_the_fallback_is_named_or_nothing() {
        let stub = "nameserver 127.0.0.53\nsearch lan\n";
        let fallback = ["169.254.1.1", "192.0.2.9"].map(|server| server.parse().unwrap());
        let named = resolv_conf(&["", stub, "nameserver nonsense"], &denied(), &fallback);
        assert_eq!(named.as_deref(), Some("nameserver 192.0.2.9\n"));
        assert_eq!(resolv_conf(&[stub], &denied(), &fallback[..1]), None);
        assert_eq!(resolv_conf(&[], &[], &[]), None);
    }

    #[test]
    fn the_hosts_file_takes_no_lines_of_its_readers() {
        let address = "10.88.0.2".parse().unwrap();
        let text = hosts_file("web-1.example", address).unwrap();
        assert!(text.ends_with("\n10.88.0.2\tweb-1.example\n"), "{text}");
        for bad in [
            "",
            "a b",
            "a\n192.0.2.1 example.com",
            "a\t",
            "ä",
            &"a".repeat(254),
        ] {
            assert!(hosts_file(bad, address).is_err(), "{bad:?}");
        }
    }
}
