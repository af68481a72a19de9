#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A lab of its own, a guest that writes as fast as it can to a qcow2 disk and a second one of FORMAT, and a test program inside host A.
#   vm_guest.sh LAB PROGRAM VERIFY FORMAT
set -eu
lab=$1 program=$2 verify=$3 format=$4
LAB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/vmr-guest.XXXXXX")
export LAB_DIR
trap '"$lab" down' EXIT
trap 'exit 1' HUP INT TERM
"$lab" up --owner $$ || { status=$?; rmdir "$LAB_DIR" 2>/dev/null; trap - EXIT; exit "$status"; }

"$lab" guest-define A g --writer max --slots 4096 --spread --size 64
vda=$LAB_DIR/A/disks/g-vda.qcow2 vdb=$LAB_DIR/A/disks/g-vdb.$format
mkdir "$LAB_DIR/work"
chmod 755 "$LAB_DIR/work"
if [ "$format" = raw ]; then # vdb becomes raw: the second driver and the path
    qemu-img create -q -f raw "$vdb" 64M
    "$lab" exec A virsh dumpxml g >"$LAB_DIR/g.xml"
    awk '/<driver name=.qemu. type=.qcow2./ && ++n == 2 { sub("qcow2", "raw") } { sub("g-vdb.qcow2", "g-vdb.raw"); print }' \
        "$LAB_DIR/g.xml" >"$LAB_DIR/g2.xml"
    "$lab" exec A virsh -q define "$LAB_DIR/g2.xml" >&2
fi
"$lab" exec A virsh -q start g >&2
"$lab" exec A "$program" "$("$lab" exec A virsh domuuid g)" "$vda" "$vdb" "$LAB_DIR/work" "$verify" && exit 0
status=$?
echo "# what QEMU said last:" >&2
"$lab" exec A tail -n 12 /var/log/libvirt/qemu/g.log | cut -c1-400 | sed 's/^/# /' >&2
echo "# what the guest said last:" >&2
"$lab" console A g | tail -n 5 | cut -c1-200 | sed 's/^/# /' >&2
exit "$status"
