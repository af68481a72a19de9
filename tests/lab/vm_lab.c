/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm_lab.h"

#include "base/file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct lab lab;

static struct capture_engine *
engine_of(guint64 reserve, guint64 live_first)
{
    const struct capture_config config = { .scratch_dir = "/dev/shm/vmreplica", .runtime_dir = "/run/vmreplica",
                                           .qemu_user = "libvirt-qemu", .scratch_reserve = reserve, .live_first = live_first };
    return capture_engine_new(lab.conn, &config);
}

struct capture_engine *
engine_with(guint64 reserve)
{
    return engine_of(reserve, 0);
}

struct capture_engine *
engine_of_two_passes(void)
{
    return engine_of(0, 1);
}

/* Runs a shell line that must succeed; its output if wanted. */
char *
run_line(const char *line)
{
    const char *const argv[] = { "sh", "-c", line, NULL };
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    char *out = NULL;
    g_autofree char *words = NULL;
    int status = 0;
    g_autoptr(GError) why = NULL;
    g_spawn_sync(NULL, copy, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &words, &status, &why);
    g_assert_no_error(why);
    if (status != 0)
        g_error("'%s' failed: %s%s", line, out, words);
    return g_strchomp(out);
}

void
shell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    g_free(run_line(line));
}

char *
guest_name(void)
{
    g_autofree char *line = g_strdup_printf("virsh domname %s", lab.uuid);
    return run_line(line);
}

guint64
number_from(const char *command)
{
    g_autofree char *text = run_line(command);
    return g_ascii_strtoull(text, NULL, 10);
}

static void
copy_range(int to, struct block *from, const struct extent *e)
{
    enum { CHUNK = 1 << 20 };
    static char buf[CHUNK];
    g_autoptr(GError) why = NULL;
    if (e->kind == EXTENT_ZERO) {
        g_assert_cmpint(fallocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)e->offset, (off_t)e->length), ==, 0);
        return;
    }
    for (uint64_t done = 0; done < e->length;) {
        const size_t n = (size_t)MIN((uint64_t)CHUNK, e->length - done);
        block_read(from, buf, n, e->offset + done, &why);
        g_assert_no_error(why);
        file_write_full(to, buf, n, e->offset + done, "copy", &why);
        g_assert_no_error(why);
        done += n;
    }
}

static int
copy_of(const char *target)
{
    for (guint i = 0; lab.all[i]; i++)
        if (g_str_equal(lab.all[i], target))
            return lab.copies[i];
    g_assert_not_reached();
}

guint64
apply(struct capture *c, const char *const *targets)
{
    guint64 sum = 0;
    for (guint i = 0; i < capture_disks(c) && targets[i]; i++) {
        const int to = copy_of(targets[i]);
        const struct extents *set = capture_extents(c, i);
        for (size_t j = 0; j < extents_count(set); j++)
            copy_range(to, capture_disk(c, i), extents_at(set, j));
        sum += extents_bytes(set);
    }
    return sum;
}

struct capture *
begin(const char *const *targets, enum capture_mode mode, const struct uuid *log)
{
    g_autoptr(GError) why = NULL;
    struct capture *c = capture_begin(lab.engine, &lab.vm, targets, mode, log, &why);
    g_assert_no_error(why);
    g_assert_nonnull(c);
    return c;
}

void
end(struct capture *c, bool durable)
{
    g_autoptr(GError) why = NULL;
    capture_end(c, durable, &why);
    g_assert_no_error(why);
}

guint64
cycle_of(const char *const *targets, enum capture_mode mode)
{
    const struct uuid log = uuid_random();
    struct capture *c = begin(targets, mode, &log);
    const guint64 bytes = apply(c, targets);
    end(c, true);
    lab.since = log;
    return bytes;
}

guint64
cycle(enum capture_mode mode)
{
    return cycle_of(lab.all, mode);
}

void
verify_copies(void)
{
    g_autofree char *command = g_strdup_printf("%s --records %s/%s.raw %s/%s.raw", lab.verify, lab.work, lab.all[0], lab.work,
                                               lab.all[1]);
    const guint64 records = number_from(command);
    g_assert_cmpuint(records, >=, lab.records);
    lab.records = records;
}

bool
is_since(void *user, const struct uuid *log)
{
    return uuid_equal(log, &lab.since);
}

void
recover_expect(const char *const *targets, enum err_code expected)
{
    struct uuid since = UUID_NIL;
    g_autoptr(GError) why = NULL;
    const bool ok = capture_recover(lab.engine, &lab.vm, targets, is_since, NULL, &since, &why);
    if (expected == ERR_COUNT) {
        g_assert_no_error(why);
        g_assert_true(ok);
        g_assert_true(uuid_equal(&since, &lab.since));
        return;
    }
    g_assert_error(why, ERR, (gint)expected);
    g_test_message("expected refusal: %s", why->message);
}

void
begin_expect(struct capture_engine *e, const char *const *targets, enum capture_mode mode, enum err_code expected)
{
    const struct uuid log = uuid_random();
    g_autoptr(GError) why = NULL;
    struct capture *c = capture_begin(e, &lab.vm, targets, mode, &log, &why);
    g_assert_null(c);
    g_assert_error(why, ERR, (gint)expected);
    g_test_message("expected refusal: %s", why->message);
}

/* Not by a shell: that may have begun to count before this process has closed its ends of the pipes to it. */
static guint64
own_fds(void)
{
    g_autoptr(GDir) d = g_dir_open("/proc/self/fd", 0, NULL);
    guint64 count = 0;
    g_assert_nonnull(d);
    while (g_dir_read_name(d))
        count++;
    return count;
}

