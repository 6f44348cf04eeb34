#!/usr/bin/env bash
# Habits of the house that no compiler knows. Each check prints what is wrong and where.
# shellcheck disable=SC2317 # the checks are called by name
set -euo pipefail
cd "$(dirname "$0")/.."

FAILED=0

# Fails with what a function prints, if it prints anything: none WHAT FUNCTION
none() {
    local lines
    lines=$("$2")
    [ -z "$lines" ] || {
        echo "error: $1:"$'\n'"$lines"
        FAILED=1
    }
}

text_files() {
    git ls-files -co --exclude-standard | grep -Ev '^(LICENSE|Cargo\.lock)$' | while read -r file; do
        if [ -f "$file" ]; then echo "$file"; fi
    done
}

# Prints matching lines of all text files; finding none is no failure.
grep_text() { text_files | xargs grep -In "$@" || true; }

docs_without_an_example() {
    local lib
    for lib in titus-*/src/lib.rs bins/*/src/lib.rs; do
        sed -n '/^\/\/!/!q; p' "$lib" | grep -qE '^//! ```(no_run|rust)?$' || echo "$lib"
    done
}

long_mains() { wc -l bins/*/src/main.rs | awk '$2 != "total" && $1 > 80'; }

left_for_later() { grep_text -E --include='*.rs' '\b(todo|unimplemented)!|\b(TODO|FIXME|XXX)\b'; }

unknown_hosts() {
    local known
    known=$(grep -v '^#' scripts/hosts.allow | sed 's/[.]/\\./g' | paste -sd'|' -)
    grep_text -oE 'https?://[A-Za-z0-9.-]+' | { grep -vE "://(($known)|[a-z0-9.-]+\.(example|test|invalid))$" || true; }
}

paths_of_this_machine() {
    local path
    for path in "$PWD" "${CARGO_HOME:-$HOME/.cargo}" "${RUSTUP_HOME:-$HOME/.rustup}"; do
        case $path in
        /*/*) grep_text -F -- "$path/" ;; # a checkout at the top of the file system has no telling name
        esac
    done
}

private_sources() {
    grep '^source = ' Cargo.lock | sort -u |
        { grep -vF 'registry+https://github.com/rust-lang/crates.io-index' || true; }
    git ls-files .cargo
}

unlisted_walks() {
    local page
    for page in docs/walks/[0-9]*.md; do
        grep -qF "(${page##*/})" docs/walks/README.md || echo "$page"
    done
}

dead_links() {
    local file link
    for file in $(text_files | grep '\.md$'); do
        { grep -oE '\]\([^)#: ]+[)#]' "$file" || true; } | sed -E 's/^\]\(//; s/[)#]$//' | while read -r link; do
            [ -e "$(dirname "$file")/$link" ] || echo "$file: $link"
        done
    done
}

none "the docs of a crate open with an example that runs" docs_without_an_example
none "a main.rs has 80 lines at most" long_mains
none "code is finished or absent" left_for_later
none "hosts that are not in scripts/hosts.allow (no mirrors, no private hosts)" unknown_hosts
none "paths of this machine" paths_of_this_machine
none "sources and settings of cargo that are not crates.io's" private_sources
none "pages that docs/walks/README.md does not list" unlisted_walks
none "links to files that are not there" dead_links
[ "$FAILED" = 1 ] || echo "habits are kept"
exit "$FAILED"
