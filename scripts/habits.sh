#!/usr/bin/env bash
# Habits of the house that no compiler knows. Each check prints what is wrong and where.
set -euo pipefail
cd "$(dirname "$0")/.."

FAILED=0

fail() {
    echo "error: $*"
    FAILED=1
}

# Fails with the lines on standard input, if there are any.
none() {
    local lines
    lines=$(cat)
    [ -z "$lines" ] || fail "$1"$'\n'"$lines"
}

text_files() { git ls-files -co --exclude-standard | grep -Ev '^(LICENSE|Cargo\.lock)$' | while read -r file; do [ ! -f "$file" ] || echo "$file"; done; }

grep_text() { text_files | xargs grep -InE "$@" || true; }

crate_docs_open_with_an_example() {
    local lib
    for lib in titus-*/src/lib.rs bins/*/src/lib.rs; do
        [ -f "$lib" ] || continue
        sed -n '/^\/\/!/!q; p' "$lib" | grep -qE '^//! ```(no_run|rust)?$' ||
            echo "$lib"
    done | none "the docs of a crate open with a runnable example:"
}

mains_are_small() {
    wc -l bins/*/src/main.rs | awk '$2 != "total" && $1 > 80' | none "a main.rs has 80 lines at most:"
}

nothing_is_left_for_later() {
    grep_text --include='*.rs' '\b(todo|unimplemented)!|\b(TODO|FIXME|XXX)\b' | none "code is finished or absent:"
}

addresses_are_known() {
    grep_text -o 'https?://[A-Za-z0-9.-]+' | grep -vE "://($(grep -v '^#' scripts/hosts.allow | sed 's/[.]/\\./g' | paste -sd'|' -))$" |
        none "hosts that are not in scripts/hosts.allow (no mirrors, no private hosts):"
}

no_path_of_a_machine() {
    local path
    for path in "$PWD" "${CARGO_HOME:-$HOME/.cargo}" "${RUSTUP_HOME:-$HOME/.rustup}"; do
        text_files | xargs grep -InF -- "$path" || true
    done | none "paths of this machine:"
}

sources_are_public() {
    [ -f Cargo.lock ] || return 0
    { grep '^source = ' Cargo.lock || true; } | sort -u |
        { grep -vF 'registry+https://github.com/rust-lang/crates.io-index' || true; } |
        none "Cargo.lock names a source that is not crates.io:"
    git ls-files '.cargo' | none "the checkout brings no cargo configuration:"
}

walks_are_listed() {
    local page
    for page in docs/walks/[0-9]*.md; do
        grep -qF "(${page##*/})" docs/walks/README.md || echo "$page"
    done | none "pages that docs/walks/README.md does not list:"
}

links_lead_somewhere() {
    local file link
    for file in $(text_files | grep '\.md$'); do
        { grep -oE '\]\([^)#: ]+[)#]' "$file" || true; } | sed -E 's/^\]\(//; s/[)#]$//' | while read -r link; do
            [ -e "$(dirname "$file")/$link" ] || echo "$file: $link"
        done
    done | none "links to files that are not there:"
}

crate_docs_open_with_an_example
mains_are_small
nothing_is_left_for_later
addresses_are_known
no_path_of_a_machine
sources_are_public
walks_are_listed
links_lead_somewhere
[ "$FAILED" = 0 ] && echo "habits are kept"
exit "$FAILED"
