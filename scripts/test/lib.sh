# shellcheck shell=bash
# Stages of ./test: each is one command with its own log; counts and skips are read from the logs.

PASSED=0 FAILED=0 SKIPPED=0
SKIPS=()
SUITE=none

now_ms() { date +%s%3N; }

# Records that something did not run: skip NAME REASON.
skip() {
    SKIPPED=$((SKIPPED + 1))
    SKIPS+=("$SUITE: $1: $2")
    printf 'skip          %s: %s (%s)\n' "$SUITE" "$1" "$2"
}

# True when all the tools are there; else the check NAME is skipped: have NAME TOOL...
have() {
    local name=$1 tool
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 && continue
        skip "$name" "$tool is not installed"
        return 1
    done
}

# A check: passes when its command succeeds. check NAME COMMAND...
check() { run_stage no "$@"; }

# A command that runs tests: it must succeed and have run at least one. tests NAME COMMAND...
tests() { run_stage yes "$@"; }

run_stage() {
    local wants_tests=$1 name=$2 log start rc=0
    shift 2
    log=$LOGS/$SUITE-${name//[^a-zA-Z0-9._-]/_}.log
    start=$(now_ms)
    [ ! -t 1 ] || printf '...           %s: %s\r' "$SUITE" "$name"
    "$@" >"$log" 2>&1 </dev/null || rc=$?
    judge "$wants_tests" "$name" "$log" "$rc" $(($(now_ms) - start))
}

judge() {
    local wants_tests=$1 name=$2 log=$3 rc=$4 ms=$5 ran failed verdict=ok
    read -r ran failed < <(count_tests "$log")
    if [ "$rc" != 0 ] || [ "$failed" != 0 ]; then
        verdict=FAIL
        [ "$failed" != 0 ] || failed=1
    elif [ "$wants_tests" = yes ] && [ "$ran" = 0 ]; then
        verdict=FAIL failed=1
        echo "no test was run" >>"$log"
    elif [ "$ran" = 0 ]; then
        PASSED=$((PASSED + 1))
    fi
    PASSED=$((PASSED + ran)) FAILED=$((FAILED + failed))
    printf '%-5s%8s  %s: %s%s\n' "$verdict" "$(seconds "$ms")" "$SUITE" "$name" "$([ "$ran" = 0 ] || echo " ($ran tests)")"
    [ "$verdict" = ok ] || show_failure "$log"
    collect_skips "$name" "$log"
}

seconds() { printf '%d.%ds' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# What failed, by cargo's own summary of it; else the end of the log.
show_failure() {
    echo "---- from $1"
    if grep -q '^test result: FAILED' "$1" && grep -q '^failures:$' "$1"; then
        awk '/^failures:$/ && !on { on = 1; text = "" }
            on { text = text $0 "\n" }
            /^test result: / { if (/FAILED/) printf "%s", text; on = 0; text = "" }' "$1" | tail -n 400
    else
        tail -n 150 "$1"
    fi
    echo "----"
}

# Prints how many tests a log says have passed, and how many have failed: of cargo's and of Python's runner.
count_tests() {
    awk '
        /^test result: / { for (i = 2; i < NF; i++) { if ($(i + 1) == "passed;") passed += $i; if ($(i + 1) == "failed;") failed += $i } }
        /^Ran [0-9]+ tests? in / { ran = $2 }
        /^FAILED \(/ { n = $0; gsub(/[^0-9]+/, " ", n); split(n, parts, " "); bad = 0; for (i in parts) bad += parts[i]; failed += bad; ran -= bad }
        END { print passed + ran, failed + 0 }
    ' "$1"
}

# Tests that were not run say why: `test NAME ... ignored, REASON`, or a line `skipped: NAME: REASON` that they print.
collect_skips() {
    local line
    while IFS= read -r line; do
        SKIPPED=$((SKIPPED + 1))
        SKIPS+=("$SUITE: $line")
    done < <(sed -nE -e 's/^test (.*) \.\.\. ignored, (.*)$/\1: \2/p' \
        -e 's/^test (.*) \.\.\. ignored$/\1: gives no reason/p' -e 's/^skipped: (.*)$/\1/p' "$2")
}

# All tests of one crate with all its features, and then its doc examples. Root also runs those that need it.
# crate_tests CRATE [ARGUMENT OF THE TEST PROGRAM...]
crate_tests() {
    local crate=$1
    shift
    local -a which=(--show-output "$@") targets=(--bins --tests --examples)
    ! is_root || which+=(--include-ignored)
    ! has_library "$crate" || targets+=(--lib)
    tests "$crate" cargo test --no-fail-fast -p "$crate" --features "$(all_features "$crate")" \
        "${targets[@]}" -- "${which[@]}"
    crate_docs "$crate"
}

crate_docs() {
    has_library "$1" || return 0
    tests "$1 doc examples" cargo test -p "$1" --features "$(all_features "$1")" --doc
}

has_library() {
    cargo metadata --no-deps --format-version 1 |
        jq -e --arg crate "$1" '.packages[] | select(.name == $crate) | .targets | any(.kind[] == "lib")' >/dev/null
}
