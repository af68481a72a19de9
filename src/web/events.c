/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "web/events.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/uuid.h"
#include "web/call.h"
#include "web/json.h"
#include "web/problem.h"

#include <stdlib.h>
#include <string.h>

struct events {
    struct cim_watch *watch;
    char epoch[UUID_TEXT]; /* of this daemon's life: sequence numbers begin anew */
    GMutex lock;
    GHashTable *users; /* name -> number of streams, as GUINT_TO_POINTER */
    guint count;
};

/* --- how many ----------------------------------------------------------------------------------------------------------------------- */

static bool
enter(struct events *e, const char *user)
{
    HOLD(&e->lock);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(e->users, user));
    if (n >= EVENTS_PER_USER || e->count >= EVENTS_IN_ALL)
        return false;
    g_hash_table_replace(e->users, g_strdup(user), GUINT_TO_POINTER(n + 1));
    e->count++;
    return true;
}

static void
leave(struct events *e, const char *user)
{
    HOLD(&e->lock);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(e->users, user));
    if (n > 1)
        g_hash_table_replace(e->users, g_strdup(user), GUINT_TO_POINTER(n - 1));
    else
        g_hash_table_remove(e->users, user);
    e->count--;
}

/* --- one stream --------------------------------------------------------------------------------------------------------------------- */

struct stream {
    struct events *events;
    struct cim_watcher *watcher;
    char *user;
    GString *out;     /* not yet sent; at most one event */
    gint64 beat, end; /* monotonic */
};

static void
append_event(struct stream *s, const char *name, const char *id, json_t *takes)
{
    char *data = json_dumps(takes, JSON_COMPACT); /* one line */
    g_string_append_printf(s->out, "event: %s\n", name);
    if (id)
        g_string_append_printf(s->out, "id: %s\n", id);
    g_string_append_printf(s->out, "data: %s\n\n", data);
    free(data);
    json_decref(takes);
}

static void
append_lost(struct stream *s, guint count)
{
    json_t *o = json_object();
    json_object_set_new(o, "count", json_integer(count));
    append_event(s, "lost", NULL, o);
}

static json_t *
instance_or_null(const struct cim_instance *i)
{
    return i ? web_json_instance(i, NULL) : json_null();
}

static void
append_change(struct stream *s, const struct cim_event *e)
{
    static const char *const names[] = {[CIM_CREATED] = "created", [CIM_MODIFIED] = "modified", [CIM_DELETED] = "deleted"};
    g_autofree char *id = g_strdup_printf("%s-%" G_GUINT64_FORMAT, s->events->epoch, e->sequence);
    struct cim_value time = cim_time(e->time_us);
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(names[e->kind]));
    json_object_set_new(o, "sequence", json_integer((json_int_t)e->sequence));
    json_object_set_new(o, "time", web_json_value(&time, NULL, NULL));
    json_object_set_new(o, "instance", instance_or_null(e->now ? e->now : e->before));
    json_object_set_new(o, "previous", instance_or_null(e->before));
    append_event(s, names[e->kind], id, o);
}

static void
fill(struct stream *s)
{
    guint lost = 0;
    struct cim_event *e = cim_watcher_next(s->watcher, G_USEC_PER_SEC / 2, &lost);
    gint64 now = g_get_monotonic_time();
    if (lost > 0)
        append_lost(s, lost);
    if (e)
        append_change(s, e);
    else if (now >= s->beat)
        g_string_append(s->out, ": beat\n\n");
    if (s->out->len > 0)
        s->beat = now + EVENTS_BEAT_S * G_USEC_PER_SEC;
    cim_event_unref(e);
}

static ssize_t
next(void *source, char *buffer, size_t max)
{
    struct stream *s = source;
    if (s->out->len == 0 && g_get_monotonic_time() >= s->end)
        return -1;
    if (s->out->len == 0)
        fill(s);
    size_t n = MIN(max, s->out->len);
    memcpy(buffer, s->out->str, n);
    g_string_erase(s->out, 0, (gssize)n);
    return (ssize_t)n;
}

static void
wake(void *source)
{
    struct stream *s = source;
    cim_watcher_wake(s->watcher);
}

static void
stream_free(void *source)
{
    struct stream *s = source;
    leave(s->events, s->user); /* first: whoever sees that the watcher is gone finds room */
    cim_watcher_close(s->watcher);
    g_string_free(s->out, TRUE);
    g_free(s->user);
    g_free(s);
}

static const struct http_source_ops ops = {next, wake, stream_free};

/* --- a request for one -------------------------------------------------------------------------------------------------------------- */

