# shellcheck shell=bash
# The store: the conformance suite on every backend, the history checker, and writes that survive kill -9.
crate_tests titus-store
