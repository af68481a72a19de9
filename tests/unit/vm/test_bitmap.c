/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU's answers read, and what is planned upon them. */
#include "base/err.h"
#include "vm/bitmap.h"
#include "vm/plan.h"
#include "vm/qmp.h"

#include <string.h>

#define LOG_A "00000000-0000-0000-0000-00000000000a"
#define LOG_B "00000000-0000-0000-0000-00000000000b"
#define LOG_C "00000000-0000-0000-0000-00000000000c"

static const char *const targets[] = { "vda", "vdb", NULL };

static struct uuid
id(const char *text)
{
    struct uuid u;
    g_assert_true(uuid_parse(text, &u));
    return u;
}

/* ---- names ---- */

static void
test_names(void)
{
    static const char *const not_ours[] = { "vmr-", "vmr-x.1", "vmr-" LOG_A, "vmr-" LOG_A ".", "vmr-" LOG_A ".x", "vmr-" LOG_A ".1 ",
                                            "vmr-" LOG_A ".-1", "vmr-estimate", "xvmr-" LOG_A ".1", "vmr-" LOG_A ".99999999999999999999" };
    struct uuid log;
    guint64 number = 0;
    const struct uuid a = id(LOG_A);
    g_autofree char *name = bitmap_name(&a, 18446744073709551614u);
    g_assert_cmpstr(name, ==, "vmr-" LOG_A ".18446744073709551614");
    g_assert_true(bitmap_name_parse(name, &log, &number));
    g_assert_true(uuid_equal(&log, &a));
    g_assert_cmpuint(number, ==, 18446744073709551614u);
    g_assert_false(bitmap_name_parse(NULL, &log, &number));
    for (gsize i = 0; i < G_N_ELEMENTS(not_ours); i++)
        g_assert_false(bitmap_name_parse(not_ours[i], &log, &number));
}

/* ---- query-block, query-named-block-nodes, qemu-img info ---- */

static json_t *
fixture(const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/fixtures/%s", VM_TEST_DIR, name);
    json_error_t where;
    json_t *value = json_load_file(path, 0, &where);
    if (!value)
        g_error("%s: %s", path, where.text);
    return value;
}

static void
test_devices(void)
{
    json_scoped blocks = fixture("query-block.json");
    g_assert_cmpstr(qmp_text(bitmap_find_device(blocks, "virtio-disk0"), "node-name"), ==, "libvirt-2-format");
    g_assert_cmpstr(qmp_text(bitmap_find_device(blocks, "scsi0-0-0-1"), "node-name"), ==, "libvirt-1-format");
    g_assert_null(bitmap_find_device(blocks, "scsi0-0-0"));
    g_assert_null(bitmap_find_device(blocks, "virtio-disk1"));
    g_assert_null(bitmap_find_device(blocks, "sata0-0-0")); /* an empty drive */
}

static void
test_nodes(void)
{
    json_scoped nodes = fixture("query-named-block-nodes.json");
    struct bitmap_disk *d = bitmap_disk_new("vda");
    bitmap_read_node(d, bitmap_find_node(nodes, "libvirt-3-format"));
    g_assert_cmpstr(d->node, ==, "libvirt-3-format");
    g_assert_cmpstr(d->format, ==, "qcow2");
    g_assert_cmpuint(d->size, ==, 5497558138880u);
    g_assert_true(d->persistent);
    g_assert_cmpuint(d->bitmaps->len, ==, 2); /* the third is somebody else's */
    const struct uuid a = id(LOG_A), b = id(LOG_B), c = id(LOG_C);
    g_assert_true(bitmap_find(d, &a)->recording);
    g_assert_cmpuint(bitmap_find(d, &a)->count, ==, 4398046511104u);
    g_assert_true(bitmap_find(d, &b)->inconsistent);
    g_assert_null(bitmap_find(d, &c));
    bitmap_read_below(d, nodes, "libvirt-1-format");
    g_assert_cmpuint(d->below->len, ==, 1);
    g_assert_cmpstr(((struct bitmap_below *)d->below->pdata[0])->name, ==, "vmr-" LOG_A ".4");

    guint64 bytes = 1;
    g_assert_true(bitmap_count(nodes, "libvirt-3-format", "backup-x", &bytes));
    g_assert_cmpuint(bytes, ==, 0);
    g_assert_false(bitmap_count(nodes, "libvirt-3-format", "nothing", &bytes));
    g_assert_false(bitmap_count(nodes, "no-node", "backup-x", &bytes));
    bitmap_disk_free(d);

    struct bitmap_disk *old = bitmap_disk_new("vdb"), *raw = bitmap_disk_new("vdc");
    bitmap_read_node(old, bitmap_find_node(nodes, "libvirt-4-format"));
    g_assert_false(old->persistent); /* qcow2 of version 2 */
    bitmap_read_node(raw, bitmap_find_node(nodes, "libvirt-5-format"));
    g_assert_false(raw->persistent);
    bitmap_disk_free(old);
    bitmap_disk_free(raw);
}

