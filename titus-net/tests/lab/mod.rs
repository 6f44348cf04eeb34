//! A host of one's own for a test: a fresh network namespace, containers in it, and hosts outside of it.
//! Everything in it ends with the test, also when the test panics.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod attack;

use std::fs::{self, File};
use std::future::Future;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use titus_net::{AttachmentId, Lease, Netns, Network};

/// Longer than anything takes on a machine that is not broken.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);
/// Runs `body` on a host of its own.
pub(crate) fn on_a_host<F: Future<Output = ()>>(body: impl FnOnce() -> F + Send + 'static) {
    let host = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root makes namespaces");
        run("ip link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(body());
    });
    if let Err(panic) = host.join() {
        resume_unwind(panic);
    }
}

/// Runs a command line, without a shell, on the host of this thread.
#[track_caller]
pub(crate) fn run(line: &str) -> String {
    let (ok, output) = attempt(line);
    assert!(ok, "{line}: {output}");
    output
}

pub(crate) fn attempt(line: &str) -> (bool, String) {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{line}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// A process that does nothing in a network namespace of its own.
#[derive(Debug)]
pub(crate) struct Place {
    child: Child,
    /// The namespaces that `nsenter` enters.
    namespaces: &'static str,
}

impl Place {
    /// A container: its namespace belongs to a user namespace of its own.
    pub(crate) fn container() -> Self {
        Self::start("--user --net", &["--user", "--map-root-user", "--net"])
    }

    /// Another host.
    pub(crate) fn outside() -> Self {
        let place = Self::start("--net", &["--net"]);
        place.run("ip link set lo up");
        place
    }

    fn start(namespaces: &'static str, options: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command
            .args(options)
            .args(["--", "sleep", "1000000"])
            .stdin(Stdio::null());
        let place = Self {
            child: command.spawn().unwrap(),
            namespaces,
        };
        let own = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
        let sleeps = || {
            fs::read_to_string(format!("/proc/{}/comm", place.pid()))
                .unwrap()
                .trim()
                == "sleep"
        };
        wait_until("the process sleeps in its namespace", || {
            sleeps() && fs::metadata(place.path()).is_ok_and(|other| other.ino() != own)
        });
        place
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.pid())
    }

    pub(crate) fn netns(&self) -> Netns {
        Netns::of_pid(self.pid())
    }

    /// Runs `work` on a thread in the namespace. Sockets that it returns stay bound there.
    pub(crate) fn enter<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let netns = File::open(self.path()).unwrap();
        let inside = thread::spawn(move || {
            setns(netns, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        inside.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs a command line with all the rights that root has in the namespace.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> String {
        run(&self.nsenter(line))
    }

    pub(crate) fn attempt(&self, line: &str) -> (bool, String) {
        attempt(&self.nsenter(line))
    }

    /// Starts a command line that runs until what is returned goes.
    pub(crate) fn spawn(&self, line: &str) -> Running {
        let line = self.nsenter(line);
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        Running(
            command
                .args(words)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    fn nsenter(&self, line: &str) -> String {
        format!("nsenter --target {} {} -- {line}", self.pid(), self.namespaces)
    }

    /// Whether the address answers an ICMP echo request.
    pub(crate) fn pings(&self, address: &str, patience: Duration) -> bool {
        let address = SocketAddr::new(address.parse().unwrap(), 0);
        self.enter(move || {
            fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
            let kind = (AddressFamily::Inet, SockType::Datagram, SockProtocol::Icmp);
            let socket = UdpSocket::from(socket(kind.0, kind.1, SockFlag::SOCK_CLOEXEC, kind.2).unwrap());
            socket.set_read_timeout(Some(patience)).unwrap();
            let echo_request = [8, 0, 0, 0, 0, 0, 0, 1];
            socket.send_to(&echo_request, address).is_ok() && socket.recv_from(&mut [0; 64]).is_ok()
        })
    }

    pub(crate) fn listen(&self, address: &str) -> TcpListener {
        let address: SocketAddr = address.parse().unwrap();
        self.enter(move || TcpListener::bind(address).unwrap())
    }

    pub(crate) fn listen_udp(&self, address: &str) -> UdpSocket {
        let address: SocketAddr = address.parse().unwrap();
        self.enter(move || UdpSocket::bind(address).unwrap())
    }

    /// Whether a TCP connection can be opened from here.
    pub(crate) fn reaches(&self, address: SocketAddr) -> bool {
        self.connect(address).is_ok()
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.enter(move || TcpStream::connect_timeout(&address, Duration::from_secs(2)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It ends with this process at the latest.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A process that is killed when this goes.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Waits for a line that ends so, and returns the lines after it, up to now or the end.
    pub(crate) fn wait_for(&mut self, end: &str) -> impl Iterator<Item = String> + use<> {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        assert!(
            lines.by_ref().any(|line| line.ends_with(end)),
            "{end}: never said"
        );
        lines
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Links `outside` with this host: `device` here with `here`, `eth0` there with `there`, both /24.
pub(crate) fn link_outside(outside: &Place, device: &str, here: &str, there: &str) {
    run(&format!(
        "ip link add {device} type veth peer name eth0 netns {}",
        outside.pid()
    ));
    run(&format!("ip addr add {here}/24 dev {device}"));
    run(&format!("ip link set {device} up"));
    outside.run(&format!("ip addr add {there}/24 dev eth0"));
    outside.run("ip link set eth0 up");
    let is_up = || run(&format!("ip -o link show {device}")).contains("state UP");
    wait_until("the link is up", is_up);
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not after {GENEROUS:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the port passes frames, which follows its being up after a moment.
#[track_caller]
pub(crate) fn wait_forwarding(port: &str) {
    let forwards = || run(&format!("bridge link show dev {port}")).contains("state forwarding");
    wait_until("the port forwards", forwards);
}

pub(crate) fn network(name: &str, subnet: &str) -> Network {
    Network::new(name.parse().unwrap(), subnet.parse().unwrap())
}

pub(crate) fn id(text: &str) -> AttachmentId {
    text.parse().unwrap()
}

pub(crate) fn lease(name: &str, address: &str) -> Lease {
    Lease {
        id: id(name),
        address: address.parse().unwrap(),
    }
}

pub(crate) fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

/// Everything of the host that a network might change, as text.
pub(crate) fn inventory() -> String {
    let commands = [
        "ip -details link",
        "ip -4 addr",
        "ip route show table all",
        "ip rule",
        "ip neigh",
        "bridge fdb show",
        "nft list ruleset",
    ];
    let mut text: String = commands.map(|line| format!("# {line}\n{}", run(line))).concat();
    settings("/proc/sys/net/ipv4", &mut text);
    settings("/proc/sys/net/ipv6", &mut text);
    text
}

fn settings(folder: &str, text: &mut String) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.to_str().unwrap();
        if path.is_dir() {
            settings(name, text);
        } else if let Ok(value) = fs::read_to_string(&path) {
            text.push_str(&format!("{name} = {}\n", value.trim()));
        }
    }
}
