#!/usr/bin/env bash
# Sizes of Rust files and functions: files 600 lines at most and 200 in the median, functions 80 and 10.
# rustfmt puts a function's closing brace under its first word, which is what the count relies on.
set -euo pipefail
cd "$(dirname "$0")/.."

FAILED=0

files() { git ls-files -co --exclude-standard '*.rs'; }

# Reads lines `SIZE WHERE`: budget WHAT MAXIMUM MEDIAN
budget() {
    sort -n | awk -v what="$1" -v hard="$2" -v middle="$3" '
        { size[NR] = $1; if ($1 > hard) { print "error: " $2 " has " $1 " lines, " hard " is the most for a " what; bad = 1 } }
        END {
            if (NR == 0) { print "error: found no " what; exit 1 }
            median = size[int((NR + 1) / 2)]
            printf "%ss: %d, median %d lines (budget %d), longest %d (budget %d)\n", what, NR, median, middle, size[NR], hard
            if (median > middle) { print "error: the median " what " is too long: split" ; bad = 1 }
            exit bad
        }' || FAILED=1
}

functions() {
    # shellcheck disable=SC2016 # the program is awk's
    files | xargs awk '
        FNR == 1 { inside = 0 }
        !inside && /^ *((pub(\([a-z:]+\))?|const|async|unsafe|extern "C"|default) +)*fn [a-z_0-9]+/ {
            indent = match($0, /[^ ]/); start = FNR; name = $0
            sub(/.*fn /, "", name); sub(/[^a-z_0-9].*/, "", name)
            if ($0 ~ /[;}]$/) { if ($0 ~ /}$/) print 1, FILENAME ":" FNR ":" name; next }
            inside = 1; next
        }
        inside && match($0, /[^ ]/) == indent && /^ *(}|\) *(->.*)?;$)/ {
            if ($0 ~ /}/) print FNR - start + 1, FILENAME ":" start ":" name
            inside = 0
        }
        inside && /;$/ && match($0, /[^ ]/) == indent { inside = 0 }'
}

files | xargs wc -l | awk '$2 != "total"' | budget file 600 200
functions | budget function 80 10
exit "$FAILED"
