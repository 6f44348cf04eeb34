//! Everything about clusters, written once above [`Kv`](crate::kv::Kv).
