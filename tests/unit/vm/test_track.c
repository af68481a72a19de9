/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "vm/run.h"
#include "vm/track.h"

#include <dlfcn.h>
#include <unistd.h>

/* What the images of a guest that is off hold of our bitmaps, with libvirt's test driver and real images. */

#define GUEST "01234567-89ab-cdef-0123-456789abcdef"
#define BITMAP "vmr-AAAAAAAA-89AB-CDEF-0123-456789ABCDEF.1"

/* libvirt's function fails while this is set. */
static bool silent;

int
virDomainIsActive(virDomainPtr dom)
{
    int (*real)(virDomainPtr) = (int (*)(virDomainPtr))dlsym(RTLD_NEXT, "virDomainIsActive");
    return real(silent ? NULL : dom);
}

struct fixture {
    char *dir, *base, *top;
    struct vm_conn *conn;
    struct uuid vm;
};

static const char make_images[] = "cd \"$0\" && qemu-img create -q -f qcow2 base 1M && qemu-img create -q -f qcow2 -F qcow2 -b base top && "
                                  "for i in base top; do qemu-img bitmap --add -f qcow2 $i " BITMAP " || exit; done";

/* A snapshot was taken since the last log: the image below has the writes until then, the one above those since. */
static void
set_up(struct fixture *f, const void *unused)
{
    g_autoptr(GError) err = NULL;
    f->dir = g_dir_make_tmp("vmr-track.XXXXXX", NULL);
    f->base = g_build_filename(f->dir, "base", NULL);
    f->top = g_build_filename(f->dir, "top", NULL);
    const char *const argv[] = { "sh", "-c", make_images, f->dir, NULL };
    run_program(argv, NULL, NULL, &err);
    g_assert_no_error(err);
    g_assert_true(uuid_parse(GUEST, &f->vm));
    f->conn = vm_conn_open("test:///default", NULL);
    g_autofree char *xml = g_strdup_printf("<domain type='test'><name>g</name><uuid>" GUEST "</uuid><memory>65536</memory>"
                                           "<os><type>hvm</type></os><devices><disk type='file' device='disk'>"
                                           "<driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vda'/></disk>"
                                           "</devices></domain>", f->top);
    vm_define(f->conn, xml, &err);
    g_assert_no_error(err);
}

static void
tear_down(struct fixture *f, const void *unused)
{
    vm_undefine(f->conn, &f->vm, NULL);
    vm_conn_close(f->conn);
    file_remove_tree(f->dir, NULL);
    g_free(f->dir);
    g_free(f->base);
    g_free(f->top);
}

/* An image below the snapshot that cannot be read is not one without bitmaps: its writes would never reach the replica. */
static void
test_below(struct fixture *f, const void *unused)
{
    g_autoptr(GError) err = NULL;
    track_auto t = track_off(f->conn, &f->vm, &err);
    g_assert_no_error(err);
    const struct bitmap_disk *disk = bitmap_find_disk(t->disks, "vda");
    g_assert_nonnull(disk);
    g_assert_cmpuint(disk->bitmaps->len, ==, 1);
    g_assert_cmpuint(disk->below->len, ==, 1);
    g_assert_cmpint(unlink(f->base), ==, 0);
    g_assert_cmpint(symlink(f->base, f->base), ==, 0);
    g_assert_null(track_off(f->conn, &f->vm, &err));
    g_assert_error(err, ERR, ERR_FAILED);
    g_assert_nonnull(strstr(err->message, f->base));
}

/* Whether the guest runs cannot be asked now and then: its images are not read for that. */
static void
test_unknown_power(struct fixture *f, const void *unused)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(virDomain) dom = conn_domain(f->conn, &f->vm, &err);
    g_assert_no_error(err);
    silent = true;
    g_assert_null(track_now(f->conn, dom, &f->vm, &err));
    silent = false;
    g_assert_error(err, ERR, ERR_FAILED);
    g_clear_error(&err);
    track_auto t = track_now(f->conn, dom, &f->vm, &err);
    g_assert_no_error(err);
    g_assert_false(t->live);
}

static void
add(const char *name, void (*test)(struct fixture *, const void *))
{
    g_test_add(name, struct fixture, NULL, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *qemu_img = g_find_program_in_path("qemu-img");
    if (qemu_img) {
        add("/vm/track/below", test_below);
        add("/vm/track/unknown-power", test_unknown_power);
    }
    return g_test_run();
}
