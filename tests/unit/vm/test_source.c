/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where disks are, in libvirt's words and in QEMU's; and the texts that libvirt is sent. */
#include "base/err.h"
#include "vm/checkpoint.h"
#include "vm/firmware.h"
#include "vm/source.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static char *
image_of(const char *xml, char **why)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), 1 << 16, NULL);
    g_assert_nonnull(doc);
    return source_image(xmlDocGetRootElement(doc), why);
}

static const struct {
    const char *xml, *image;
} images[] = {
    { "<disk type='file'><source file='/srv/a.qcow2'/></disk>", "/srv/a.qcow2" },
    { "<disk type='block'><source dev='/dev/vg/a'/></disk>", "/dev/vg/a" },
    { "<disk type='network'><source protocol='nbd' name='e'><host transport='unix' socket='/run/s'/></source></disk>",
      "json:{\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"/run/s\"},\"export\":\"e\"}" },
    { "<disk type='network'><source protocol='nbd'><host name='h'/></source></disk>",
      "json:{\"driver\":\"nbd\",\"server\":{\"host\":\"h\",\"port\":\"10809\",\"type\":\"inet\"}}" },
    { "<disk type='network'><source protocol='rbd' name='pool/space/image'><host name='m1'/><host name='m2' port='3300'/>"
      "<snapshot name='s'/><config file='/etc/ceph/x.conf'/></source></disk>",
      "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"namespace\":\"space\",\"image\":\"image\",\"conf\":\"/etc/ceph/x.conf\","
      "\"snapshot\":\"s\",\"server\":[{\"host\":\"m1\",\"port\":\"6789\"},{\"host\":\"m2\",\"port\":\"3300\"}]}" },
    { "<disk type='network'><source protocol='rbd' name='pool/image'/></disk>",
      "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\"}" },
    { "<disk type='network'><source protocol='iscsi' name='iqn.2013-07.com.example:t/3'><host name='fd00::1'/>"
      "<initiator><iqn name='iqn.i'/></initiator></source></disk>",
      "json:{\"driver\":\"iscsi\",\"transport\":\"tcp\",\"portal\":\"[fd00::1]:3260\",\"target\":\"iqn.2013-07.com.example:t\","
      "\"initiator-name\":\"iqn.i\",\"lun\":3}" },
};

static const struct {
    const char *xml, *why;
} closed[] = {
    { "<disk type='file'/>", "it has no image" },
    { "<disk type='file'><source file=''/></disk>", "it has no image" },
    { "<disk type='file'><source file='json:{}'/></disk>", "not absolute" },
    { "<disk type='network'><source protocol='nbd' tls='yes'><host name='h'/></source></disk>", "a secret" },
    { "<disk type='network'><auth username='u'/><source protocol='rbd' name='p/i'/></disk>", "a secret" },
    { "<disk type='network'><source protocol='rbd' name='p/i'><auth username='u'/></source></disk>", "a secret" },
    { "<disk type='network'><source protocol='nbd' name='e'/></disk>", "incomplete" },
    { "<disk type='network'><source protocol='rbd' name='image'/></disk>", "incomplete" },
    { "<disk type='network'><source protocol='iscsi' name='/1'><host name='h'/></source></disk>", "incomplete" },
    { "<disk type='network'><source protocol='gluster' name='v/i'><host name='h'/></source></disk>", "'gluster'" },
};

static void
test_images(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(images); i++) {
        g_autofree char *why = NULL, *image = image_of(images[i].xml, &why);
        g_assert_cmpstr(image, ==, images[i].image);
        g_assert_null(why);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(closed); i++) {
        g_autofree char *why = NULL;
        g_assert_null(image_of(closed[i].xml, &why));
        g_assert_nonnull(strstr(why, closed[i].why));
    }
}

static char *
command_line(const char *image)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    source_argv(argv, image, "qcow2");
    g_ptr_array_add(argv, NULL);
    return g_strjoinv(" ", (char **)argv->pdata);
}

/* A name from outside cannot become an option or another node: it stays one word. */
static void
test_command_lines(void)
{
    g_autofree char *path = command_line("/srv/a b.qcow2"), *remote = command_line("json:{\"driver\":\"nbd\"}");
    g_autofree char *whole = command_line("json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"nbd\"}}"), *broken = command_line("json:{");
    g_assert_cmpstr(path, ==, "-f qcow2 /srv/a b.qcow2");
    g_assert_cmpstr(remote, ==, "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"nbd\"}}");
    g_assert_cmpstr(whole, ==, "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"nbd\"}}");
    g_assert_cmpstr(broken, ==, "json:{");
    g_assert_null(source_node("json:[]"));
    json_t *node = source_node("/nowhere");
    g_assert_cmpstr(json_string_value(json_object_get(node, "driver")), ==, "file");
    json_decref(node);
}

