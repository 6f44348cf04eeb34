# shellcheck shell=bash
# What ./test, ./quickstart and ./bench share: finding tools, and installing the missing ones.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# Takes words TOOL:PACKAGE[,PACKAGE...]; prints the packages of the tools that are not there, one a line.
missing_packages() {
    local word
    for word in "$@"; do
        command -v "${word%%:*}" >/dev/null 2>&1 || tr ',' '\n' <<<"${word#*:}"
    done | sort -u
}

# Installs what is missing, or fails. Without root it installs nothing and succeeds: the checks that
# need the tool are then skipped by name. Nothing that is installed gets upgraded or removed.
ensure_tools() {
    local -a packages
    mapfile -t packages < <(missing_packages "$@")
    [ "${#packages[@]}" -gt 0 ] || return 0
    if ! is_root; then
        say "not installed, and only root can: ${packages[*]}"
        return 0
    fi
    command -v apt-get >/dev/null || die "these are missing and there is no apt-get to install them with: ${packages[*]}"
    say "installs by apt-get: ${packages[*]}"
    if [ -t 0 ] && [ -t 2 ]; then
        local answer
        read -r -p "Go on? [Y/n] " answer
        case $answer in [nN]*) die "not installed; install them by hand: ${packages[*]}" ;; esac
    fi
    apt_install "${packages[@]}" || die "apt-get could not install: ${packages[*]}"
}

apt_install() {
    local -a install=(apt-get install -y -qq --no-install-recommends --no-upgrade --no-remove)
    export DEBIAN_FRONTEND=noninteractive
    "${install[@]}" "$@" >/dev/null 2>&1 || {
        apt-get update -qq >&2 && "${install[@]}" "$@" >&2
    }
}

# The packages of the workspace, one a line.
crates() { cargo metadata --no-deps --format-version 1 | jq -r '.packages[].name'; }

# The features of a crate, one a line, without those that link foreign code or take minutes to build.
features() {
    cargo metadata --no-deps --format-version 1 |
        jq -r --arg crate "$1" '.packages[] | select(.name == $crate) | .features | keys[]
            | select(. != "default" and . != "ec2" and (startswith("fdb") | not))'
}

# The same, as an argument for --features.
all_features() { features "$1" | paste -sd, -; }

# What the platform could leave behind on this machine, one a line: mounts, links, network namespaces,
# cgroups, nftables. Mounts and cgroups come and go for other reasons too; ours are told by the name, which the
# temporary folders bear as well.
traces() {
    {
        awk '$5 ~ /titus/ { print "mount " $5 }' /proc/self/mountinfo
        find /sys/class/net -mindepth 1 -printf 'link %f\n'
        [ ! -d /run/netns ] || find /run/netns -mindepth 1 -printf 'network namespace %f\n'
        find /sys/fs/cgroup -type d -path '*titus*' ! -path '*titus-test*' -printf 'cgroup %p\n' 2>/dev/null
        ! is_root || ! command -v nft >/dev/null || nft list tables | sed 's/^/nft /'
    } | sort
}

# Succeeds once the traces are as in FILE again; after SECONDS prints the difference and fails.
traces_are_as_in() {
    local end=$((SECONDS + $2))
    until diff <(cat "$1") <(traces) >/dev/null; do
        if [ "$SECONDS" -ge "$end" ]; then
            diff "$1" <(traces) | sed -n -e 's/^> /left behind: /p' -e 's/^< /taken away: /p'
            return 1
        fi
        sleep 0.1
    done
}

# A port of the loopback on which nobody listens now.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}
