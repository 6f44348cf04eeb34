use std::fmt;

use crate::{Mac, Network, Protocol};

/// What the names of all networks' tables begin with.
pub const TABLE_PREFIX: &str = "titus_";

/// The name of a network's tables, one of family `ip` and one of family `bridge`.
pub fn table(network: &Network) -> String {
    format!("{TABLE_PREFIX}{}", network.name())
}

/// The set in a network's `ip` table that holds [`Rules::closed`], and remembers it after a crash.
pub const CLOSED_SET: &str = "closed";

/// Whether an interface's name can be written in a rule. The kernel takes nearly any byte in a name.
pub fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-@+".contains(&b))
}

/// A network's rules, loaded once: nothing in them changes when containers come and go, because a port's
/// name and hardware address follow from its address.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The network.
    pub network: &'a Network,
    /// The interfaces that forward only for our networks; not to each other.
    pub closed: &'a [String],
}

impl fmt::Display for Rules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = table(self.network);
        for family in ["bridge", "ip"] {
            writeln!(f, "table {family} {table}\ndelete table {family} {table}")?;
        }
        writeln!(f, "table bridge {table} {{")?;
        self.owned(f)?;
        self.frames(f)?;
        writeln!(f, "}}\ntable ip {table} {{")?;
        self.sets(f)?;
        self.prerouting(f)?;
        self.input(f)?;
        self.forward(f)?;
        self.postrouting(f)?;
        writeln!(f, "}}")
    }
}

impl Rules<'_> {
    /// Which source addresses may come in by which port.
    fn owned(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  set owned {{\n    type ifname . ether_addr . ipv4_addr\n    elements = {{"
        )?;
        for address in self.network.subnet().usable() {
            let port = self.network.port(address).expect("usable addresses have ports");
            writeln!(f, "      \"{port}\" . {} . {address},", Mac::of(address))?;
        }
        writeln!(f, "    }}\n  }}")
    }

    /// Frames from containers: IPv4 and ARP from their own addresses, nothing else, so no IPv6 and no VLANs.
    /// Frames to reserved groups pass here too, because the bridge forwards them; the one that no bridge may
    /// forward (`02`) passes the second chain.
    fn frames(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = format!("\"{}*\"", self.network.port_prefix());
        writeln!(
            f,
            "  chain prerouting {{
    type filter hook prerouting priority -300; policy accept;
    iifname != {ports} accept
    ether type ip iifname . ether saddr . ip saddr @owned accept
    ether type arp iifname . ether saddr . arp saddr ip @owned iifname . arp saddr ether . arp saddr ip @owned accept
    counter drop
  }}
  chain input {{
    type filter hook input priority -300; policy accept;
    iifname {ports} ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 counter drop
  }}"
        )
    }

    fn sets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denied = self.network.denied();
        if !denied.is_empty() {
            let denied = join(denied);
            writeln!(
                f,
                "  set denied {{
    type ipv4_addr; flags interval; auto-merge
    elements = {{ {denied} }}
  }}"
            )?;
        }
        if !self.closed.is_empty() {
            let names: Vec<_> = self.closed.iter().map(|name| format!("\"{name}\"")).collect();
            let names = join(&names);
            writeln!(
                f,
                "  set {CLOSED_SET} {{
    type ifname
    elements = {{ {names} }}
  }}"
            )?;
        }
        Ok(())
    }

    /// Nothing comes in by a port beside its bridge, or from a foreign address; and nobody outside speaks in a
    /// container's name.
    fn prerouting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bridge, subnet) = (self.network.bridge(), self.network.subnet());
        let ports = self.network.port_prefix();
        writeln!(
            f,
            "  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname != \"{bridge}\" iifname \"{ports}*\" counter drop
    iifname \"{bridge}\" ip saddr != {subnet} counter drop
    iifname != {{ \"{bridge}\", \"lo\" }} ip saddr {subnet} counter drop
  }}"
        )
    }

    /// Of the host, containers reach the answers to what it asked them, a ping and the named services.
    /// "Related" is bound to the subnet too, or a container could break the host's connections to others by
    /// forged ICMP errors.
    fn input(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bridge, subnet) = (self.network.bridge(), self.network.subnet());
        let gateway = subnet.gateway();
        writeln!(
            f,
            "  chain input {{
    type filter hook input priority filter; policy accept;
    iifname != \"{bridge}\" accept
    ct state established,related ct original ip daddr {subnet} accept
    ip daddr {gateway} icmp type echo-request accept"
        )?;
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let services = self
                .network
                .services()
                .iter()
                .filter(|service| service.protocol == protocol);
            let ports: Vec<_> = services.map(|service| service.port).collect();
            if !ports.is_empty() {
                let ports = join(&ports);
                writeln!(f, "    ip daddr {gateway} {protocol} dport {{ {ports} }} accept")?;
            }
        }
        writeln!(f, "    counter reject with icmp type admin-prohibited\n  }}")
    }

    /// Containers open connections to the outside, never the outside to them. Denied blocks are matched as
    /// they were before any translation too.
    fn forward(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bridge = self.network.bridge();
        writeln!(
            f,
            "  chain forward {{\n    type filter hook forward priority filter; policy accept;"
        )?;
        if !self.closed.is_empty() {
            writeln!(f, "    iifname @{CLOSED_SET} oifname @{CLOSED_SET} counter drop")?;
        }
        writeln!(
            f,
            "    iifname \"{bridge}\" oifname \"{bridge}\" accept
    oifname \"{bridge}\" ct state established,related accept
    oifname \"{bridge}\" counter drop"
        )?;
        if !self.network.denied().is_empty() {
            let reject = "@denied counter reject with icmp type admin-prohibited";
            writeln!(
                f,
                "    iifname \"{bridge}\" ip daddr {reject}
    iifname \"{bridge}\" ct original ip daddr {reject}"
            )?;
        }
        writeln!(f, "  }}")
    }

    fn postrouting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bridge, subnet) = (self.network.bridge(), self.network.subnet());
        writeln!(
            f,
            "  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != \"{bridge}\" masquerade
  }}"
        )
    }
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
