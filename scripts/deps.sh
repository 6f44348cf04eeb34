#!/usr/bin/env bash
# Who may depend on what. The pure core only on an allow-list; the leaves on nothing of the product above them;
# default builds on no async runtime (leaves), no cloud SDK and no C library.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

FAILED=0

fail() {
    echo "error: $*"
    FAILED=1
}

# The names of all crates that CRATE is built from: tree_of CRATE KINDS [ARGUMENT...]
tree_of() {
    local crate=$1 kinds=$2
    shift 2
    cargo tree -q -p "$crate" -e "$kinds" --prefix none --format '{p}' "$@" |
        awk '{ print $1 }' | sort -u | grep -vx -- "$crate"
}

# Fails when a name of the tree matches: forbid WHY REGEX CRATE KINDS [ARGUMENT...]
forbid() {
    local why=$1 regex=$2 found
    shift 2
    found=$(tree_of "$@" | grep -Ex -- "$regex" | paste -sd' ' -) || true
    [ -z "$found" ] || fail "$1 depends on $found (cargo tree $*): $why"
}

allowed=$(grep -v '^#' scripts/deps/titus-core.allow)
for name in $(tree_of titus-core normal --features "$(all_features titus-core)"); do
    grep -qx -- "$name" <<<"$allowed" ||
        fail "titus-core depends on $name: it does no I/O and has few dependencies; if it must be, add it to scripts/deps/titus-core.allow"
done

OURS='titus-.*'
FOREIGN='aws-.*|foundationdb.*|openssl-sys|libseccomp.*|bindgen|librocksdb-sys|libz-sys|zstd-sys|libsqlite3-sys'
for leaf in titus-net titus-isolation; do
    forbid "the leaves know no job and no task" "$OURS" "$leaf" normal --features "$(all_features "$leaf")"
    forbid "a leaf's default build is pure and quick" "tokio.*|rtnetlink|bollard|cc|cmake|pkg-config|$FOREIGN" "$leaf" normal,build
done
forbid "the store knows the core and nothing else of ours" 'titus-(net|isolation|api|agent|scheduler|cli)' \
    titus-store normal --features "$(all_features titus-store)"
for crate in $(crates); do
    forbid "heavy parts are behind features that nobody gets unasked" "$FOREIGN" "$crate" normal,build
done

# Of every crate that we build from, one alternative of the licence must be among those of deny.toml.
licences=$(sed -n '/^allow = \[/,/^]/s/^ *"\(.*\)",$/\1/p' deny.toml | jq -R . | jq -s .)
bad=$(cargo metadata --format-version 1 --locked | jq -r --argjson allowed "$licences" '
    .packages[] | select(.source != null) | . as $crate
    | [(.license // "none") | gsub("[()]"; "") | gsub("/"; " OR ") | split(" OR ")[]
        | split(" AND ") | all(. as $one | $allowed | any(. == ($one | gsub("^ +| +$"; ""))))]
    | select(any | not) | "\($crate.name) \($crate.version): \($crate.license // "none")"')
[ -z "$bad" ] || fail "licences that deny.toml does not allow:"$'\n'"$bad"

[ "$FAILED" = 0 ] && echo "dependencies are as they should be"
exit "$FAILED"
