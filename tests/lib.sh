# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# Sourced by behaviour scripts:  . "$(dirname "$0")/../lib.sh"
#
#   requires PROGRAM...      skip (exit 77) unless they are installed
#   requires_root            skip unless root
#   $tmp                     a folder of this run's own; removed at the end, also when the script is killed
#   cleanup_fn COMMAND...    run at the end, last one first
#   background COMMAND...    run beside the script, die with it; its pid is in $background_pid
#   wait_until SECONDS COMMAND...   until it succeeds; fails loudly after the deadline
#   check TEXT COMMAND...    the command must succeed
#   refused TEXT COMMAND...  the command must fail
#   lab_up                   a lab of this run's own ($lab is the tool); skips where the machine does not permit one
#   fail TEXT                end with what went wrong
#
# Files of the build are below $VMR_BUILD (meson sets it).  No sleeping instead of a condition, no fixed ports, no order among scripts.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
top=$(CDPATH='' cd -- "$here" && while [ ! -e src/LAYERS ]; do cd ..; done && pwd)
: "${VMR_BUILD:=$top/build}"
export VMR_BUILD
lab=$top/tools/lab/lab
verify=$VMR_BUILD/tools/lab/verify
cli=$VMR_BUILD/src/cli/vmreplica

say() { echo "# $*" >&2; }

fail() {
    say "FAILED: $*"
    exit 1
}

skip() {
    say "skipped: $*"
    exit 77
}

requires() {
    for program; do
        command -v "$program" >/dev/null || skip "'$program' is not installed"
    done
}

requires_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

cleanup_count=0
cleanup_fn() {
    cleanup_count=$((cleanup_count + 1))
    eval "cleanup_$cleanup_count=\$(quote \"\$@\")"
}

# The arguments as words that eval gives back unchanged.
quote() {
    for word; do
        printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
    done
}

clean_up() {
    status=$?
    trap '' HUP INT TERM
    set +e
    while [ "$cleanup_count" -gt 0 ]; do
        eval "eval \"\$cleanup_$cleanup_count\""
        cleanup_count=$((cleanup_count - 1))
    done
    rm -rf "$tmp"
    kill "$watcher" 2>/dev/null
    exit "$status"
}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/vmr-test.XXXXXX")
chmod 755 "$tmp"
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# Where even the trap is not run (SIGKILL), this one removes the folder; a lab in it has an owner and goes by itself.
setsid sh -c 'tail --pid="$1" -f /dev/null; while [ -e "$2/lab/.vmreplica-lab" ]; do sleep 1; done; rm -rf "$2"' watcher $$ "$tmp" \
    </dev/null >/dev/null 2>&1 &
watcher=$!

background() {
    setpriv --pdeathsig KILL "$@" &
    background_pid=$!
    cleanup_fn end_process "$background_pid"
}

end_process() { kill "$1" 2>/dev/null || :; }

wait_until() {
    deadline=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -le "$deadline" ] || fail "waited in vain: $*"
        sleep 0.1
    done
}

check() {
    what=$1
    shift
    "$@" >"$tmp/check.log" 2>&1 || { cat "$tmp/check.log" >&2; fail "$what: '$*' failed"; }
    say "ok: $what"
}

refused() {
    what=$1
    shift
    if "$@" >"$tmp/check.log" 2>&1; then
        cat "$tmp/check.log" >&2
        fail "$what: '$*' should have failed"
    fi
    say "ok: $what"
}

lab_up() {
    LAB_DIR=$tmp/lab
    export LAB_DIR
    cleanup_fn "$lab" down
    "$lab" up --owner $$ || { status=$?; [ "$status" != 77 ] || skip "the lab cannot be made here"; exit "$status"; }
}

console_says() { # HOST GUEST PATTERN
    "$lab" console "$1" "$2" | grep -q "$3"
}
