#!/usr/bin/env bash
# Tests of what ./test is made of: that it counts right, and that what must fail does.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/test/lib.sh

LOGS=$(mktemp -d)
trap 'rm -rf "$LOGS"' EXIT
RAN=0 BAD=0

# expect NAME WANTED FOUND
expect() {
    RAN=$((RAN + 1))
    [ "$2" = "$3" ] || {
        BAD=$((BAD + 1))
        printf 'test %s ... FAILED: wanted %s, found %s\n' "$1" "$2" "$3"
    }
}

# What a stage adds to the counts, as `passed failed skipped`: counts CHECK_OR_TESTS COMMAND...
counts() {
    local kind=$1
    shift
    PASSED=0 FAILED=0 SKIPPED=0 SKIPS=()
    "$kind" stage "$@" >"$LOGS/output"
    COUNTS="$PASSED $FAILED $SKIPPED"
}

cargo_log() {
    printf 'test a ... ok\ntest b ... ignored, needs root: %s\n' "makes mounts"
    printf 'test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n'
    printf 'test result: %s. 3 passed; %s failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n' "$1" "$2"
}

broken_cargo() {
    cargo_log ok 0 | sed '$d'
    printf 'successes:\n\n---- a stdout ----\nall went well\n\n'
    printf 'failures:\n\n---- c stdout ----\npanicked here\n\nfailures:\n    c\n\n'
    cargo_log FAILED 2 | tail -n 1
    return 101
}
skipping() { printf 'skipped: escape_by_cgroup: no cgroup v1 here\ntest result: ok. 1 passed; 0 failed;\n'; }
python_log() { printf 'Ran %s tests in 0.1s\n\n%s\n' "$1" "$2"; }

counts check true
expect "a check that succeeds is one that passed" "1 0 0" "$COUNTS"
counts check false
expect "a check that fails is one that failed" "0 1 0" "$COUNTS"
expect "a failure is shown with its log" "1" "$(grep -c '^FAIL.*none: stage' "$LOGS/output")"
counts tests true
expect "running no test is a failure" "0 1 0" "$COUNTS"
counts tests cargo_log ok 0
expect "cargo's tests are added up" "15 0 1" "$COUNTS"
expect "a skip has its reason" "none: b: needs root: makes mounts" "${SKIPS[0]}"
counts tests broken_cargo
expect "cargo's failures are counted" "15 2 1" "$COUNTS"
expect "what failed is shown, and not what passed" "1 0" \
    "$(grep -c 'panicked here' "$LOGS/output") $(grep -c 'all went well' "$LOGS/output")"
counts tests skipping
expect "a test may say that it skips" "1 0 1" "$COUNTS"
expect "and why" "none: escape_by_cgroup: no cgroup v1 here" "${SKIPS[0]}"
counts tests python_log 9 OK
expect "Python's tests are counted" "9 0 0" "$COUNTS"
counts tests python_log 9 "FAILED (failures=1, errors=2)"
expect "Python's failures are counted" "6 3 0" "$COUNTS"
PASSED=0 SKIPPED=0
have "nothing" no-such-tool >"$LOGS/output" || true
expect "a missing tool is a skip" 1 "$SKIPPED"
expect "tools that are there need no package" "" "$(missing_packages bash:bash)"
expect "missing tools name their packages" "a b" "$(missing_packages no-such-tool:b,a | paste -sd' ' -)"

traces >"$LOGS/traces"
expect "an unchanged machine is as it was" "yes" "$(traces_are_as_in "$LOGS/traces" 5 && echo yes)"
echo "mount /nowhere" >>"$LOGS/traces"
expect "what is gone is told" "taken away: mount /nowhere" "$(traces_are_as_in "$LOGS/traces" 0 | grep nowhere)"

[ "$BAD" = 0 ] && verdict=ok || verdict=FAILED
echo "test result: $verdict. $((RAN - BAD)) passed; $BAD failed;"
[ "$BAD" = 0 ]
