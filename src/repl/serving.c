/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/serving.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/core.h"
#include "vm/domxml.h"

static const gint64 LOOK_US = G_USEC_PER_SEC;
static const gint64 WATCH_US = (DOMXML_RECONNECT_S + 30) * (gint64)G_USEC_PER_SEC;

void
serving_free(gpointer serving)
{
    struct serving *s = serving;
    g_free(s->socket);
    g_free(s);
}

static void
forget(struct relation *rel, const char *socket)
{
    for (guint i = 0; i < rel->in.servers->len; i++)
        if (g_str_equal(((const struct serving *)rel->in.servers->pdata[i])->socket, socket)) {
            g_ptr_array_remove_index_fast(rel->in.servers, i);
            return;
        }
}

static void
remember(struct relation *rel, const struct serving *s)
{
    forget(rel, s->socket);
    g_ptr_array_add(rel->in.servers, g_memdup2(s, sizeof *s));
    HOLD(&rel->lock);
    if (rel->in.serve)
        task_now(rel->in.serve);
}

/* It was stopped while nothing served it. */
static void
let_go_on(struct core *c, struct relation *rel, const struct uuid *guest)
{
    g_autoptr(GError) why = NULL;
    bool stalled = false;
    if (!c->vm->resume_stalled(c->vms, guest, &stalled, &why) && !err_is(why, ERR_NO_SUCH_INSTANCE))
        log_warning("Guest '%s' may be stopped by a failed read, and cannot be looked at: %s", rel->r.name, why->message);
    else if (stalled)
        log_info("Guest '%s' was stopped when its recovery point could not be read, and goes on now.", rel->r.name);
}

bool
serving_start(struct relation *rel, const struct uuid *point, const char *socket, const struct uuid *guest, GError **err)
{
    struct core *c = rel->core;
    const struct serve_config config = core_serve(c);
    bool running;
    HOLD(&rel->in.serving);
    if (!c->vm->serve_running(socket, &running, err))
        return false;
    const gint64 until = running ? 0 : g_get_monotonic_time() + WATCH_US;
    if (!c->vm->serve_start(&config, rel->r.folder, point, socket, err))
        return false;
    remember(rel, &(struct serving){ g_strdup(socket), *point, *guest, until });
    return true;
}

bool
serving_stop(struct relation *rel, const char *socket, GError **err)
{
    HOLD(&rel->in.serving);
    forget(rel, socket);
    return rel->core->vm->serve_stop(socket, err);
}

static bool
keep_one(struct core *c, struct relation *rel, struct serving *s, GError **err)
{
    const struct serve_config config = core_serve(c);
    bool running;
    if (!c->vm->serve_running(s->socket, &running, err))
        return false;
    if (!running) {
        if (!c->vm->serve_start(&config, rel->r.folder, &s->point, s->socket, err))
            return false;
        log_warning("Guest '%s': the server of its recovery point had ended, and was started again.", rel->r.name);
        s->until = g_get_monotonic_time() + WATCH_US;
    }
    if (g_get_monotonic_time() < s->until)
        let_go_on(c, rel, &s->guest);
    return true;
}

static void
note(struct relation *rel, const GError *why)
{
    HOLD(&rel->lock);
    if (why && !rel->in.unserved)
        log_warning("Guest '%s': its recovery point cannot be read: %s", rel->r.name, why->message);
    g_free(rel->in.unserved);
    rel->in.unserved = why ? g_strdup_printf("The recovery point that the guest stands on cannot be read: %s", why->message) : NULL;
}

gint64
serving_task(void *user)
{
    struct relation *rel = user;
    g_autoptr(GError) why = NULL;
    HOLD(&rel->in.serving);
    for (guint i = 0; !why && i < rel->in.servers->len; i++)
        keep_one(rel->core, rel, rel->in.servers->pdata[i], &why);
    note(rel, why);
    return rel->in.servers->len ? g_get_monotonic_time() + LOOK_US : SCHEDULE_IDLE;
}
