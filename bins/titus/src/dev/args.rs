use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Runs the whole platform in this process, for development
#[derive(Debug, Clone, Args)]
pub(crate) struct DevArgs {
    /// Where to listen, on loopback; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7104", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Keeps jobs, containers and logs here; without it they are in a temporary folder and go with the process
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// What runs the containers [default: sandbox as root, else fake]
    #[arg(long, value_enum, value_name = "RUNTIME")]
    pub(crate) runtime: Option<RuntimeArg>,
    /// How many fake hosts there are
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) fake_hosts: u16,
    /// Lets containers see folders below this one, read-only; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) volume_root: Vec<PathBuf>,
    /// Folder of OCI layouts and archives, by image name [default: images in the state folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Refuses the image `host`, this machine's own root
    #[arg(long)]
    pub(crate) no_host_image: bool,
    /// Name of the containers' network, 1 to 8 letters and digits
    #[arg(long, default_value = "titus", value_name = "NAME")]
    pub(crate) network: String,
    /// Addresses of the containers' network
    #[arg(long, default_value = "10.88.0.0/22", value_name = "CIDR")]
    pub(crate) subnet: String,
    /// Stops all containers at the end also where they are kept by --state-dir
    #[arg(long)]
    pub(crate) stop_containers: bool,
    /// How to write the log, on standard error [default: text at a terminal, else json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// What to log, as `info` or `titus_store=debug,warn`
    #[arg(
        long,
        default_value = "warn",
        env = "TITUS_LOG",
        value_name = "FILTER",
        hide_env_values = true
    )]
    pub(crate) log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeArg {
    /// Containers of our own: needs root
    Sandbox,
    /// Hosts that only pretend
    Fake,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}
