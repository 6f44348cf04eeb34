# shellcheck shell=bash
# The simulations: the pure one of titus-core, then the real controllers and agents; fixed seeds.
tests "titus-core sim" cargo test --no-fail-fast -p titus-core --features "$(all_features titus-core)" --lib --tests -- sim:: sim_
crate_tests titus-sim
