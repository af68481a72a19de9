#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_points.sh VMREPLICA PLUGIN MAKE_STORE LIB: getting data out of recovery points with real file systems.  Needs root for loop devices
# and mounts, and says so.
set -eu
vmreplica=$(realpath "$1") plugin=$(realpath "$2") make_store=$(realpath "$3")
export PATH="$PATH:/usr/sbin:/sbin"

skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "FAIL: $*"; exit 1; }
[ "$(id -u)" = 0 ] || skip "needs root"
for tool in nbdkit nbdfuse qemu-img sfdisk mkfs.ext4 losetup blkid; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
[ -e /dev/fuse ] || skip "no /dev/fuse"

dir=$(mktemp -d /tmp/vmreplica-points-XXXXXX)
loop=
clean() {
    set +e
    grep -o " $dir/[^ ]*" /proc/self/mountinfo | sort -r | while read -r m; do umount "$m"; done
    [ -z "$loop" ] || losetup -d "$loop"
    rm -rf "$dir"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP
cd "$dir"
export XDG_STATE_HOME="$dir/state"

# Two states of a guest with a partitioned disk and one that is a file system as a whole.  The journal of the second state is not empty:
# the images are copied while they are mounted.
mkdir m1 m2
truncate -s 96M vda.raw
truncate -s 24M vdb.raw
printf 'label: gpt\nstart=2048, size=65536\nstart=67584, size=100000, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F\n' | sfdisk -q vda.raw
part=$(losetup -f --show -o 1048576 --sizelimit 33554432 vda.raw)
mkfs.ext4 -q "$part"
mount "$part" m1
losetup -d "$part"
mkfs.ext4 -q -F vdb.raw
mount -o loop vdb.raw m2
echo first > m1/hello
ln -s /etc/passwd m1/outside
mkdir m1/folder
head -c 300000 /dev/urandom > m1/folder/noise
sync -f m1/hello
sync -f m2
"$make_store" store vda.raw vdb.raw > first
echo second > m1/hello
head -c 5000000 /dev/urandom > m2/big
sync m1/hello m2/big m1 m2
"$make_store" store vda.raw vdb.raw > second
noise=$(md5sum < m1/folder/noise)
big=$(md5sum < m2/big)
umount m1 m2
p=$(cat first) q=$(cat second)

# check and diff
"$vmreplica" point check store | grep -q '2 of 2 recovery points are whole' || fail "check"
"$vmreplica" point diff store "$p" "$q" --json > diff.json
python3 - <<'END' || fail "diff"
import json
d = json.load(open("diff.json"))
disks = {x["disk"]: x for x in d["disks"]}
assert 5000000 <= disks["vdb"]["changed"] <= 6000000, disks
assert 0 < disks["vda"]["changed"] <= disks["vda"]["written"] < 2000000, disks
assert sum(r["changed"] for r in disks["vdb"]["regions"]) == disks["vdb"]["changed"]
END
"$vmreplica" point diff store "$q" "$p" > diff.txt
grep -q '^vdb ' diff.txt || fail "diff as a table"

# mount: both file systems, as they were
"$vmreplica" point mount store "$p" --at "$dir/at" --plugin "$plugin" > mounted.txt
grep -q '^vda1 *ext4 .*/at/vda1$' mounted.txt || fail "mount: $(cat mounted.txt)"
[ "$(cat at/vda1/hello)" = first ] || fail "the first state"
[ "$(md5sum < at/vda1/folder/noise)" = "$noise" ] || fail "a file"
if echo no > at/vda1/hello 2>/dev/null; then fail "it can be written"; fi
cmp -n 1048576 at/vda.raw vda.raw || fail "the disk"
if "$vmreplica" point mount store "$p" --at "$dir/at" --plugin "$plugin" 2>/dev/null; then fail "mounted twice"; fi
"$vmreplica" point umount at
[ -z "$(ls at)" ] || fail "umount left: $(ls at)"
# The servers and their view of the point go by themselves.
for _ in $(seq 100); do pgrep -f "store=$dir/store" >/dev/null || break; sleep 0.1; done
if pgrep -f "store=$dir/store"; then fail "a server is left"; fi

# single files; the journal of the second state is played
"$vmreplica" point ls store latest --plugin "$plugin" | grep -q '^vdb  *ext4' || fail "ls: file systems"
"$vmreplica" point ls store latest vda1:/folder --plugin "$plugin" | grep -q noise || fail "ls"
"$vmreplica" point cp store "$q" vda1:/hello vdb:/big vda1:/folder vda1:/outside . --plugin "$plugin"
[ "$(cat hello)" = second ] || fail "cp: the second state"
[ "$(md5sum < big)" = "$big" ] || fail "cp: a big file"
[ "$(md5sum < folder/noise)" = "$noise" ] || fail "cp: a folder"
[ -L outside ] || fail "cp: a link stays a link"
if "$vmreplica" point cp store "$q" vda1:/../../../etc/hostname x --plugin "$plugin" 2>/dev/null; then fail "a way out"; fi
if "$vmreplica" point cp store "$q" /hello x --plugin "$plugin" 2>err.txt; then fail "which file system?"; fi
grep -q 'vda1, vdb' err.txt || fail "$(cat err.txt)"
if grep -q "$dir" /proc/self/mountinfo; then fail "something is mounted: $(grep "$dir" /proc/self/mountinfo)"; fi

# export onto a block device: sparse, resumed
truncate -s 100M device.raw
dd if=/dev/urandom of=device.raw bs=1M count=100 conv=notrunc status=none
loop=$(losetup -f --show device.raw)
if "$vmreplica" point export store latest --disks vda -o "$loop" 2>/dev/null; then fail "a device without --force"; fi
"$vmreplica" point export store latest --disks vda -o "$loop" --force
losetup -d "$loop"
loop=
cmp -n 1048576 device.raw vda.raw || fail "the device"
[ "$(du -k device.raw | cut -f1)" -lt 40000 ] || fail "the device is not sparse: $(du -k device.raw)"
"$vmreplica" point export store latest -o 'out-%t.raw'
cmp -n 100663296 device.raw out-vda.raw || fail "device and file"

# an export that is cut off goes on
mkdir small
mount -t tmpfs -o size=3m none small
if "$vmreplica" point export store latest --disks vdb -o small/x.raw 2>err.txt; then fail "no space is not noticed"; fi
grep -q -e "--resume goes on" err.txt || fail "what to do is not said: $(cat err.txt)"
[ -e small/x.raw.part ] || fail "what was written is not kept"
mount -o remount,size=64m small
"$vmreplica" point export store latest --disks vdb -o small/x.raw --resume
cmp small/x.raw out-vdb.raw || fail "resumed"
[ "$(ls small)" = x.raw ] || fail "left: $(ls small)"
umount small
# What is noted as done is not written again; a note of another point does not count.
for point in "$q" "$p"; do
    truncate -s 24M y.raw.part
    head -c 8388608 /dev/zero | tr '\0' x | dd of=y.raw.part conv=notrunc status=none
    printf '{"point": "%s", "disk": "vdb", "done": 8388608}' "$point" > y.raw.part.json
    "$vmreplica" point export store "$q" --disks vdb -o y.raw --resume
    cmp -i 8388608 y.raw out-vdb.raw || fail "the rest"
    if [ "$point" = "$q" ]; then
        [ "$(head -c 8388608 y.raw | tr -d x | wc -c)" = 0 ] || fail "it did not go on where it was"
    else
        cmp y.raw out-vdb.raw || fail "the note of another point was believed"
    fi
    rm y.raw
done
"$vmreplica" point export store latest -f qcow2 -o 'q-%t.qcow2'
qemu-img compare -q -f qcow2 -F raw q-vdb.qcow2 out-vdb.raw || fail "qcow2"
[ "$(ls q-*)" = "q-vda.qcow2
q-vdb.qcow2" ] || fail "left: $(ls q-*)"
echo "all done"
