# shellcheck shell=bash
# The wire contract and the programs that speak it.
for crate in titus-api titus-agent titus-scheduler titus-cli; do
    crate_tests "$crate"
done
