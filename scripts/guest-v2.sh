#!/usr/bin/env bash
# Runs the sandbox's tests on cgroup v2, in a guest kernel: User Mode Linux on this machine's own file system,
# read-only, with everything written kept in memory. Exits 0 only if the tests inside said that they passed.
#
#   scripts/guest-v2.sh [TEST-ARGUMENT...]     as root; the arguments go to the test binary
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

is_root || die "needs root: the tests inside the guest make namespaces"
ensure_tools modprobe:kmod jq:jq mkfs.ext4:e2fsprogs

WORK=$(mktemp -d /var/tmp/titus-guest.XXXXXX)
trap 'rm -rf "$WORK"' EXIT

# Prints the folder of an unpacked user-mode-linux package, which is neither installed nor changed.
guest_kernel() {
    local cache=${CARGO_TARGET_DIR:-target}/guest
    mkdir -p "$cache"
    cache=$(realpath "$cache")
    if [ ! -x "$cache/usr/bin/linux.uml" ]; then
        say "fetches the guest kernel (user-mode-linux) by apt-get"
        (cd "$WORK" && { apt-get download -qq user-mode-linux || { apt-get update -qq && apt-get download -qq user-mode-linux; }; }) >&2
        dpkg -x "$WORK"/user-mode-linux_*.deb "$cache"
    fi
    echo "$cache"
}

# Prints the path of a binary that cargo has just built: built NAME ARGUMENT...
built() {
    local name=$1
    shift
    cargo "$@" --message-format json 2>/dev/null |
        jq -r --arg name "$name" 'select(.reason == "compiler-artifact" and .target.name == $name and .executable) | .executable' |
        tail -1
}

KERNEL=$(guest_kernel)
FEATURES=(-p titus-isolation --features "conformance,fake,image,sandbox")
say "builds the tests"
cargo test "${FEATURES[@]}" --test real_sandbox --no-run
TEST=$(built real_sandbox test "${FEATURES[@]}" --test real_sandbox --no-run)
INIT=$(built titus-init build "${FEATURES[@]}" --bin titus-init)
if [ ! -x "$TEST" ] || [ ! -x "$INIT" ]; then die "the tests were not built"; fi

# On processors with AMX a process's extended registers are larger than this guest kernel's room for them, and it
# dies at once. Denied PTRACE_GETREGSET (0x4204) it takes the old way, which saves SSE but not AVX: so the C library
# is told to do without AVX, by a variable that also the sandboxes get.
START=plainly
TUNABLES=
if grep -qw amx_tile /proc/cpuinfo; then
    START=without_xstate
    TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM
fi
plainly() { "$@"; }
without_xstate() {
    # shellcheck disable=SC2016 # the program is perl's
    perl -e '
        my $filter = join "", map { pack "SCCL", @$_ }
            [0x20, 0, 0, 0], [0x15, 0, 3, 101], [0x20, 0, 0, 16], [0x15, 0, 1, 0x4204],
            [0x06, 0, 0, 0x00050005], [0x06, 0, 0, 0x7fff0000];
        my $program = pack "Sx6P", 6, $filter;
        syscall(157, 22, 2, $program) == 0 or die "seccomp: $!";
        exec @ARGV or die "exec: $!"' "$@"
}

cat >"$WORK/init" <<INIT
#!/bin/bash
# First process of the guest: a writable root in memory over the host's, then the tests.
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ -n "\$GLIBC_TUNABLES" ] || GLIBC_TUNABLES=${TUNABLES:-none} exec /bin/bash "$WORK/init"
mount -t proc proc /proc
mount -t tmpfs run /run
mkdir -p /run/modules/lib /run/upper /run/work /run/root
ln -s "$KERNEL/usr/lib/uml/modules" /run/modules/lib/modules
modprobe -d /run/modules overlay
modprobe -d /run/modules ext4 2>/dev/null || true
mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay /run/root
cd /run/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs shm dev/shm
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs run run
mkdir -p run/old
pivot_root . run/old
exec chroot . /bin/bash "$WORK/tests"
INIT

# The root is an overlay, which another overlay cannot write to: sandboxes are kept on a disk of their own.
truncate -s 1G "$WORK/disk"
mkfs.ext4 -q -F "$WORK/disk"
cat >"$WORK/tests" <<TESTS
mkdir -p /run/sandboxes
mount -t ext4 /dev/ubda /run/sandboxes
export TITUS_TEST_DIR=/run/sandboxes TITUS_INIT="$WORK/titus-init" RUST_BACKTRACE=0
cd /
"$TEST" --include-ignored --test-threads=2 $*
echo "TESTRC=\$?"
echo o > /proc/sysrq-trigger
sleep 10
TESTS
# The runtime passes no variables on, so this does.
cat >"$WORK/titus-init" <<TITUS
#!/bin/bash
GLIBC_TUNABLES=${TUNABLES:-none} exec -a titus-init "$INIT" "\$@"
TITUS
chmod +x "$WORK/init" "$WORK/tests" "$WORK/titus-init"

say "boots the guest"
LOG=$WORK/log
export TMPDIR=/dev/shm
$START timeout "${TITUS_GUEST_SECONDS:-600}" "$KERNEL/usr/bin/linux.uml" mem=1000M rootfstype=hostfs rootflags=/ ro \
    ubd0="$WORK/disk" init="$WORK/init" con=null con0=fd:0,fd:1 quiet panic=1 uml_dir="$WORK" </dev/null 2>&1 | tee "$LOG" || true

# The guest's own exit code says nothing: the line must be there.
grep -aq '^TESTRC=0' "$LOG" || die "the tests did not pass in the guest kernel (no line TESTRC=0)"
