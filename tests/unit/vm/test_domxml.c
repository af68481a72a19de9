/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Golden cases: golden/NAME.in.xml becomes golden/NAME.out.xml.  VMR_GOLDEN=write writes the expectations anew. */
#include "base/err.h"
#include "vm/domxml.h"

#include <string.h>

static const char folder[] = "/var/lib/vmreplica/replicas/x";

static const struct domxml_disk virtio[] = {
    { .target = "vdb", .path = "/var/lib/vmreplica/replicas/x/vdb.raw", .format = "raw" },
    { .target = "vda", .path = "/var/lib/vmreplica/replicas/x/vda.qcow2", .format = "qcow2" },
};
static const struct domxml_disk scsi[] = {
    { .target = "sda", .path = "/r/a \"b\" <c>&.qcow2", .format = "qcow2" },
    { .target = "sdb", .path = "/r/sdb.qcow2", .format = "qcow2" },
};
static const struct domxml_disk overlay[] = {
    { .target = "sda", .path = "/r/over.qcow2", .format = "qcow2", .nbd_socket = "/run/vmreplica/serve/1.sock" },
};

struct golden {
    const char *name;
    const struct domxml_disk *disks;
    guint count;
};

static const struct golden cases[] = {
    { "virtio", virtio, G_N_ELEMENTS(virtio) },
    { "scsi-uefi", scsi, G_N_ELEMENTS(scsi) },
    { "sata-overlay", overlay, G_N_ELEMENTS(overlay) },
};

static void
squeeze(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++)
        if (!g_ascii_isspace(*from))
            *to++ = *from;
    *to = '\0';
}

static void
test_golden(const void *data)
{
    const struct golden *g = data;
    g_autofree char *in_path = g_strdup_printf("%s/golden/%s.in.xml", VM_TEST_DIR, g->name);
    g_autofree char *out_path = g_strdup_printf("%s/golden/%s.out.xml", VM_TEST_DIR, g->name);
    g_autofree char *in = NULL, *expected = NULL;
    g_autoptr(GError) why = NULL;
    g_assert_true(g_file_get_contents(in_path, &in, NULL, NULL));
    g_autofree char *got = domxml_for_replica(in, g->disks, g->count, folder, &why);
    g_assert_no_error(why);
    g_autofree char *line = g_strconcat(got, "\n", NULL);
    if (g_strcmp0(g_getenv("VMR_GOLDEN"), "write") == 0)
        g_assert_true(g_file_set_contents(out_path, line, -1, NULL));
    g_assert_true(g_file_get_contents(out_path, &expected, NULL, NULL));
    g_assert_cmpstr(line, ==, expected);

    /* The result is a definition like any other: done again it stays as it is, but for white space. */
    g_autofree char *again = domxml_for_replica(got, g->disks, g->count, folder, &why);
    g_assert_no_error(why);
    squeeze(again);
    squeeze(got);
    g_assert_cmpstr(again, ==, got);
}

static void
refuse(const char *xml, const struct domxml_disk *disks, guint count, enum err_code code)
{
    g_autoptr(GError) why = NULL;
    g_assert_null(domxml_for_replica(xml, disks, count, folder, &why));
    g_assert_error(why, ERR, (gint)code);
}

static void
test_refusals(void)
{
    refuse("", NULL, 0, ERR_MALFORMED);
    refuse("<domain", NULL, 0, ERR_MALFORMED);
    refuse("<domain/>", NULL, 0, ERR_MALFORMED);
    refuse("<network><devices/></network>", NULL, 0, ERR_MALFORMED);
    refuse("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain><devices/></domain>", NULL, 0, ERR_MALFORMED);
    refuse("<domain><devices/></domain>", overlay, 1, ERR_NOT_FOUND);
}

static void
test_without_backing(void)
{
    g_autofree char *in = NULL, *path = g_strdup_printf("%s/golden/sata-overlay.in.xml", VM_TEST_DIR);
    g_autoptr(GError) why = NULL;
    g_assert_true(g_file_get_contents(path, &in, NULL, NULL));
    g_autofree char *over = domxml_for_replica(in, overlay, 1, folder, NULL);
    g_assert_nonnull(strstr(over, "<backingStore"));
    g_autofree char *other = domxml_without_backing(over, "/run/vmreplica/serve/2.sock", &why);
    g_assert_no_error(why);
    g_assert_cmpstr(other, ==, over);
    g_autofree char *flat = domxml_without_backing(over, overlay[0].nbd_socket, &why);
    g_assert_no_error(why);
    g_assert_null(strstr(flat, "backingStore"));
    g_assert_nonnull(strstr(flat, overlay[0].path));
    g_assert_null(domxml_without_backing("<domain/>", "/x", &why));
    g_assert_error(why, ERR, ERR_MALFORMED);
}

