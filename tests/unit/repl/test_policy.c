/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "link.h"

#include "base/clean.h"
#include "repl/work.h"
#include "store/view.h"

#include <string.h>

/* What an administrator says about when, how much and what: bandwidth, churn, what is left out. */

static struct uuid
protected_guest(struct world *w)
{
    const struct uuid vm = world_guest(w, 1);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    return vm;
}

static void
set_bandwidth(struct world *w, const struct uuid *vm, const char *rates)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings(w, 250);
    g_free(s.additional);
    s.additional = g_strdup_printf("{\"interval_ms\": 250, \"keep_every_cycle_s\": 86400, \"bandwidth\": \"%s\"}", rates);
    g_assert_true(repl_modify(w->a.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->a, job);
}

static void
write_noise(struct world *w, const struct uuid *vm, gsize bytes)
{
    g_autofree guint8 *noise = g_malloc(bytes);
    for (gsize i = 0; i < bytes; i++)
        noise[i] = (guint8)g_rand_int(w->rand);
    fake_write(w->a.fake, vm, 0, 0, noise, bytes);
}

/* A quarter of a MiB would take minutes, hours with what others send: it is under way when the limit goes. */
static void
test_bandwidth_changes(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    set_bandwidth(&w, &vm, "unlimited; 00:00-24:00 1KiB");
    const gint64 before = link_bytes(w.link);
    write_noise(&w, &vm, 256 << 10);
    UNTIL(link_bytes(w.link) > before + (4 << 10));
    set_bandwidth(&w, &vm, "1KiB; 00:00-24:00 unlimited");
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    struct repl_statistics s;
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &s, NULL, NULL));
    g_assert_cmpuint(s.failures, ==, 0); /* nothing was broken off for it */
    world_close(&w);
}

static void
test_host_bandwidth_changes(void)
{
    struct world w = { 0 };
    struct rates slow;
    world_open(&w);
    const struct uuid first = protected_guest(&w), second = protected_guest(&w);
    rates_always(&slow, 1 << 10);
    throttle_set_rates(w.a.service->core->sending, &slow);
    const gint64 before = link_bytes(w.link);
    write_noise(&w, &first, 256 << 10);
    write_noise(&w, &second, 256 << 10);
    UNTIL(link_bytes(w.link) > before + (4 << 10));
    throttle_set_rates(w.a.service->core->sending, &(struct rates){ 0 });
    world_wait_cycle(&w, &first);
    world_wait_cycle(&w, &second);
    world_compare(&w, &first);
    world_compare(&w, &second);
    world_close(&w);
}

struct churn_sum {
    guint64 changed, wire, copied, overhead;
    guint cycles;
};

static struct churn_sum
churn_of(struct world *w, const struct uuid *vm)
{
    struct churn_sum sum = { 0 };
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) rows = repl_churn(w->a.service, vm, 0, 0, &err);
    g_assert_no_error(err);
    for (guint i = 0; i < rows->len; i++) {
        const struct repl_churn *r = &g_array_index(rows, struct repl_churn, i);
        sum.changed += r->changed;
        sum.wire += *r->target ? r->wire : 0;
        sum.copied += r->copied;
        sum.overhead += *r->target ? 0 : r->wire;
        sum.cycles += *r->target ? 0 : r->cycles;
    }
    return sum;
}

/* What was written is counted once, by disk, survives a restart, and agrees with what went over the wire. */
static void
test_churn(void)
{
    struct world w = { 0 };
    struct repl_statistics s;
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    const struct churn_sum first = churn_of(&w, &vm);
    g_assert_cmpuint(first.copied, >, 0);
    write_noise(&w, &vm, 256 << 10);
    world_wait_cycle(&w, &vm);
    const struct churn_sum then = churn_of(&w, &vm);
    g_assert_cmpuint(then.changed - first.changed, ==, 256 << 10);
    g_assert_cmpuint(then.wire - first.wire, >=, 256 << 10); /* it does not compress */
    g_assert_cmpuint(then.wire - first.wire, <, 257 << 10);
    g_assert_cmpuint(then.cycles, >, first.cycles);
    g_assert_cmpuint(then.copied, ==, first.copied);
    host_down(&w.a);
    host_up(&w, &w.a);
    world_wait_cycle(&w, &vm);
    const struct churn_sum later = churn_of(&w, &vm);
    g_assert_cmpuint(later.changed, ==, then.changed);
    g_assert_cmpuint(later.cycles, >, then.cycles);
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &s, NULL, NULL));
    g_assert_cmpuint(later.wire + later.overhead, <=, s.wire_bytes + (64 << 10)); /* the newest may not be acknowledged yet */
    world_close(&w);
}

/* ---- what is left out ---- */

enum { DISK = 2 << 20, PART = 1 << 20 }; /* of world.c; where the swap partition begins */

/* One partition for data, one for swap. */
static void
write_table(struct world *w, const struct uuid *vm, guint8 type)
{
    guint8 mbr[512] = { 0 };
    const guint8 data[] = { 0, 0, 0, 0, 0x83, 0, 0, 0, 128, 0, 0, 0, 0x80, 0x07, 0, 0 };           /* sectors 128 .. 2048 */
    const guint8 swap[] = { 0, 0, 0, 0, type, 0, 0, 0, 0x00, 0x08, 0, 0, 0x00, 0x08, 0, 0 };       /* 2048 .. 4096 */
    memcpy(mbr + 446, data, sizeof data);
    memcpy(mbr + 462, swap, sizeof swap);
    mbr[510] = 0x55;
    mbr[511] = 0xaa;
    fake_write(w->a.fake, vm, 0, 0, mbr, sizeof mbr);
}

