//! A server on a real port, driven over gRPC and HTTP by clients of their own.

#![allow(clippy::unwrap_used, reason = "tests")]

mod finds;
mod grpc;
mod http;
mod insight;
mod platform;
mod rest;
