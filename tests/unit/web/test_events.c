/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "fake_watch.h"
#include "site.h"
#include "web/events.h"

#include <string.h>
#include <sys/socket.h>

/* Server-sent events over real HTTP, with events that the test makes. */

#define EVENTS "/api/v1/events?class=Msvm_ComputerSystem"

static struct cim_instance *
guest(const char *name, guint state)
{
    struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_ComputerSystem"));
    cim_set_string(i, "Name", name);
    cim_set_uint(i, "EnabledState", state);
    return i;
}

static int
listen_to(const struct site *s, const char *target, const char *headers, GString *got)
{
    int fd = site_connect(s);
    site_send(fd, "GET", target, headers, NULL);
    site_expect(fd, got, ": events begin\n\n");
    return fd;
}

/* The data of the first event of that name. */
static json_t *
data_of(const GString *got, const char *name)
{
    g_autofree char *line = g_strdup_printf("event: %s\n", name);
    const char *at = strstr(got->str, line), *data = at ? strstr(at, "data: ") : NULL;
    g_assert_nonnull(data);
    json_t *j = json_loads(data + strlen("data: "), JSON_DISABLE_EOF_CHECK, NULL);
    g_assert_nonnull(j);
    return j;
}

static void
test_stream(void)
{
    struct site s;
    struct cim_watch *w = fake_watch_new();
    g_autoptr(GString) got = g_string_new(NULL);
    site_open(&s, w, 0);
    auto_fd fd = listen_to(&s, EVENTS "&where=TargetInstance.EnabledState+%3D+2&within=5&kind=modified", BOSS, got);
    g_autofree char *query = fake_watch_query(w);
    g_assert_cmpstr(query, ==,
                    "SELECT * FROM __InstanceModificationEvent WITHIN 5 WHERE TargetInstance ISA 'Msvm_ComputerSystem' AND "
                    "(TargetInstance.EnabledState = 2)");
    g_assert_nonnull(strstr(got->str, "HTTP/1.1 200"));
    g_assert_nonnull(strstr(got->str, "Content-Type: text/event-stream\r\n"));
    g_assert_nonnull(strstr(got->str, "Cache-Control: no-store\r\n"));
    g_assert_null(strstr(got->str, "event: missed"));
    fake_watch_post(w, CIM_MODIFIED, guest("A", 2), guest("A", 3));
    site_expect(fd, got, "event: modified\nid: ");
    site_expect(fd, got, "}\n\n");
    json_t *j = data_of(got, "modified");
    g_assert_cmpint(json_integer_value(json_object_get(j, "sequence")), ==, 1);
    g_assert_cmpstr(json_string_value(json_object_get(j, "time")), ==, "2026-11-18T11:06:40Z");
    g_assert_cmpint(json_integer_value(json_object_get(json_object_get(j, "instance"), "EnabledState")), ==, 2);
    g_assert_cmpint(json_integer_value(json_object_get(json_object_get(j, "previous"), "EnabledState")), ==, 3);
    g_assert_cmpstr(json_string_value(json_object_get(json_object_get(j, "instance"), "@id")), ==, V2 "Msvm_ComputerSystem/A");
    json_decref(j);
    fake_watch_post(w, CIM_DELETED, NULL, guest("B", 3));
    site_expect(fd, got, "event: deleted\n");
    fake_watch_lose(w, 7);
    site_expect(fd, got, "event: lost\ndata: {\"count\":7}\n\n");
    site_close(&s);
    fake_watch_free(w);
}

/* One that comes again is told that nothing was kept, and whether the daemon is the same. */
static void
test_again(void)
{
    struct site s;
    struct cim_watch *w = fake_watch_new();
    g_autoptr(GString) got = g_string_new(NULL), again = g_string_new(NULL), other = g_string_new(NULL);
    site_open(&s, w, 0);
    auto_fd fd = listen_to(&s, EVENTS, BOSS, got);
    fake_watch_post(w, CIM_CREATED, guest("A", 2), NULL);
    site_expect(fd, got, "}\n\n");
    char *id = strstr(got->str, "\nid: ") + strlen("\nid: ");
    g_autofree char *header = g_strdup_printf(BOSS "Last-Event-ID: %.*s\r\n", (int)strcspn(id, "\n"), id);
    auto_fd second = listen_to(&s, EVENTS, header, again);
    site_expect(second, again, "}\n\n");
    json_t *j = data_of(again, "missed");
    g_assert_true(json_is_false(json_object_get(j, "restarted")));
    json_decref(j);
    auto_fd third = listen_to(&s, EVENTS, BOSS "Last-Event-ID: elsewhere-5\r\n", other);
    site_expect(third, other, "}\n\n");
    j = data_of(other, "missed");
    g_assert_cmpstr(json_string_value(json_object_get(j, "after")), ==, "elsewhere-5");
    g_assert_true(json_is_true(json_object_get(j, "restarted")));
    json_decref(j);
    site_close(&s);
    fake_watch_free(w);
}

