#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab guest's first process: devices, guest agent, writer.  Its words on the serial console are what tests wait for.
export PATH=/bin:/sbin LD_LIBRARY_PATH=/lib
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var/run /var/log /etc /sbin /root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mkdir -p /dev/pts /run/qemu && mount -t devpts devpts /dev/pts

for module in $(cat /modules.order); do
    insmod "/modules/$module" 2>/dev/null
done

option() { # NAME DEFAULT: a value from the kernel's command line
    value=$2
    for word in $(cat /proc/cmdline); do
        case $word in "$1"=*) value=${word#*=} ;; esac
    done
    echo "$value"
}

# No udev here: give virtio ports their names.
mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
    [ -s "$port/name" ] && ln -sf "/dev/${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done

hostname "$(option name guest)"
ip link set lo up
ip link set eth0 up 2>/dev/null
[ "$(option ip "")" ] && ip addr add "$(option ip "")" dev eth0

[ -e /dev/virtio-ports/org.qemu.guest_agent.0 ] &&
    qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -f /run/qemu-ga.pid -t /run \
        -F/etc/freeze-hook -l /run/qemu-ga.log
acpid -c /etc/acpi

echo "GUEST-UP $(option name guest) kernel $(uname -r) disks $(ls /sys/block | grep -c '^vd')"
# A file system that is written to all the time; its journal says whether the disk was quiesced.
data=$(option data "")
if [ "$data" ]; then
    mkdir -p /data && mount -t ext4 "/dev/$data" /data
    dmesg | grep -q 'recovery complete' && echo "DATA journal played" || echo "DATA clean"
    while :; do
        echo $((n = n + 1)) >/data/number && sync && [ $((n % 20)) = 0 ] && echo "DATA $n"
        usleep 20000
    done &
fi
rate=$(option writer "")
if [ "$rate" ] && [ "$rate" != 0 ]; then
    writer "$rate" "$(option slots 0)" "$(option spread 0)" /dev/vda /dev/vdb &
    echo $! >/run/writer.pid
fi
command=$(option run "")
[ "$command" ] && $command

while :; do
    if [ "$(option shell 0)" = 1 ]; then
        setsid cttyhack sh
    else
        sleep 3600
    fi
done
