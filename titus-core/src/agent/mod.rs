//! The host agent's decisions: directive in, commands out, and no I/O.
//!
//! [`HostAgent`] is a machine: an executor feeds it [`Input`]s, does the [`Command`]s that it returns, and sends its
//! [`report`](HostAgent::report) up. Containers outlive it: whatever a restart finds is [`Adopted`].
//!
//! A launch fetches the image and an address side by side, makes the sandbox blocked before exec, wires the network
//! into it, and only then opens the gate. However it goes wrong, what was made is taken down in reverse.

mod command;
mod config;
mod env;
mod machine;
mod stage;
mod task;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use command::{Adopted, Command, Fault, Found, Input, Outcome, Sandbox, Step, StopSignal, Work};
pub use config::AgentConfig;
pub use env::environment;
pub use machine::{AgentStats, HostAgent};