static void
test_images(void)
{
    json_scoped info = fixture("image-info.json");
    struct bitmap_disk *d = bitmap_disk_new("vda");
    g_assert_true(bitmap_read_image(d, info, "/images/a.qcow2", true));
    g_assert_cmpuint(d->size, ==, 1073741824);
    g_assert_cmpuint(d->bitmaps->len, ==, 3);
    const struct uuid a = id(LOG_A), b = id(LOG_B), c = id(LOG_C);
    g_assert_false(bitmap_find(d, &a)->recording);
    g_assert_true(bitmap_find(d, &b)->recording);
    g_assert_true(bitmap_find(d, &c)->inconsistent);
    g_assert_false(bitmap_read_image(d, NULL, "/images/b.qcow2", false));
    g_assert_true(bitmap_read_image(d, info, "/images/b.qcow2", false));
    g_assert_cmpuint(d->below->len, ==, 3);
    bitmap_disk_free(d);
}

/* ---- plans ---- */

/* "A1+ B2- C3!": log A, number 1, recording; B not recording; C inconsistent. */
static struct bitmap_disk *
disk(const char *target, const char *state)
{
    struct bitmap_disk *d = bitmap_disk_new(target);
    d->node = g_strdup(target);
    d->persistent = true;
    g_auto(GStrv) words = g_strsplit(state, " ", 0);
    for (char **w = words; *w && **w; w++) {
        g_autofree char *text = g_strdup_printf("00000000-0000-0000-0000-00000000000%c", g_ascii_tolower((*w)[0]));
        struct bitmap *b = g_new0(struct bitmap, 1);
        b->log = id(text);
        b->number = (guint64)((*w)[1] - '0');
        b->name = bitmap_name(&b->log, b->number);
        b->recording = (*w)[2] == '+';
        b->inconsistent = (*w)[2] == '!';
        g_ptr_array_add(d->bitmaps, b);
    }
    return d;
}

static GPtrArray *
guest(const char *vda, const char *vdb)
{
    GPtrArray *disks = g_ptr_array_new_with_free_func(bitmap_disk_free);
    g_ptr_array_add(disks, disk("vda", vda));
    if (vdb)
        g_ptr_array_add(disks, disk("vdb", vdb));
    return disks;
}

static void
short_name(GString *to, const char *name)
{
    struct uuid log;
    guint64 number;
    g_assert_true(bitmap_name_parse(name, &log, &number));
    g_string_append_printf(to, "%X%" G_GUINT64_FORMAT, log.bytes[15], number);
}

/* "vda:add C3, vda:disable A1, vda:merge B2 into A1" */
static char *
as_text(const GPtrArray *plan)
{
    static const char *const verbs[] = { [PLAN_ADD] = "add", [PLAN_ENABLE] = "enable", [PLAN_DISABLE] = "disable", [PLAN_MERGE] = "merge",
                                         [PLAN_REMOVE] = "remove" };
    GString *s = g_string_new(NULL);
    for (guint i = 0; i < plan->len; i++) {
        const struct plan_op *op = plan->pdata[i];
        g_string_append_printf(s, "%s%s:%s ", i ? ", " : "", op->disk->target, verbs[op->kind]);
        if (op->from) {
            short_name(s, op->from);
            g_string_append_printf(s, "%s%s into ", op->from_node ? " of " : "", op->from_node ? op->from_node : "");
        }
        short_name(s, op->name);
    }
    return g_string_free(s, FALSE);
}

static void
test_begin(void)
{
    g_autoptr(GPtrArray) disks = guest("A1+", "A1+"), plan = plan_new(), old = g_ptr_array_new();
    g_autoptr(GError) why = NULL;
    const struct uuid b = id(LOG_B);
    g_assert_true(plan_begin(disks, targets, &b, plan, old, &why));
    g_autofree char *text = as_text(plan);
    g_assert_cmpstr(text, ==, "vda:add B2, vda:disable A1, vdb:add B2, vdb:disable A1");
    g_assert_cmpstr(old->pdata[1], ==, "vmr-" LOG_A ".1");
}

