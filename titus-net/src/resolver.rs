//! Which of the host's name servers a container can ask.

use std::net::{IpAddr, Ipv4Addr};

use crate::Network;

/// Most name servers that resolvers read.
const SERVERS_MAX: usize = 3;

impl Network {
    /// The name servers that containers can reach, at most three, from the texts of the host's resolver files.
    ///
    /// A container reaches neither the host's loopback, where many hosts run a resolver, nor denied addresses,
    /// nor IPv6. The first text that names a server outside of these wins: `/etc/resolv.conf`, and then best
    /// `/run/systemd/resolve/resolv.conf`, which names what the resolver on loopback asks.
    ///
    /// ```
    /// use titus_net::Network;
    ///
    /// let network = Network::new("demo".parse()?, "10.88.0.0/24".parse()?);
    /// let stub = "nameserver 127.0.0.53\nsearch lan\n";
    /// let upstream = "nameserver 192.0.2.53\nnameserver 169.254.169.253\n";
    /// assert_eq!(network.name_servers(&[stub, upstream]), ["192.0.2.53".parse::<std::net::IpAddr>().unwrap()]);
    /// # Ok::<(), titus_net::Error>(())
    /// ```
    pub fn name_servers(&self, texts: &[&str]) -> Vec<IpAddr> {
        let named = texts
            .iter()
            .map(|text| self.reachable(text))
            .find(|servers| !servers.is_empty());
        named.unwrap_or_default()
    }

    fn reachable(&self, text: &str) -> Vec<IpAddr> {
        let named = text.lines().filter_map(server);
        let reached = named.filter(|server| {
            let denied = self.denied().iter().any(|block| block.contains(*server));
            !server.is_loopback() && !server.is_unspecified() && !denied
        });
        reached.map(IpAddr::V4).take(SERVERS_MAX).collect()
    }
}

fn server(line: &str) -> Option<Ipv4Addr> {
    let mut words = line.split_whitespace();
    if words.next()? == "nameserver" {
        words.next()?.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(texts: &[&str]) -> Vec<String> {
        let network = Network::new("t".parse().unwrap(), "10.0.0.0/24".parse().unwrap());
        network
            .name_servers(texts)
            .iter()
            .map(IpAddr::to_string)
            .collect()
    }

    #[test]
    fn only_servers_that_a_container_reaches_are_named() {
        let text = "# nameserver 192.0.2.9\n nameserver\t192.0.2.1 \nnameserver ::1\nnameserver 2001:db8::1\n\
                    nameserver 127.0.0.53\nnameserver 169.254.169.253\nnameserver 0.0.0.0\nnameserver nonsense\n\
                    nameserver\noptions 192.0.2.8\nnameserver 192.0.2.2\n";
        assert_eq!(servers(&[text]), ["192.0.2.1", "192.0.2.2"]);
    }

    #[test]
    fn the_first_text_with_a_server_wins() {
        let texts = [
            "",
            "nameserver 127.0.0.53\n",
            "nameserver 192.0.2.1\n",
            "nameserver 192.0.2.2\n",
        ];
        assert_eq!(servers(&texts), ["192.0.2.1"]);
        assert_eq!(servers(&texts[..2]), [""; 0]);
        assert_eq!(servers(&[]), [""; 0]);
    }

    #[test]
    fn at_most_three_are_named() {
        let text: String = (1..9).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
        assert_eq!(servers(&[&text]), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    }
}