static const char *
event_class(const struct url *u, GError **err)
{
    static const char *const kinds[][2] = {
        {"created", "__InstanceCreationEvent"}, {"modified", "__InstanceModificationEvent"}, {"deleted", "__InstanceDeletionEvent"}};
    const char *kind = url_query(u, "kind");
    for (guint i = 0; kind && i < G_N_ELEMENTS(kinds); i++)
        if (strcmp(kind, kinds[i][0]) == 0)
            return kinds[i][1];
    if (!kind)
        return "__InstanceOperationEvent";
    err_set(err, ERR_INVALID_PARAMETER, "'kind' is '%.40s', but must be created, modified or deleted.", kind);
    return NULL;
}

/* The event query; *class: whose instances. */
static char *
read_wish(const struct url *u, const struct cim_class **class, GError **err)
{
    const char *name = url_query(u, "class"), *where = url_query(u, "where"), *within = url_query(u, "within");
    const char *from = url_check_query(u, "class where kind within", err) ? event_class(u, err) : NULL;
    guint64 seconds = 1;
    if (!from)
        return NULL;
    if (!name)
        err_set(err, ERR_INVALID_PARAMETER, "The parameter 'class' is missing: say whose events are wanted.");
    else if (!(*class = cim_class_find(NULL, name)))
        err_set(err, ERR_NO_SUCH_CLASS, "There is no class '%.80s'. GET %s/classes lists them.", name, URL_BASE);
    else if (within && !g_ascii_string_to_unsigned(within, 10, 1, 3600, &seconds, NULL))
        err_set(err, ERR_INVALID_PARAMETER, "'within' is '%.20s', but must be a number of seconds from 1 to 3600.", within);
    else
        return g_strdup_printf("SELECT * FROM %s WITHIN %u WHERE TargetInstance ISA '%s'%s%s%s", from, (guint)seconds, (*class)->name,
                               where ? " AND (" : "", where ? where : "", where ? ")" : "");
    return NULL;
}

static void
append_missed(struct stream *s, const char *after)
{
    json_t *o = json_object();
    json_object_set_new(o, "after", web_json_string(after));
    json_object_set_new(o, "restarted", json_boolean(!g_str_has_prefix(after, s->events->epoch)));
    json_object_set_new(o, "detail", json_string("Events since then were not kept. Read the list again."));
    append_event(s, "missed", NULL, o);
}

static struct stream *
stream_new(struct events *e, const char *user, struct cim_watcher *watcher)
{
    struct stream *s = g_new0(struct stream, 1);
    gint64 now = g_get_monotonic_time();
    s->events = e;
    s->watcher = watcher;
    s->user = g_strdup(user);
    s->out = g_string_new("retry: 3000\n: events begin\n\n");
    s->beat = now + EVENTS_BEAT_S * G_USEC_PER_SEC;
    s->end = now + (gint64)EVENTS_MAX_S * G_USEC_PER_SEC;
    return s;
}

static bool
too_many(const struct web_call *c)
{
    http_respond_header(c->response, "Retry-After", "30");
    problem_respond_as(c->response, 429, "too-many-streams", "Too many streams",
                       "This user, or all users together, listen to as many events as this host permits.",
                       "Close a stream that is not needed; one connection per class is enough.");
    return true;
}

static bool
events_run(void *user_data, const struct web_call *c, GError **err)
{
    struct events *e = user_data;
    const char *user = c->caller->user ? c->caller->user : "", *after = http_request_header(c->request, "Last-Event-ID");
    const struct cim_class *class = NULL;
    g_autofree char *query = read_wish(c->url, &class, err);
    if (!query)
        return false;
    if (!enter(e, user))
        return too_many(c);
    struct cim_watcher *watcher = cim_watch_open(e->watch, c->caller, class->ns, query, EVENTS_QUEUE, err);
    if (!watcher) {
        leave(e, user);
        g_prefix_error(err, "In '%.400s': ", query);
        return false;
    }
    struct stream *s = stream_new(e, user, watcher);
    if (after)
        append_missed(s, after);
    http_respond_header(c->response, "Cache-Control", "no-store");
    http_respond_live(c->response, 200, "text/event-stream", &ops, s);
    return true;
}

static void
events_free(void *user)
{
    struct events *e = user;
    g_assert(e->count == 0);
    g_hash_table_unref(e->users);
    g_mutex_clear(&e->lock);
    g_free(e);
}

void
events_offer(struct web *w, struct cim_watch *watch)
{
    static const struct web_events_ops answers = {events_run, events_free};
    struct events *e = g_new0(struct events, 1);
    struct uuid id = uuid_random();
    e->watch = watch;
    uuid_format(&id, e->epoch);
    e->epoch[8] = '\0';
    g_mutex_init(&e->lock);
    e->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    web_set_events(w, &answers, e);
}
