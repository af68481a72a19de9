/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake.h"

#include "base/err.h"
#include "cim/eventquery.h"
#include "cim/watch.h"

#include <string.h>

#define ALL "SELECT * FROM __InstanceOperationEvent WITHIN 3600 WHERE TargetInstance ISA 'Msvm_ComputerSystem'"
static const gint64 LONG_US = 10 * (gint64)G_USEC_PER_SEC;

struct stage {
    struct fake *f;
    struct cim_watch *w;
};

static struct stage
open_stage(guint guests)
{
    struct stage s = {.f = fake_new(guests)};
    s.w = cim_watch_new(s.f->broker);
    return s;
}

static void
close_stage(struct stage *s)
{
    cim_watch_free(s->w);
    fake_free(s->f);
}

static struct cim_watcher *
watch(struct stage *s, const char *query, guint queue)
{
    g_autoptr(GError) err = NULL;
    struct cim_watcher *r = cim_watch_open(s->w, &fake_viewer, FAKE_NS, query, queue, &err);
    g_assert_no_error(err);
    return r;
}

static void
set_guests(struct stage *s, guint count)
{
    g_atomic_int_set((gint *)&s->f->guests, (gint)count);
    cim_watch_poke(s->w);
}

static void
set_state(struct stage *s, guint state)
{
    g_atomic_int_set((gint *)&s->f->state, (gint)state);
    cim_watch_poke(s->w);
}

static void
expect(struct cim_watcher *r, enum cim_event_kind kind, const char *name)
{
    guint lost;
    struct cim_event *e = cim_watcher_next(r, LONG_US, &lost);
    g_assert_nonnull(e);
    g_assert_cmpint(e->kind, ==, kind);
    g_assert_cmpstr(cim_get_string(e->now ? e->now : e->before, "ElementName"), ==, name);
    g_assert_true((e->now == NULL) == (kind == CIM_DELETED));
    g_assert_true((e->before == NULL) == (kind == CIM_CREATED));
    g_assert_cmpint(e->time_us, >, 0);
    cim_event_unref(e);
}

static void
test_kinds(void)
{
    struct stage s = open_stage(1);
    struct cim_watcher *r = watch(&s, ALL, 10);
    g_assert_null(cim_watcher_next(r, 0, NULL)); /* what was there is no event */
    set_guests(&s, 2);
    expect(r, CIM_CREATED, "guest-1");
    set_state(&s, 9);
    expect(r, CIM_MODIFIED, "guest-0");
    set_guests(&s, 1);
    expect(r, CIM_DELETED, "guest-1");
    cim_watcher_close(r);
    close_stage(&s);
}

/* Each gets what its filter asks for. */
static void
test_filters(void)
{
    struct stage s = open_stage(1);
    struct cim_watcher *to_nine = watch(&s,
        "SELECT * FROM __InstanceModificationEvent WITHIN 0.5 WHERE TargetInstance ISA 'Msvm_ComputerSystem' AND "
        "TargetInstance.EnabledState = 9 AND PreviousInstance.EnabledState <> 9", 10);
    struct cim_watcher *gone = watch(&s, "select * from CIM_InstDeletion where SourceInstance isa \"CIM_ComputerSystem\"", 10);
    struct cim_watcher *all = watch(&s, ALL, 10);
    set_state(&s, 8);
    expect(all, CIM_MODIFIED, "guest-0");
    set_state(&s, 9);
    expect(to_nine, CIM_MODIFIED, "guest-0");
    set_guests(&s, 0);
    expect(gone, CIM_DELETED, "guest-0");
    g_assert_null(cim_watcher_next(to_nine, 0, NULL));
    expect(all, CIM_MODIFIED, "guest-0");
    expect(all, CIM_DELETED, "guest-0");
    cim_watcher_close(to_nine);
    cim_watcher_close(gone);
    cim_watcher_close(all);
    close_stage(&s);
}

/* A slow reader loses the oldest and is told how many. */
static void
test_slow(void)
{
    struct stage s = open_stage(0);
    struct cim_watcher *slow = watch(&s, ALL, 3), *last = watch(&s, ALL, 100);
    guint lost = 0;
    set_guests(&s, 10);
    for (guint n = 0; n < 10; n++)
        cim_event_unref(cim_watcher_next(last, LONG_US, NULL));
    for (guint n = 0; n < 3; n++) {
        guint now;
        struct cim_event *e = cim_watcher_next(slow, LONG_US, &now);
        g_assert_nonnull(e);
        lost += now;
        cim_event_unref(e);
    }
    g_assert_cmpuint(lost, ==, 7);
    g_assert_null(cim_watcher_next(slow, 0, NULL));
    cim_watcher_close(slow);
    cim_watcher_close(last);
    close_stage(&s);
}

