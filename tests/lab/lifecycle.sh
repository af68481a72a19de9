#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab itself: hosts apart, a guest whose records survive SIGKILL, and nothing left behind.
. "$(dirname "$0")/../lib.sh"
requires qemu-img virsh
requires_root
lab_up

connects() { "$lab" exec A python3 -c "import socket; socket.create_connection(('$1', $2), 2)"; }

check "a host has its own name" test "$("$lab" exec A hostname)" = hosta.lab
check "hosts know each other's names" "$lab" exec A python3 -c '
import socket
socket.create_server(("192.0.2.1", 0))
assert socket.gethostbyname("hostb.lab") == "192.0.2.2"'
refused "nothing but the other host is reachable" connects 198.51.100.1 80
background "$lab" exec B python3 -c "
import socket
server = socket.create_server(('192.0.2.2', 8443))
while True:
    server.accept()"
wait_until 20 connects hostb.lab 8443
"$lab" link down
refused "a cable that is down carries nothing" connects hostb.lab 8443
"$lab" link up
wait_until 20 connects hostb.lab 8443

"$lab" guest-define A web --writer 100 --size 64 --slots 500 --spread --format qcow2,raw --start
check "host B does not know the guest" test -z "$("$lab" exec B virsh -q list --all)"
wait_until 60 console_says A web "WRITER at"
check "the guest agent answers" "$lab" agent A web guest-ping
qemu=$(cat "$LAB_DIR/A/run/libvirt/qemu/web.pid")
kill -9 "$qemu"
shut_off() { [ "$("$lab" exec A virsh domstate web | head -n 1)" = "shut off" ]; }
wait_until 20 shut_off
# shellcheck disable=SC2046
first=$("$verify" --records $("$lab" disks A web)) || fail "records are not whole after SIGKILL"
check "records were written" test "$first" -gt 0

"$lab" exec A virsh -q start web
wait_until 60 console_says A web "WRITER resumes at $((first + 1)) "
check "the power button works" "$lab" exec A virsh -q shutdown --mode acpi web
wait_until 20 shut_off
LAB_DIR=$tmp/other "$lab" up --owner $$
cleanup_fn env LAB_DIR="$tmp/other" "$lab" down
check "two labs live side by side" test "$(LAB_DIR=$tmp/other "$lab" exec A hostname)" = hosta.lab
refused "a third host is there only on request" env LAB_DIR="$tmp/other" "$lab" exec C true
LAB_DIR=$tmp/other "$lab" up --third
check "a third host joins" test "$(LAB_DIR=$tmp/other "$lab" exec C hostname)" = hostc.lab
kill -9 "$(cut -d' ' -f1 "$tmp/other/A/holder.pid")"
LAB_DIR=$tmp/other "$lab" down
check "a lab whose holder was killed goes" test ! -e "$tmp/other"

"$lab" down
check "nothing is left" test ! -e "$LAB_DIR"
check "no process and no mount is left" sh -c "! grep -q '$tmp' /proc/self/mounts"

sleep 600 &
owner=$!
"$lab" up --owner $owner
kill -9 $owner
gone() { [ ! -e "$LAB_DIR" ]; }
wait_until 20 gone
