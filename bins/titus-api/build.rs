//! Compiles the .proto files in pure Rust: messages, gRPC stubs, JSON and the descriptor set.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const FILES: &[&str] = &[
    "netflix/titus/titus_base.proto",
    "netflix/titus/titus_health.proto",
    "netflix/titus/titus_job_api.proto",
    "titus/agent/v1/agent.proto",
    "titus/v1/common.proto",
    "titus/v1/events.proto",
    "titus/v1/hosts.proto",
    "titus/v1/server.proto",
    "titus/v1/tasks.proto",
];

/// These carry environment variables: their `Debug` is written by hand, without the values.
const SECRETIVE: &[&str] = &[
    ".com.netflix.titus.Container",
    ".com.netflix.titus.BasicContainer",
    ".com.netflix.titus.SecurityProfile",
    ".titus.agent.v1.LaunchSpec",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let set = protox::compile(FILES, ["proto"])?;
    let bytes = set.encode_to_vec();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), &bytes)?;

    tonic_prost_build::configure()
        .btree_map(".")
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .skip_debug(SECRETIVE)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .emit_rerun_if_changed(false)
        .compile_fds(set)?;

    pbjson_build::Builder::new()
        .register_descriptors(&bytes)?
        .btree_map(["."])
        .emit_fields()
        .extern_path(".google.protobuf", "::pbjson_types")
        .build(&[".com.netflix.titus", ".titus"])?;
    Ok(())
}
