# shellcheck shell=bash
# The pure core: unit, snapshot, property and compile-fail tests. Its simulator has a suite of its own.
crate_tests titus-core --skip sim:: --skip sim_
