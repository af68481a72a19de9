/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "vm/hardware.h"

static const char rich[] =
    "<domain type='kvm'><name>g</name><uuid>01234567-89ab-cdef-0123-456789abcdef</uuid><title>t</title>"
    "<memory unit='GiB'>2</memory><currentMemory unit='MB'>1024</currentMemory><memoryBacking><hugepages/></memoryBacking>"
    "<vcpu current='2'>4</vcpu><cputune><shares>512</shares><period>50000</period><quota>-1</quota></cputune>"
    "<os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/><boot dev='network'/></os>"
    "<cpu mode='host-model'><topology sockets='1' cores='2' threads='2'/></cpu><devices>"
    "<disk type='file' device='disk'><driver cache='unsafe'/><source file='/a'/><target dev='vda' bus='virtio'/><serial>S1</serial></disk>"
    "<disk type='volume'><source pool='p' volume='v'/><target dev='vdb'/></disk>"
    "<disk type='network'><source protocol='nbd' name='n'/><target dev='sda' bus='scsi'/><shareable/></disk>"
    "<disk device='cdrom'><target dev='hdc' bus='ide'/><address type='drive' bus='1' unit='1'/></disk>"
    "<disk device='cdrom'><target dev='hdd' bus='ide'/></disk>"
    "<disk device='floppy'><source file=''/><target dev='fda'/></disk>"
    "<disk device='lun' type='block'><source dev='/dev/sdx'/><target dev='xvda' bus='xen'/></disk>"
    "<disk><source file='/nameless'/></disk>"
    "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><vlan><tag id='7'/></vlan><ip address='10.0.0.2'/>"
    "<link state='down'/></interface><interface type='user'/>"
    "<serial type='pty'><source path='/dev/pts/1'/><target port='3'/></serial>"
    "<input type='mouse' bus='ps2'/><input type='keyboard' bus='usb'/><video><model type='qxl' vram='65536' heads='2'/></video>"
    "<memballoon model='none'/></devices></domain>";

static void
check_drive(const struct vm_hardware *h, guint n, enum vm_drive_kind kind, enum vm_bus bus, guint channel, guint slot, const char *source)
{
    const struct vm_drive *d = h->drives->pdata[n];
    g_assert_cmpint(d->kind, ==, kind);
    g_assert_cmpint(d->bus, ==, bus);
    g_assert_cmpuint(d->channel, ==, channel);
    g_assert_cmpuint(d->slot, ==, slot);
    g_assert_cmpstr(d->source, ==, source);
}

static void
test_machine(void)
{
    char text[UUID_TEXT];
    vm_hardware_auto h = vm_hardware_parse(rich, NULL);
    g_assert_cmpstr(uuid_format(&h->uuid, text), ==, "01234567-89AB-CDEF-0123-456789ABCDEF");
    g_assert_cmpuint(h->memory_max_kib, ==, 2 << 20);
    g_assert_cmpuint(h->memory_kib, ==, 1000000);
    g_assert_true(h->hugepages && !h->memballoon && h->keyboard);
    g_assert_cmpstr(h->keyboard_bus, ==, "usb");
    g_assert_true(h->vcpus == 2 && h->vcpus_max == 4 && h->sockets == 1 && h->cores == 2 && h->threads == 2);
    g_assert_true(h->cpu_shares == 512 && h->cpu_quota_us == 0 && h->cpu_period_us == 50000);
    g_assert_cmpstr(h->cpu_mode, ==, "host-model");
    g_assert_cmpuint(h->boot->len, ==, 2);
    g_assert_cmpstr(h->boot->pdata[1], ==, "network");
}

static void
test_devices(void)
{
    vm_hardware_auto h = vm_hardware_parse(rich, NULL);
    g_assert_cmpuint(h->drives->len, ==, 7);
    check_drive(h, 0, VM_DRIVE_DISK, VM_BUS_VIRTIO, 0, 0, "/a");
    check_drive(h, 1, VM_DRIVE_DISK, VM_BUS_VIRTIO, 0, 1, NULL); /* the bus follows from the name */
    check_drive(h, 2, VM_DRIVE_DISK, VM_BUS_SCSI, 0, 0, "nbd:n");
    check_drive(h, 3, VM_DRIVE_CDROM, VM_BUS_IDE, 1, 1, NULL);
    check_drive(h, 4, VM_DRIVE_CDROM, VM_BUS_IDE, 1, 1, NULL);
    check_drive(h, 5, VM_DRIVE_FLOPPY, VM_BUS_FDC, 0, 0, NULL);
    check_drive(h, 6, VM_DRIVE_PASSTHROUGH, VM_BUS_OTHER, 0, 0, "/dev/sdx");
    const struct vm_drive *first = h->drives->pdata[0], *third = h->drives->pdata[2];
    g_assert_true(first->no_flush && first->file && !third->file && third->shareable && first->sector == 512);
    g_assert_cmpstr(first->serial, ==, "S1");
    const struct vm_card *card = h->cards->pdata[0], *user = h->cards->pdata[1];
    g_assert_true(!card->link_up && card->vlan == 7 && user->link_up && !user->bridge && !user->mac);
    g_assert_cmpstr(card->bridge, ==, "br0");
    g_assert_cmpstr(card->addresses->pdata[0], ==, "10.0.0.2");
    const struct vm_serial *serial = h->serials->pdata[0];
    g_assert_true(serial->port == 3 && g_str_equal(serial->path, "/dev/pts/1"));
    const struct vm_video *video = h->videos->pdata[0];
    g_assert_true(video->heads == 2 && video->memory_kib == 65536);
}

static void
test_poor(void)
{
    g_autoptr(GError) err = NULL;
    vm_hardware_auto h = vm_hardware_parse("<domain><name>x</name></domain>", &err);
    g_assert_no_error(err);
    g_assert_true(h->drives->len == 0 && h->vcpus == 0 && h->memory_kib == 0 && !h->machine && uuid_is_nil(&h->uuid));
    g_assert_null(vm_hardware_parse("<network/>", &err));
    g_assert_error(err, ERR, ERR_MALFORMED);
    g_clear_error(&err);
    g_assert_null(vm_hardware_parse("<domain>", &err));
    g_assert_error(err, ERR, ERR_MALFORMED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/hardware/machine", test_machine);
    g_test_add_func("/vm/hardware/devices", test_devices);
    g_test_add_func("/vm/hardware/poor", test_poor);
    return g_test_run();
}
