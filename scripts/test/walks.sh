# shellcheck shell=bash
# The pages of docs/walks, typed into a shell against the built programs; then the quickstart.
if have "walks" python3 curl; then
    check "build" cargo build -p titus-cli
    tests "walks" python3 scripts/walks.py --bin "$TARGET/debug" docs/walks/[0-9]*.md
fi
if [ "$QUICK" = yes ]; then
    skip "quickstart" "left out by --quick"
elif have "quickstart" curl perl; then
    check "quickstart build" cargo build --release -p titus-cli
    check "quickstart" ./quickstart
fi