static void
write_header(struct world *w, const struct uuid *vm, const char *signature)
{
    guint8 page[4096] = { 0 };
    page[1024] = 1;
    page[1028] = 255;
    memcpy(page + 1052, "label", 5);
    memcpy(page + 4086, signature, 10);
    fake_write(w->a.fake, vm, 0, PART, page, sizeof page);
}

static void
fill(struct world *w, const struct uuid *vm, guint64 offset, guint8 byte, gsize length)
{
    g_autofree guint8 *data = g_malloc(length);
    memset(data, byte, length);
    fake_write(w->a.fake, vm, 0, offset, data, length);
}

/* The newest point: one byte of the disk, and that its first `length` bytes are the guest's. */
static guint8
newest(struct world *w, const struct uuid *vm, guint64 at, gsize length)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    const struct repl_point *last = &g_array_index(points, struct repl_point, points->len - 1);
    g_autofree char *folder = world_folder(w, vm);
    g_autofree guint8 *disk = g_malloc(DISK);
    struct view *v = view_open(folder, &last->id, &err);
    g_assert_no_error(err);
    g_autoptr(GBytes) expected = fake_instant(w->a.fake, &last->id, 0);
    g_assert_true(block_read(view_disk(v, 0), disk, DISK, 0, &err));
    g_assert_cmpmem(disk, length, g_bytes_get_data(expected, NULL), length);
    view_close(v);
    return disk[at];
}

static guint64
left_out(struct world *w, const struct uuid *vm)
{
    struct repl_statistics s;
    g_assert_true(repl_statistics(w->a.service, vm, 0, &s, NULL, NULL));
    return s.left_out;
}

static void
set_leave_out(struct world *w, const struct uuid *vm, const char *what)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings(w, 250);
    g_free(s.additional);
    s.additional = g_strdup_printf("{\"interval_ms\": 250, \"keep_every_cycle_s\": 3600, \"leave_out\": \"%s\"}", what);
    g_assert_true(repl_modify(w->a.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->a, job);
}

static struct uuid
guest_with_swap(struct world *w)
{
    const struct uuid vm = fake_guest_add(w->a.fake, "swapper", 1, DISK);
    write_table(w, &vm, 0x82);
    write_header(w, &vm, "SWAPSPACE2");
    fill(w, &vm, 512 << 10, 1, 64 << 10);
    fill(w, &vm, PART + 4096, 2, 64 << 10);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    g_assert_cmpint(newest(w, &vm, PART + 4096, DISK), ==, 2); /* all, so far */
    set_leave_out(w, &vm, "swap");
    UNTIL(left_out(w, &vm) == PART - 4096);
    world_wait_cycle(w, &vm);
    return vm;
}

/* Left out: zeros, also after a restart, but for the header. */
static void
test_leave_out(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = guest_with_swap(&w);
    const guint reads = fake_full_reads(w.a.fake);
    g_assert_cmpint(newest(&w, &vm, PART + 4096, PART + 4096), ==, 0);
    for (guint round = 0; round < 2; round++) {
        fill(&w, &vm, PART + 8192, 3, 64 << 10);
        fill(&w, &vm, 600 << 10, (guint8)(4 + round), 4096);
        world_wait_cycle(&w, &vm);
        g_assert_cmpint(newest(&w, &vm, PART + 8192, PART + 4096), ==, 0);
        host_down(&w.a);
        host_up(&w, &w.a);
    }
    write_header(&w, &vm, "SWAPSPACE2"); /* written again, as it was */
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, reads);
    g_assert_cmpuint(left_out(&w, &vm), ==, PART - 4096);
    set_leave_out(&w, &vm, "none");
    UNTIL(left_out(&w, &vm) == 0);
    world_wait_cycle(&w, &vm);
    g_assert_cmpint(newest(&w, &vm, PART + 8192, DISK), ==, 3);
    world_close(&w);
}

/* The guest makes something else of the partition: what was left out before, and not written since, is there again. */
static void
test_swap_gone(void)
{
    for (guint how = 0; how < 3; how++) {
        struct world w = { 0 };
        world_open(&w);
        const struct uuid vm = guest_with_swap(&w);
        fill(&w, &vm, PART + 8192, 3, 64 << 10);
        world_wait_cycle(&w, &vm);
        g_assert_cmpint(newest(&w, &vm, PART + 8192, PART + 4096), ==, 0);
        if (how == 0)
            write_header(&w, &vm, "\0\0\0\0\0\0\0\0\0\0");
        else if (how == 1)
            write_header(&w, &vm, "S1SUSPEND\0");
        else
            write_table(&w, &vm, 0x83);
        UNTIL(left_out(&w, &vm) == 0);
        world_wait_cycle(&w, &vm);
        g_assert_cmpint(newest(&w, &vm, PART + 8192, DISK), ==, 3);
        g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
        world_close(&w);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/policy/bandwidth-changes", test_bandwidth_changes);
    g_test_add_func("/repl/policy/host-bandwidth-changes", test_host_bandwidth_changes);
    g_test_add_func("/repl/policy/churn", test_churn);
    g_test_add_func("/repl/policy/leave-out", test_leave_out);
    g_test_add_func("/repl/policy/swap-gone", test_swap_gone);
    return g_test_run();
}