/* A commit brought an old bitmap back; a snapshot left the writes before it below. */
static void
test_begin_after_snapshot(void)
{
    g_autoptr(GPtrArray) disks = guest("A1+ B3+", "B3+"), plan = plan_new(), old = g_ptr_array_new();
    struct bitmap_disk *vdb = disks->pdata[1];
    struct bitmap_below *below = g_new0(struct bitmap_below, 1);
    *below = (struct bitmap_below){ .node = g_strdup("base"), .name = g_strdup("vmr-" LOG_B ".3"), .usable = true };
    g_ptr_array_add(vdb->below, below);
    const struct uuid c = id(LOG_C);
    g_assert_true(plan_begin(disks, targets, &c, plan, old, NULL));
    g_autofree char *text = as_text(plan);
    g_assert_cmpstr(text, ==, "vda:remove A1, vda:add C4, vda:disable B3, vdb:merge B3 of base into B3, vdb:add C4, vdb:disable B3");
}

static void
test_begin_refusals(void)
{
    static const struct {
        const char *vda, *vdb;
        enum err_code code;
    } cases[] = {
        { "A1+", NULL, ERR_NOT_FOUND },          { "A1+", "", ERR_TRACKING_LOST },         { "A1+", "A1!", ERR_TRACKING_LOST },
        { "A1+", "A1-", ERR_TRACKING_LOST },     { "A1+", "B1+", ERR_TRACKING_LOST },      { "A1- B2+", "A1- B2+", ERR_TRACKING_LOST },
        { "A1+ B2!", "A1+", ERR_TRACKING_LOST },
    };
    const struct uuid c = id(LOG_C);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) disks = guest(cases[i].vda, cases[i].vdb), plan = plan_new(), old = g_ptr_array_new();
        g_autoptr(GError) why = NULL;
        g_assert_false(plan_begin(disks, targets, &c, plan, old, &why));
        g_assert_error(why, ERR, (gint)cases[i].code);
    }
}

