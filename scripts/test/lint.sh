# shellcheck shell=bash
# Form: formatting, lints over the features, docs, dependencies, budgets, scripts.
check "format" cargo fmt --all --check -- --color never

lint() { check "clippy $*" cargo clippy -p "$@" -- -D warnings; }

for crate in $(crates); do
    all=$(all_features "$crate")
    lint "$crate" --all-targets
    [ -z "$all" ] || lint "$crate" --all-targets --features "$all"
    if [ "$QUICK" = no ] && [ -n "$all" ]; then
        lint "$crate" --no-default-features
        for feature in $(features "$crate"); do
            lint "$crate" --no-default-features --features "$feature"
        done
    fi
    check "rustdoc $crate" env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps -p "$crate" --features "$all"
done

[ "$QUICK" = no ] || skip "each feature alone" "left out by --quick"

check "dependencies" scripts/deps.sh
check "budgets" scripts/budgets.sh
check "habits" scripts/habits.sh
if have "scripts" shellcheck; then
    check "scripts" shellcheck -x test quickstart bench .ci/run scripts/*.sh scripts/test/*.sh
fi
tests "the checks" scripts/test_lib.sh
if have "the walks' runner" python3; then
    tests "the walks' runner" python3 -m unittest discover -v -s scripts -p "test_*.py"
fi
if have "licences and advisories" cargo-deny; then
    check "licences and advisories" cargo deny --offline check licenses bans sources
fi