static void
test_stamps(void)
{
    g_autofree char *path = NULL;
    const int fd = g_file_open_tmp("vmr-source-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_autofree char *first = source_stamp(path), *same = source_stamp(path);
    g_assert_cmpstr(first, ==, same);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    g_autofree char *later = source_stamp(path);
    g_assert_cmpstr(first, !=, later);
    g_assert_true(source_is_file(path));
    g_assert_false(source_is_file("/dev/null"));
    g_assert_false(source_is_file("json:{}"));
    close(fd);
    g_unlink(path);
    g_assert_null(source_stamp(path));
}

static void
test_texts(void)
{
    const char *const targets[] = { "vda", "a'<", NULL };
    const struct backup b = { "/run/s'", "/dev/shm/vmr-", targets, "vmr-1", NULL };
    g_autofree char *checkpoint = checkpoint_xml("vmr-1", targets), *backup = backup_xml(&b);
    g_assert_cmpstr(checkpoint, ==, "<domaincheckpoint><name>vmr-1</name><disks><disk name='vda' checkpoint='bitmap'/>"
                                    "<disk name='a&apos;&lt;' checkpoint='bitmap'/></disks></domaincheckpoint>");
    g_assert_nonnull(strstr(backup, "<incremental>vmr-1</incremental><server transport='unix' socket='/run/s&apos;'/>"));
    g_assert_nonnull(strstr(backup, "exportname='vda' exportbitmap='vmr'><scratch file='/dev/shm/vmr-vda-pull'/>"));
    for (int i = 0; i < 2; i++) {
        const char *text = i ? checkpoint : backup;
        g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), 1 << 16, NULL);
        g_assert_nonnull(doc);
    }
}

static void
test_iothreads(void)
{
    static const struct {
        const char *devices;
        bool threaded;
    } cases[] = {
        { "<disk><driver iothread='1'/><target bus='virtio'/></disk>", true },
        { "<disk><driver name='qemu'/><target bus='virtio'/></disk>", false },
        { "<disk><target bus='scsi'/><address controller='1'/></disk><controller type='scsi' index='0'><driver iothread='1'/></controller>"
          "<controller type='scsi' index='1'/>", false },
        { "<disk><target bus='scsi'/><address controller='1'/></disk><controller type='scsi' index='1'><driver iothread='1'/></controller>",
          true },
        { "<disk><target bus='scsi'/></disk><controller type='scsi' index='0'><driver iothread='1'/></controller>", true },
        { "<disk><target bus='sata'/></disk><controller type='scsi' index='0'><driver iothread='1'/></controller>", false },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *xml = g_strdup_printf("<domain><devices>%s</devices></domain>", cases[i].devices);
        g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), 1 << 16, NULL);
        const xmlNode *domain = xmlDocGetRootElement(doc);
        const xmlNode *disk = xml_child(xml_child(domain, NULL, "devices"), NULL, "disk");
        g_assert_cmpint(source_has_iothread(domain, disk), ==, cases[i].threaded);
    }
}

static GBytes *
nvram_of(const char *os)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *xml = g_strdup_printf("<domain><os>%s</os></domain>", os);
    GBytes *variables = firmware_nvram(xml, &why);
    g_assert_no_error(why);
    return variables;
}

static void
test_firmware(void)
{
    static const char *const none[] = { "", "<nvram/>", "<nvram>/nowhere/at/all</nvram>", "<nvram>relative</nvram>",
                                        "<nvram type='network'><source protocol='nbd'/></nvram>",
                                        "<nvram format='qcow2'>/dev/zero</nvram>" };
    g_autofree char *path = NULL;
    const int fd = g_file_open_tmp("vmr-nvram-XXXXXX", &path, NULL);
    g_assert_cmpint(write(fd, "boot\0order", 10), ==, 10);
    g_autofree char *os = g_strdup_printf("<loader>/x</loader><nvram template='/t'>%s</nvram>", path);
    g_autoptr(GBytes) variables = nvram_of(os);
    g_assert_cmpmem(g_bytes_get_data(variables, NULL), g_bytes_get_size(variables), "boot\0order", 10);
    for (gsize i = 0; i < G_N_ELEMENTS(none); i++)
        g_assert_null(nvram_of(none[i]));
    g_assert_cmpint(ftruncate(fd, 9 << 20), ==, 0);
    g_autofree char *large = g_strdup_printf("<domain><os>%s</os></domain>", os);
    g_autoptr(GError) why = NULL;
    g_assert_null(firmware_nvram(large, &why));
    g_assert_nonnull(why);
    g_clear_error(&why);
    g_unlink(path);
    g_assert_cmpint(symlink(path, path), ==, 0); /* nobody can say whether there are variables */
    g_assert_null(firmware_nvram(large, &why));
    g_assert_error(why, ERR, ERR_IO);
    close(fd);
    g_unlink(path);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/source/images", test_images);
    g_test_add_func("/vm/source/command-lines", test_command_lines);
    g_test_add_func("/vm/source/stamps", test_stamps);
    g_test_add_func("/vm/source/texts", test_texts);
    g_test_add_func("/vm/source/iothreads", test_iothreads);
    g_test_add_func("/vm/source/firmware", test_firmware);
    return g_test_run();
}
