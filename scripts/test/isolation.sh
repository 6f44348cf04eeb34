# shellcheck shell=bash
# Containers: plans and doubles, the real kernel with this machine's cgroups, then cgroup v2 in a guest kernel.
crate_tests titus-isolation
if [ "$QUICK" = yes ]; then
    skip "cgroup v2 in a guest kernel" "left out by --quick"
elif ! is_root; then
    skip "cgroup v2 in a guest kernel" "needs root: the tests inside make namespaces"
else
    tests "cgroup v2 in a guest kernel" scripts/guest-v2.sh
fi