static const struct domxml_nets no_nets = { 0 };

static void
test_as_test(void)
{
    static const char guest[] =
        "<domain type='kvm'><name>web</name><uuid>00000000-0000-4000-8000-000000000001</uuid>"
        "<genid>00000000-0000-4000-8000-000000000002</genid>"
        "<sysinfo type='smbios'><system><entry name='uuid'>00000000-0000-4000-8000-000000000001</entry>"
        "<entry name='serial'>7</entry></system></sysinfo><devices><interface type='bridge'><mac address='52:54:00:00:00:01'/>"
        "<source bridge='br0'/><model type='virtio'/></interface></devices></domain>";
    struct uuid id;
    g_autoptr(GError) why = NULL;
    g_assert_true(uuid_parse("00000000-0000-4000-8000-0000000000AB", &id));
    g_autofree char *replica = domxml_for_replica(guest, NULL, 0, folder, &why);
    g_assert_no_error(why);
    g_autofree char *apart = domxml_as_test(replica, &id, "a <b> - Test", &no_nets, "/f", &why);
    g_assert_no_error(why);
    g_assert_nonnull(strstr(apart, "<name>a &lt;b&gt; - Test</name>"));
    g_assert_nonnull(strstr(apart, "<uuid>00000000-0000-4000-8000-0000000000ab</uuid>"));
    g_assert_null(strstr(apart, "0001"));  /* identity of the original: UUID, SMBIOS, MAC */
    g_assert_null(strstr(apart, "0002"));  /* generation */
    g_assert_nonnull(strstr(apart, "genid"));
    g_assert_nonnull(strstr(apart, "<entry name=\"serial\">7</entry>"));
    g_assert_nonnull(strstr(apart, "<link state=\"down\"/>"));
    static const struct domxml_nets all = { "isolated", NULL, 0 };
    g_autofree char *joined = domxml_as_test(replica, &id, "t", &all, "/f", &why);
    g_assert_no_error(why);
    g_assert_nonnull(strstr(joined, "<source network=\"isolated\"/>"));
    g_assert_nonnull(strstr(joined, "<model type=\"virtio\"/>"));
    g_assert_null(strstr(joined, "<link"));
    g_assert_null(strstr(joined, "br0"));
}

/* A card's own network, that of all, and the one card that has its own while there is none for all. */
static void
test_nets(void)
{
    static const char guest[] =
        "<domain type='kvm'><name>web</name><uuid>00000000-0000-4000-8000-000000000001</uuid><devices>"
        "<interface type='network'><mac address='52:54:00:aa:00:01'/><source network='prod'/><model type='virtio'/></interface>"
        "<interface type='network'><mac address='52:54:00:aa:00:02'/><source network='prod'/><model type='e1000'/></interface>"
        "</devices></domain>";
    static const struct domxml_net own[] = { { "52:54:00:AA:00:02", "lab2" } };
    static const struct domxml_nets both = { "lab", own, 1 }, one = { NULL, own, 1 };
    struct uuid id;
    g_autoptr(GError) why = NULL;
    g_assert_true(uuid_parse("00000000-0000-4000-8000-0000000000AB", &id));
    g_autofree char *replica = domxml_for_replica(guest, NULL, 0, folder, &why);
    g_autofree char *two = domxml_as_test(replica, &id, "t", &both, "/f", &why);
    g_assert_no_error(why);
    const char *first = strstr(two, "<source network=\"lab\"/>"), *second = strstr(two, "<source network=\"lab2\"/>");
    g_assert_true(first && second && first < second && strstr(first, "e1000") < second);
    g_assert_null(strstr(two, "<link"));
    g_autofree char *single = domxml_as_test(replica, &id, "t", &one, "/f", &why);
    g_assert_nonnull(strstr(single, "<source network=\"lab2\"/>"));
    g_assert_null(strstr(single, "<source network=\"lab\"/>"));
    const char *down = strstr(single, "<link state=\"down\"/>");
    g_assert_true(down && down < strstr(single, "lab2") && !strstr(down + 1, "<link"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strconcat("/vm/domxml/", cases[i].name, NULL);
        g_test_add_data_func(name, &cases[i], test_golden);
    }
    g_test_add_func("/vm/domxml/refusals", test_refusals);
    g_test_add_func("/vm/domxml/as-test", test_as_test);
    g_test_add_func("/vm/domxml/test-networks", test_nets);
    g_test_add_func("/vm/domxml/without-backing", test_without_backing);
    return g_test_run();
}