static gpointer
wake_it(gpointer r)
{
    cim_watcher_wake(r);
    return NULL;
}

static void
test_wake(void)
{
    struct stage s = open_stage(1);
    struct cim_watcher *r = watch(&s, ALL, 3);
    GThread *t = g_thread_new("wake", wake_it, r);
    g_assert_null(cim_watcher_next(r, LONG_US * 6, NULL));
    g_thread_join(t);
    cim_watcher_close(r);
    close_stage(&s);
}

/* A provider that cannot answer for a while makes no events, least of all that all are gone. */
static void
test_broken(void)
{
    struct stage s = open_stage(1);
    struct cim_watcher *r = watch(&s, ALL, 10);
    g_atomic_int_set(&s.f->broken, 1);
    cim_watch_poke(s.w);
    g_autoptr(GError) err = NULL;
    g_assert_null(cim_watch_open(s.w, &fake_viewer, FAKE_NS, ALL, 1, &err));
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    g_atomic_int_set(&s.f->broken, 0);
    set_guests(&s, 2);
    expect(r, CIM_CREATED, "guest-1");
    cim_watcher_close(r);
    close_stage(&s);
}

static void
refused(const char *query, const struct cim_caller *caller, enum err_code code, const char *word)
{
    struct stage s = open_stage(1);
    g_autoptr(GError) err = NULL;
    g_assert_null(cim_watch_open(s.w, caller, FAKE_NS, query, 1, &err));
    if (!err_is(err, code) || !strstr(err->message, word))
        g_error("'%s': %s", query, err->message);
    close_stage(&s);
}

static void
test_refusals(void)
{
    refused(ALL, &fake_nobody, ERR_ACCESS_DENIED, "denied");
    refused("SELECT * FROM Msvm_ComputerSystem", &fake_viewer, ERR_BAD_QUERY, "position 15");
    refused("SELECT a FROM __InstanceCreationEvent", &fake_viewer, ERR_BAD_QUERY, "position 8");
    refused("SELECT * FROM __InstanceCreationEvent", &fake_viewer, ERR_BAD_QUERY, "ISA");
    refused("SELECT * FROM __InstanceCreationEvent WITHIN x WHERE TargetInstance ISA 'Msvm_ComputerSystem'", &fake_viewer, ERR_BAD_QUERY,
            "WITHIN");
    refused("SELECT * FROM __InstanceCreationEvent WITHIN 0 WHERE TargetInstance ISA 'Msvm_ComputerSystem'", &fake_viewer, ERR_BAD_QUERY,
            "WITHIN");
    refused("SELECT * FROM __InstanceCreationEvent WHERE TargetInstance.Name = 'x'", &fake_viewer, ERR_BAD_QUERY, "ISA");
    refused("SELECT * FROM __InstanceCreationEvent WHERE NOT TargetInstance ISA 'Msvm_ComputerSystem'", &fake_viewer, ERR_BAD_QUERY, "ISA");
    refused("SELECT * FROM __InstanceCreationEvent WHERE TargetInstance ISA 'Nothing'", &fake_viewer, ERR_BAD_QUERY, "Nothing");
    refused("SELECT * FROM __InstanceCreationEvent WHERE TargetInstance ISA 'Msvm_ComputerSystem' GROUP WITHIN 5", &fake_viewer,
            ERR_BAD_QUERY, "GROUP");
    refused("SELECT * FROM CIM_InstCreation WHERE TargetInstance ISA 'Msvm_ComputerSystem'", &fake_viewer, ERR_BAD_QUERY, "SourceInstance");
    g_assert_false(event_query_is("SELECT * FROM Msvm_ComputerSystem"));
    g_assert_true(event_query_is("select * from __instancecreationevent"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/watch/kinds", test_kinds);
    g_test_add_func("/cim/watch/filters", test_filters);
    g_test_add_func("/cim/watch/slow", test_slow);
    g_test_add_func("/cim/watch/wake", test_wake);
    g_test_add_func("/cim/watch/broken", test_broken);
    g_test_add_func("/cim/watch/refusals", test_refusals);
    return g_test_run();
}
