//! The host agent's decisions: directive in, commands out, and no I/O.

mod command;

pub use command::{Adopted, Command, Fault, Found, Input, Outcome, Sandbox, Step, StopSignal, Work};
