/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a definition says about the machine, when a process began, and what libvirt's test driver lets us change. */
#include "base/clock.h"
#include "base/err.h"
#include "vm/agent.h"
#include "vm/inventory.h"
#include "vm/sysinfo.h"

#include <string.h>
#include <unistd.h>

static struct vm_machine
read_text(const char *text)
{
    struct vm_machine m = { 0 };
    g_autoptr(GError) err = NULL;
    g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), 1 << 20, &err);
    g_assert_no_error(err);
    sysinfo_read(&m, xmlDocGetRootElement(doc));
    return m;
}

static void
test_full(void)
{
    struct vm_machine m = read_text(
        "<domain><description>two\nlines</description><os firmware='efi'><type arch='x86_64'>hvm</type><loader secure='yes'/></os>"
        "<sysinfo type='smbios'><system><entry name='uuid'>u</entry><entry name='serial'>S1</entry></system>"
        "<baseBoard><entry name='serial'>B1</entry></baseBoard>"
        "<chassis><entry name='asset'>A1</entry><entry name='serial'>C1</entry></chassis></sysinfo>"
        "<cpu><numa><cell id='0'/><cell id='1'/></numa></cpu><devices>"
        "<channel type='unix'><target type='virtio' name='other' state='connected'/></channel>"
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel></devices></domain>");
    g_assert_cmpstr(m.notes, ==, "two\nlines");
    g_assert_cmpstr(m.arch, ==, "x86_64");
    g_assert_true(m.uefi);
    g_assert_true(m.secure_boot);
    g_assert_cmpstr(m.bios_serial, ==, "S1");
    g_assert_cmpstr(m.board_serial, ==, "B1");
    g_assert_cmpstr(m.chassis_serial, ==, "C1");
    g_assert_cmpstr(m.asset_tag, ==, "A1");
    g_assert_cmpuint(m.numa_nodes, ==, 2);
    g_assert_cmpint(m.agent, ==, VM_AGENT_CONNECTED);
    sysinfo_clear(&m);
}

static void
test_bare(void)
{
    struct vm_machine m = read_text("<domain><os><type>hvm</type></os></domain>");
    g_assert_null(m.notes);
    g_assert_null(m.arch);
    g_assert_null(m.bios_serial);
    g_assert_false(m.uefi);
    g_assert_false(m.secure_boot);
    g_assert_cmpuint(m.numa_nodes, ==, 1);
    g_assert_cmpint(m.agent, ==, VM_AGENT_NONE);
    sysinfo_clear(&m);
    m = read_text("<domain><os><loader type='pflash' readonly='yes'>/f</loader></os><devices>"
                  "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>");
    g_assert_true(m.uefi);
    g_assert_cmpint(m.agent, ==, VM_AGENT_AWAY);
    sysinfo_clear(&m);
}

/* This very process began between the boot of the machine and now, and after its parent. */
static void
test_process(void)
{
    gint64 own = 0, parent = 0;
    const gint64 now = clock_wall_us();
    g_assert_true(sysinfo_process_start((guint)getpid(), &own));
    g_assert_true(sysinfo_process_start((guint)getppid(), &parent));
    g_assert_cmpint(own, <=, now + G_USEC_PER_SEC);
    g_assert_cmpint(own, >, now - G_TIME_SPAN_HOUR);
    g_assert_cmpint(parent, <=, own + G_USEC_PER_SEC);
    g_assert_false(sysinfo_process_start(0x7ffffffe, &own));
}

static struct uuid
only_guest(struct vm_conn *c, struct vm_facts **facts)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) all = vm_view_list(c, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(all->len, ==, 1);
    const struct uuid id = ((struct vm_facts *)all->pdata[0])->uuid;
    if (facts) {
        vm_facts_free(*facts);
        *facts = vm_facts_get(c, &id, &err);
        g_assert_no_error(err);
    }
    return id;
}

/* The test driver's guest "test": runs, has no file and no process of ours, but events. */
static void
test_changes(void)
{
    g_autoptr(GError) err = NULL;
    vm_facts_auto f = NULL;
    struct vm_agent_info info;
    struct vm_conn *c = vm_conn_open("test:///default", &err);
    g_assert_no_error(err);
    const struct uuid vm = only_guest(c, &f);
    g_assert_cmpuint(f->pid, ==, 0);
    g_assert_cmpint(f->config_us, ==, 0);
    g_assert_cmpuint(f->memory_now_kib, >, 0);
    g_assert_true(vm_set_notes(c, &vm, "a note", &err) || err_is(err, ERR_NOT_SUPPORTED));
    g_clear_error(&err);
    g_assert_true(vm_set_autostart(c, &vm, true, &err));
    only_guest(c, &f);
    g_assert_true(f->autostart);
    g_assert_false(vm_rename(c, &vm, "other", NULL)); /* it runs, or the driver cannot */
    g_assert_false(vm_agent_info(c, &vm, &info, &err) && info.os_name);
    vm_agent_info_clear(&info);
    g_clear_error(&err);
    const gint64 before = clock_wall_us();
    g_assert_true(vm_pause(c, &vm, &err));
    for (int i = 0; i < 1000 && f->changed_us < before; i++) { /* the event comes from another thread */
        g_usleep(5000);
        only_guest(c, &f);
    }
    g_assert_cmpint(f->changed_us, >=, before);
    g_assert_cmpint(f->power, ==, VM_PAUSED);
    const struct uuid nobody = uuid_random();
    g_assert_false(vm_reboot(c, &nobody, &err));
    g_assert_error(err, ERR, ERR_NO_SUCH_INSTANCE);
    g_assert_true(g_str_has_prefix(err_cause(err)->message, "libvirt: "));
    g_clear_error(&err);
    g_assert_false(vm_inject_nmi(c, &nobody, &err) || vm_rename(c, &nobody, "x", NULL) || vm_set_notes(c, &nobody, "x", NULL));
    g_assert_false(vm_set_autostart(c, &nobody, true, NULL) || vm_agent_info(c, &nobody, &info, NULL));
    vm_conn_close(c);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    g_test_add_func("/vm/sysinfo/full", test_full);
    g_test_add_func("/vm/sysinfo/bare", test_bare);
    g_test_add_func("/vm/sysinfo/process", test_process);
    g_test_add_func("/vm/sysinfo/changes", test_changes);
    return g_test_run();
}
