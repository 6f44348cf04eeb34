//! Package `com.netflix.titus`: Titus API v3.
#![allow(
    missing_docs,
    elided_lifetimes_in_paths,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::future_not_send,
    clippy::too_many_lines,
    clippy::use_self,
    reason = "generated from proto/netflix/titus, where the comments are"
)]

include!(concat!(env!("OUT_DIR"), "/com.netflix.titus.rs"));
include!(concat!(env!("OUT_DIR"), "/com.netflix.titus.serde.rs"));
