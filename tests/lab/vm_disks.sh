#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A lab of its own, a guest with a disk of each kind, and a test program inside host A.
#   vm_disks.sh LAB PROGRAM VERIFY
# vda  virtio               block device, raw        the writer's
# vdb  virtio               NBD, qcow2               the writer's
# sda  virtio-scsi          file, raw
# sdb  SATA                 file, qcow2 over qcow2 over raw, with an internal snapshot
# sdc  virtio-scsi          NBD over TCP, raw
# vdt  virtio, I/O thread   file, raw                (not captured)
set -eu
lab=$1 program=$2 verify=$3
LAB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/vmr-disks.XXXXXX")
export LAB_DIR
device=
clean() {
    "$lab" down
    [ -z "$device" ] || losetup -d "$device"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM
"$lab" up --owner $$ || { status=$?; rmdir "$LAB_DIR" 2>/dev/null; trap - EXIT; exit "$status"; }
export disks="$LAB_DIR/A/disks"
mkdir "$LAB_DIR/work"
chmod 755 "$LAB_DIR/work"
truncate -s 64M "$disks/loop" "$disks/sda.raw" "$disks/base.raw" "$disks/tcp.raw" "$disks/ro.raw" "$disks/thread.raw"
# The loop device goes by itself when the file's last user is gone, also after a SIGKILL of this script.
device=$(losetup --find --show "$disks/loop")
"$lab" exec A sh -c '[ -b "$1" ] || mknod -m 666 "$1" b "$2" "$3"' sh "$device" $(stat -c '0x%t 0x%T' "$device")
qemu-img create -q -f qcow2 "$disks/vdb.qcow2" 64M
truncate -s 80M "$disks/vdb.qcow2" # an NBD server's disk does not grow
qemu-img create -q -f qcow2 -b base.raw -F raw "$disks/middle.qcow2"
qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 "$disks/sdb.qcow2"
qemu-img snapshot -c before "$disks/sdb.qcow2"
chmod 666 "$disks"/*
setsid "$lab" exec A qemu-nbd -t --shared=0 -f raw -x disk -k /run/vmreplica/vdb.sock "$disks/vdb.qcow2" >/dev/null 2>&1 &
setsid "$lab" exec A nbdkit -f -p 10810 -i 127.0.0.1 file "$disks/tcp.raw" >/dev/null 2>&1 &
"$lab" exec A sh -c 'for i in $(seq 600); do nbdinfo --size "nbd+unix:///disk?socket=/run/vmreplica/vdb.sock" && chmod 666 \
    /run/vmreplica/vdb.sock && nbdinfo --size nbd://127.0.0.1:10810 && exit 0; sleep 0.1; done; exit 1' >/dev/null 2>&1

"$lab" guest-define A g --writer max --slots 4096 --spread --size 1
"$lab" exec A virsh dumpxml g | sed '/<disk /,/<\/disk>/d' | awk -v device="$device" -v folder="$disks" '
    function disk(type, format, source, target, bus, more) {
        printf "<disk type=\"%s\" device=\"disk\"><driver name=\"qemu\" type=\"%s\" %s/>%s<target dev=\"%s\" bus=\"%s\"/></disk>\n", type,
            format, more, source, target, bus
    }
    /<domain type/ { print; next }
    /<devices>/ {
        print "<iothreads>1</iothreads>"
        print
        disk("block", "raw", "<source dev=\"" device "\"/>", "vda", "virtio", "")
        disk("file", "raw", "<source file=\"" folder "/thread.raw\"/>", "vdt", "virtio", "iothread=\"1\"")
        disk("network", "qcow2", "<source protocol=\"nbd\" name=\"disk\">" \
            "<host transport=\"unix\" socket=\"/run/vmreplica/vdb.sock\"/></source>", "vdb", "virtio", "")
        disk("file", "raw", "<source file=\"" folder "/sda.raw\"/>", "sda", "scsi", "")
        disk("file", "qcow2", "<source file=\"" folder "/sdb.qcow2\"/>", "sdb", "sata", "")
        disk("network", "raw", "<source protocol=\"nbd\" name=\"\">" \
            "<host name=\"127.0.0.1\" port=\"10810\"/></source>", "sdc", "scsi", "")
        print "<disk type=\"file\" device=\"disk\"><source file=\"" folder "/ro.raw\"/>" \
            "<target dev=\"sdr\" bus=\"scsi\"/><readonly/></disk>"
        print "<disk type=\"file\" device=\"cdrom\"><target dev=\"sdd\" bus=\"sata\"/><readonly/></disk>"
        print "<controller type=\"scsi\" index=\"0\" model=\"virtio-scsi\"/>"
        next
    }
    { print }' >"$LAB_DIR/g.xml"
"$lab" exec A virsh -q define "$LAB_DIR/g.xml" >&2
"$lab" exec A virsh -q start g >&2
"$lab" exec A "$program" "$("$lab" exec A virsh domuuid g)" "$device" "nbd+unix:///disk?socket=/run/vmreplica/vdb.sock" "$LAB_DIR/work" \
    "$verify" && exit 0
status=$?
echo "# what QEMU said last:" >&2
"$lab" exec A tail -n 12 /var/log/libvirt/qemu/g.log | cut -c1-400 | sed 's/^/# /' >&2
echo "# what the guest said last:" >&2
"$lab" console A g | tail -n 5 | cut -c1-200 | sed 's/^/# /' >&2
exit "$status"