static void
test_many(void)
{
    struct site s;
    struct cim_watch *w = fake_watch_new();
    int fds[EVENTS_PER_USER];
    GString *got[EVENTS_PER_USER];
    answer_auto refused = {0};
    g_autoptr(GString) theirs = g_string_new(NULL), later = g_string_new(NULL);
    site_open(&s, w, 0);
    for (guint i = 0; i < EVENTS_PER_USER; i++)
        fds[i] = listen_to(&s, EVENTS, BOSS, got[i] = g_string_new(NULL));
    site_call(&s, "GET", EVENTS, BOSS, NULL, &refused);
    g_assert_cmpuint(refused.status, ==, 429);
    g_assert_cmpstr(answer_text(&refused, "code"), ==, "too-many-streams");
    g_assert_nonnull(strstr(refused.head, "Retry-After: "));
    auto_fd guest_fd = listen_to(&s, EVENTS, GUEST, theirs);
    fake_watch_post(w, CIM_CREATED, guest("A", 2), NULL);
    for (guint i = 0; i < EVENTS_PER_USER; i++)
        site_expect(fds[i], got[i], "event: created\n");
    site_expect(guest_fd, theirs, "event: created\n");
    fake_watch_wait(w, EVENTS_PER_USER + 1);
    close(fds[0]); /* hanging up makes room */
    fake_watch_wait(w, EVENTS_PER_USER);
    fds[0] = listen_to(&s, EVENTS, BOSS, later);
    site_close(&s); /* with everybody still there */
    for (guint i = 0; i < EVENTS_PER_USER; i++) {
        close(fds[i]);
        g_string_free(got[i], TRUE);
    }
    fake_watch_free(w);
}

static void
test_refused(void)
{
    struct site s;
    struct cim_watch *w = fake_watch_new();
    static const struct {
        const char *target, *code;
        guint status;
    } rows[] = {
        {"/api/v1/events", "invalid-parameter", 400},
        {"/api/v1/events?class=Msvm_Nothing", "no-such-class", 404},
        {EVENTS "&kind=other", "invalid-parameter", 400},
        {EVENTS "&within=0", "invalid-parameter", 400},
        {EVENTS "&within=3601", "invalid-parameter", 400},
        {EVENTS "&nothing=1", "invalid-parameter", 400},
    };
    site_open(&s, w, 0);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        answer_auto a = {0};
        site_call(&s, "GET", rows[i].target, BOSS, NULL, &a);
        g_assert_cmpuint(a.status, ==, rows[i].status);
        g_assert_cmpstr(answer_text(&a, "code"), ==, rows[i].code);
    }
    for (guint i = 0; i <= EVENTS_PER_USER; i++) { /* a refusal takes no place */
        answer_auto a = {0};
        site_call(&s, "GET", EVENTS "&where=bad", BOSS, NULL, &a);
        g_assert_cmpuint(a.status, ==, 400);
        g_assert_cmpstr(answer_text(&a, "code"), ==, "bad-query");
        g_assert_nonnull(strstr(answer_text(&a, "detail"), "AND (bad)': It is bad at position 7."));
    }
    site_close(&s);
    fake_watch_free(w);
}

/* A reader that does not read: its queue is bounded, it is cut off, and nobody else waits for it. */
static void
test_slow(void)
{
    struct site s;
    struct cim_watch *w = fake_watch_new();
    int small = 2048;
    g_autoptr(GString) got = g_string_new(NULL);
    site_open(&s, w, 3);
    auto_fd slow = site_connect(&s);
    setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    site_send(slow, "GET", EVENTS, GUEST, NULL);
    auto_fd fd = listen_to(&s, EVENTS, BOSS, got);
    fake_watch_wait(w, 2);
    gint64 until = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    for (guint64 last = 0; fake_watch_count(w) > 1;) { /* as much as the sockets between take */
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        for (guint i = 0; i < 100; i++)
            last = fake_watch_post(w, CIM_MODIFIED, guest("A", 2), guest("A", 3));
        g_autofree char *sequence = g_strdup_printf("\"sequence\":%" G_GUINT64_FORMAT ",", last);
        g_string_truncate(got, 0);
        site_expect(fd, got, sequence); /* the other one goes on reading */
    }
    g_assert_null(strstr(got->str, "event: lost"));
    fake_watch_post(w, CIM_CREATED, guest("Z", 2), NULL);
    site_expect(fd, got, "event: created\n");
    site_close(&s);
    fake_watch_free(w);
}

/* A comment comes while nothing happens, so that both sides see that the other is there. */
static void
test_beat(void)
{
    struct site s;
    struct cim_watch *w = fake_watch_new();
    g_autoptr(GString) got = g_string_new(NULL);
    site_open(&s, w, 0);
    auto_fd fd = listen_to(&s, EVENTS, BOSS, got);
    site_expect(fd, got, ": beat\n\n");
    site_close(&s);
    fake_watch_free(w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/web/events/stream", test_stream);
    g_test_add_func("/web/events/again", test_again);
    g_test_add_func("/web/events/many", test_many);
    g_test_add_func("/web/events/refused", test_refused);
    g_test_add_func("/web/events/slow", test_slow);
    g_test_add_func("/web/events/beat", test_beat);
    return g_test_run();
}