static void
check_end(const char *vda, const char *vdb, bool durable, const char *expected)
{
    g_autoptr(GPtrArray) disks = guest(vda, vdb), plan = plan_new();
    const struct uuid b = id(LOG_B);
    plan_end(disks, &b, durable, plan);
    g_autofree char *text = as_text(plan);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_end(void)
{
    check_end("A1- B2+", "A1- B2+", true, "vda:remove A1, vdb:remove A1");
    check_end("A1- B2+", "A1-", false, "vda:enable A1, vda:merge B2 into A1, vda:remove B2");
    check_end("A1+ B2+", "B2+", false, "vda:merge B2 into A1, vda:remove B2, vdb:remove B2"); /* started anew */
    check_end("A1! B2+", "A1! B2+", true, "vda:remove A1, vdb:remove A1");
    check_end("A1-", "", true, "");
}

static bool
durable_in(void *user, const struct uuid *log)
{
    return log->bytes[15] == 0x0f || strchr(user, "0123456789ABCDEF"[log->bytes[15]]) != NULL;
}

/* `durable`: letters of the logs that are. since 0: lost. */
static void
check_recover(const char *vda, const char *vdb, const char *durable, char since, const char *expected)
{
    g_autoptr(GPtrArray) disks = guest(vda, vdb), plan = plan_new();
    g_autoptr(GError) why = NULL;
    struct uuid found = UUID_NIL;
    const bool ok = plan_recover(disks, targets, durable_in, (void *)(gsize)durable, plan, &found, &why);
    g_autofree char *text = as_text(plan);
    g_assert_cmpstr(text, ==, expected);
    g_assert_true(ok == (since != 0));
    if (ok)
        g_assert_cmpint("0123456789ABCDEF"[found.bytes[15]], ==, since);
    else
        g_assert_error(why, ERR, ERR_TRACKING_LOST);
}

static void
test_recover(void)
{
    check_recover("A1+", "A1+", "A", 'A', "");
    check_recover("A1- B2+", "A1- B2+", "A", 'A',
                  "vda:enable A1, vda:merge B2 into A1, vda:remove B2, vdb:enable A1, vdb:merge B2 into A1, vdb:remove B2");
    check_recover("A1- B2+", "A1- B2+", "AB", 'B', "vda:remove A1, vdb:remove A1");
    check_recover("A1- B2+", "B2+", "AB", 'B', "vda:remove A1");                 /* cut off in the clean-up */
    check_recover("A1+ B2+", "A1+", "A", 'A', "vda:merge B2 into A1, vda:remove B2"); /* cut off in the beginning */
    check_recover("A1+ B2+", "A1+ B2+", "A", 'A', "vda:merge B2 into A1, vda:remove B2, vdb:merge B2 into A1, vdb:remove B2");
    check_recover("A1+ B3+", "B3+", "AB", 'B', "vda:remove A1");                 /* a commit brought A back */
    check_recover("A1-", "A1+", "A", 0, "");                                      /* writes were missed */
    check_recover("A1- B2!", "A1+", "A", 0, "vda:remove B2");
    check_recover("", "A1+", "A", 0, "");
    check_recover("A1!", "A1!", "A", 0, "vda:remove A1, vdb:remove A1");
    check_recover("A1+", "A1+", "", 0, "");                                       /* the log is unknown */
}

static void
test_recover_other_disks(void)
{
    g_autoptr(GPtrArray) disks = guest("A1+", "A1+"), plan = plan_new();
    g_ptr_array_add(disks, disk("vdc", "A1+ B2-"));
    struct uuid since;
    char durable[] = "A";
    g_assert_true(plan_recover(disks, targets, durable_in, durable, plan, &since, NULL));
    g_autofree char *text = as_text(plan);
    g_assert_cmpstr(text, ==, "vdc:remove A1, vdc:remove B2");
}

static void
test_forget(void)
{
    g_autoptr(GPtrArray) disks = guest("A1+ B2!", "C9-"), plan = plan_new();
    plan_forget(disks, plan);
    g_autofree char *text = as_text(plan);
    g_assert_cmpstr(text, ==, "vda:remove A1, vda:remove B2, vdb:remove C9");
}

/* ---- QMP answers ---- */

static void
check_refusal(const char *answer, enum err_code code, const char *part)
{
    g_autoptr(GError) why = NULL;
    g_assert_null(qmp_parse("transaction", answer, &why));
    g_assert_error(why, ERR, (gint)code);
    g_assert_nonnull(strstr(why->message, part));
}

static void
test_qmp(void)
{
    json_scoped empty = qmp_parse("x", "{\"return\":{},\"id\":\"libvirt-7\"}", NULL);
    g_assert_true(json_is_object(empty));
    json_scoped number = qmp_parse("x", "{\"return\":{\"n\":9007199254740993,\"neg\":-1,\"s\":\"t\",\"b\":true}}", NULL);
    g_assert_cmpuint(qmp_number(number, "n"), ==, 9007199254740993u);
    g_assert_cmpuint(qmp_number(number, "neg"), ==, 0);
    g_assert_cmpuint(qmp_number(number, "s"), ==, 0);
    g_assert_cmpstr(qmp_text(number, "s"), ==, "t");
    g_assert_null(qmp_text(number, "n"));
    g_assert_true(qmp_flag(number, "b"));
    g_assert_false(qmp_flag(number, "missing"));
    check_refusal("{\"id\":\"libvirt-9\",\"error\":{\"class\":\"GenericError\",\"desc\":\"Bitmap 'r1' is currently in use\"}}", ERR_FAILED,
                  "Bitmap 'r1' is currently in use");
    check_refusal("{\"error\":{\"class\":\"DeviceNotFound\",\"desc\":\"Cannot find device\"}}", ERR_NOT_FOUND, "'transaction'");
    check_refusal("{\"error\":{}}", ERR_FAILED, "no reason");
    check_refusal("{\"error\":7}", ERR_FAILED, "no reason");
    check_refusal("{}", ERR_MALFORMED, "neither");
    check_refusal("[1]", ERR_MALFORMED, "not a JSON object");
    check_refusal("", ERR_MALFORMED, "not a JSON object");
    check_refusal("{\"return\":", ERR_MALFORMED, "not a JSON object");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/bitmap/names", test_names);
    g_test_add_func("/vm/bitmap/devices", test_devices);
    g_test_add_func("/vm/bitmap/nodes", test_nodes);
    g_test_add_func("/vm/bitmap/images", test_images);
    g_test_add_func("/vm/plan/begin", test_begin);
    g_test_add_func("/vm/plan/begin-after-snapshot", test_begin_after_snapshot);
    g_test_add_func("/vm/plan/begin-refusals", test_begin_refusals);
    g_test_add_func("/vm/plan/end", test_end);
    g_test_add_func("/vm/plan/recover", test_recover);
    g_test_add_func("/vm/plan/recover-other-disks", test_recover_other_disks);
    g_test_add_func("/vm/plan/forget", test_forget);
    g_test_add_func("/vm/qmp/answers", test_qmp);
    return g_test_run();
}
