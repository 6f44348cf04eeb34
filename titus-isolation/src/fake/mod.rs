//! Doubles that are products: a kernel that is a folder, and a runtime that runs scripts in memory.

mod kernel;
mod logs;
mod runtime;
mod script;

pub use kernel::FakeKernel;
pub use runtime::{FakeOperation, FakeRuntime};