struct residue
count_residue(void)
{
    g_autofree char *query = g_strdup_printf("virsh qemu-monitor-command %s --cmd", lab.uuid);
    g_autofree char *bitmaps = g_strdup_printf("%s '{\"execute\":\"query-block\"}' | grep -o '\"name\":\"vmr-' | wc -l", query);
    g_autofree char *nodes = g_strdup_printf("%s '{\"execute\":\"query-named-block-nodes\"}' | grep -o '\"node-name\":' | wc -l", query);
    g_autofree char *exports = g_strdup_printf("%s '{\"execute\":\"query-block-exports\"}' | grep -o '\"id\":\"vmr-' | wc -l", query);
    g_autofree char *jobs = g_strdup_printf("%s '{\"execute\":\"query-jobs\"}' | grep -o '\"id\":\"vmr-' | wc -l", query);
    g_autofree char *fds = g_strdup_printf("ls /proc/$(cat /run/libvirt/qemu/$(virsh domname %s).pid)/fd | wc -l", lab.uuid);
    return (struct residue){ .bitmaps = number_from(bitmaps), .nodes = number_from(nodes), .exports = number_from(exports),
                             .jobs = number_from(jobs), .qemu_fds = number_from(fds), .own_fds = own_fds(),
                             .scratch_kib = number_from("du -sk /dev/shm/vmreplica"),
                             .files = number_from("ls /dev/shm/vmreplica /run/vmreplica/nbd | grep -c vmr- || :") };
}

void
assert_clean(guint64 bitmaps)
{
    const struct residue r = count_residue();
    g_assert_cmpuint(r.bitmaps, ==, bitmaps);
    g_assert_cmpuint(r.exports, ==, 0);
    g_assert_cmpuint(r.jobs, ==, 0);
    g_assert_cmpuint(r.files, <=, bitmaps); /* an empty scratch file per disk may stay */
    g_assert_cmpuint(r.scratch_kib, ==, 0);
}

void
wait_for_writer(void)
{
    g_autofree char *name = guest_name();
    shell("for i in $(seq 600); do tail -n 3 /var/log/libvirt/console/%s.log | grep -q 'WRITER at' && exit 0; "
          "sleep 0.2; done; exit 1", name);
}

void
start_guest(void)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *name = guest_name();
    shell(": >/var/log/libvirt/console/%s.log", name);
    vm_start(lab.conn, &lab.vm, &why);
    g_assert_no_error(why);
    wait_for_writer();
}

void
pause_ms(gulong ms)
{
    g_usleep(ms * 1000);
}

void
cycle_and_verify(int times)
{
    for (int i = 0; i < times; i++) {
        cycle(CAPTURE_INSTANT);
        verify_copies();
    }
}

void
await_off(void)
{
    shell("for i in $(seq 600); do virsh domstate %s | grep -q 'shut off' && exit 0; sleep 0.1; done; exit 1", lab.uuid);
}

/* The event may come a moment after the end of the migration. */
static void
await_migrated(bool away)
{
    enum { LOOKS = 1200, LOOK_US = 50000 };
    for (guint i = 0; vm_migrated(lab.conn, &lab.vm) != away; i++) {
        g_assert_cmpuint(i, <, LOOKS);
        g_usleep(LOOK_US);
    }
}

void
migrate_there_and_back(void)
{
    const char *lab_dir = g_getenv("LAB_DIR");
    g_autofree char *other = g_strdup_printf("qemu+unix:///system?socket=%s/B/run/libvirt/libvirt-sock", lab_dir);
    g_autofree char *own = g_strdup_printf("qemu+unix:///system?socket=%s/A/run/libvirt/libvirt-sock", lab_dir);
    shell("virsh migrate --live --unsafe --undefinesource --persistent %s '%s' --migrateuri tcp://192.0.2.2", lab.uuid, other);
    await_migrated(true);
    shell("virsh -c '%s' migrate --live --unsafe --undefinesource --persistent %s '%s' --migrateuri tcp://192.0.2.1", other, lab.uuid, own);
    await_migrated(false);
}

/* ---- the guest and its copies ---- */

void
open_copies(void)
{
    for (int i = 0; lab.all[i]; i++) {
        g_autofree char *path = g_strdup_printf("%s/%s.raw", lab.work, lab.all[i]);
        lab.copies[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        g_assert_cmpint(lab.copies[i], >=, 0);
    }
}

static guint64
size_of(const struct vm_facts *facts, const char *target)
{
    for (guint i = 0; i < facts->disks->len; i++) {
        const struct vm_disk *d = facts->disks->pdata[i];
        if (g_str_equal(d->target, target))
            return d->size;
    }
    g_assert_not_reached();
}

void
size_copies(void)
{
    vm_facts_auto facts = vm_facts_get(lab.conn, &lab.vm, NULL);
    g_assert_nonnull(facts);
    for (int i = 0; lab.all[i]; i++) {
        const guint64 size = size_of(facts, lab.all[i]);
        g_assert_cmpuint(size, >, 0);
        g_assert_cmpint(ftruncate(lab.copies[i], (off_t)size), ==, 0);
    }
}

void
lab_open(int argc, char **argv, const char *const *all)
{
    if (argc != 6 || !uuid_parse(argv[1], &lab.vm))
        g_error("usage: %s UUID IMAGE IMAGE WORK-FOLDER VERIFY", argv[0]);
    lab.uuid = argv[1];
    lab.images[0] = argv[2];
    lab.images[1] = argv[3];
    lab.work = argv[4];
    lab.verify = argv[5];
    lab.all = all;
    lab.conn = vm_conn_open("qemu:///system", NULL);
    lab.engine = engine_with(0);
    open_copies();
    size_copies();
    wait_for_writer();
}

int
lab_close(int status)
{
    capture_engine_free(lab.engine);
    vm_conn_close(lab.conn);
    return status;
}
