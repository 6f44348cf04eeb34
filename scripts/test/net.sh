# shellcheck shell=bash
# Addresses and the data path: pools and doubles, then real links, routes and rules in namespaces of their own.
crate_tests titus-net
