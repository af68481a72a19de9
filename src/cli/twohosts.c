/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/twohosts.h"

#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include <string.h>

enum { LOOK_AGAIN_MS = 500 };

/* --- one side ----------------------------------------------------------------------------------------------------------------------- */

guint
side_mode(const struct side *s)
{
    return (guint)cim_get_uint(s->guest, "ReplicationMode");
}

guint
side_state(const struct side *s)
{
    return (guint)cim_get_uint(s->guest, "ReplicationState");
}

bool
side_runs(const struct side *s)
{
    return cim_get_uint(s->guest, "EnabledState") != POWER_OFF;
}

bool
side_look(struct side *s, GError **err)
{
    g_autofree char *id = g_strdup(cim_get_string(s->guest, "Name"));
    struct cim_instance *now = guest_find(s->cli, id, err);
    if (!now)
        return false;
    cim_instance_free(s->guest);
    s->guest = now;
    return true;
}

/* The steps' report is all that is printed. */
bool
side_call(struct side *s, const char *method, struct cim_args *args, const char *title, GError **err)
{
    const gboolean json = s->cli->json;
    s->cli->json = false;
    const bool fine = method_on_guest(s->cli, s->guest, method, args, title, NULL, err);
    s->cli->json = json;
    return fine;
}

bool
side_change(struct side *s, const char *method, guint state, const char *title, GError **err)
{
    const gboolean json = s->cli->json;
    s->cli->json = false;
    const bool fine = method_state(s->cli, s->guest, method, state, title, NULL, err);
    s->cli->json = json;
    return fine;
}

bool
side_wait_off(struct side *s, guint seconds, GError **err)
{
    const gint64 end = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    while (side_look(s, err)) {
        if (!side_runs(s))
            return true;
        if (g_get_monotonic_time() >= end)
            return err_set(err, ERR_TIMEOUT, "'%s' was asked to shut down and still runs on '%s' after %u s.",
                           cim_get_string(s->guest, "ElementName"), s->name, seconds);
        g_usleep(LOOK_AGAIN_MS * 1000);
    }
    return false;
}

/* --- both ---------------------------------------------------------------------------------------------------------------------------- */

static char *
host_name(struct cli *c, GError **err)
{
    g_autoptr(GPtrArray) found = wsman_client_query(c->client, "SELECT ElementName FROM Msvm_ComputerSystem WHERE Name = __SERVER", err);
    if (found && found->len == 0)
        err_set(err, ERR_NOT_FOUND, "The host does not say its name. Look into the log of vmreplicad.");
    return found && found->len ? g_strdup(cim_get_string(found->pdata[0], "ElementName")) : NULL;
}

/* The host at the other end of the guest's first relationship. */
static char *
find_peer(const struct side *here, GError **err)
{
    const char *property = side_mode(here) == MODE_PRIMARY ? "RecoveryConnectionPoint" : "PrimaryConnectionPoint";
    g_autofree char *id = g_strdup_printf("Microsoft:%s\\HVR\\0", cim_get_string(here->guest, "Name"));
    g_autofree char *quoted = guest_quote(id);
    g_autofree char *wql = g_strdup_printf("SELECT * FROM Msvm_ReplicationSettingData WHERE InstanceID = %s", quoted);
    g_autoptr(GPtrArray) found = wsman_client_query(here->cli->client, wql, err);
    const char *peer = found && found->len ? cim_get_string(found->pdata[0], property) : NULL;
    if (found && (!peer || !*peer))
        err_set(err, ERR_INVALID_STATE, "'%s' is not replicated on this host, so its other host is not known. Name it with --peer.",
                cim_get_string(here->guest, "ElementName"));
    return g_strdup(peer && *peer ? peer : NULL);
}

static bool
open_there(struct twohosts *t, const char *peer, GError **err)
{
    struct side *there = &t->there;
    t->remote = *t->here.cli; /* borrows the words of the command line */
    t->remote.client = NULL;
    t->remote.host = peer ? g_strdup(peer) : find_peer(&t->here, err);
    there->cli = &t->remote;
    there->guest = t->remote.host ? guest_find(&t->remote, cim_get_string(t->here.guest, "Name"), err) : NULL;
    if (t->remote.host && !there->guest)
        g_prefix_error(err, "On '%s': ", t->remote.host);
    there->name = there->guest ? host_name(&t->remote, err) : NULL;
    return there->name != NULL;
}

bool
twohosts_open(struct twohosts *t, struct cli *c, const char *vm, const char *peer, GError **err)
{
    memset(t, 0, sizeof *t);
    t->report = json_array();
    t->here.cli = c;
    t->here.guest = guest_find(c, vm, err);
    t->here.name = t->here.guest ? host_name(c, err) : NULL;
    return t->here.name && open_there(t, peer, err);
}

static void
side_clear(struct side *s)
{
    cim_instance_free(s->guest);
    g_free(s->name);
}

void
twohosts_close(struct twohosts *t)
{
    side_clear(&t->here);
    side_clear(&t->there);
    wsman_client_free(t->remote.client);
    g_free(t->remote.host);
    json_decref(t->report);
}

const char *
twohosts_guest(const struct twohosts *t)
{
    return cim_get_string(t->here.guest, "ElementName");
}

/* --- steps --------------------------------------------------------------------------------------------------------------------------- */

static void
tell(struct twohosts *t, const struct step *s, guint i, guint n, const char *host, bool before, gint64 us)
{
    g_autofree char *span = show_span(us);
    if (t->here.cli->json)
        json_array_append_new(t->report, json_pack("{s:s, s:s, s:b, s:f}", "step", s->text, "host", host, "was_done", before, "seconds",
                                                   (double)us / G_USEC_PER_SEC));
    else
        printf("%u/%u %s on '%s': %s%s%s\n", i + 1, n, s->text, host, before ? "done before" : "done (", before ? "" : span,
               before ? "" : ")");
    fflush(stdout);
}

static bool
run_step(struct twohosts *t, const struct step *s, guint i, guint n, void *user, GError **err)
{
    const gint64 begin = g_get_monotonic_time();
    const char *host = s->where(t)->name;
    const bool before = s->done(t);
    if (!before && (!s->run(t, user, err) || !side_look(&t->here, err) || !side_look(&t->there, err))) {
        g_prefix_error(err, "Step %u of %u (%s on '%s'): ", i + 1, n, s->text, host);
        return false;
    }
    tell(t, s, i, n, host, before, g_get_monotonic_time() - begin);
    return true;
}

bool
twohosts_run(struct twohosts *t, const struct step *steps, guint n, void *user, GError **err)
{
    bool fine = true;
    for (guint i = 0; i < n && fine; i++)
        fine = run_step(t, &steps[i], i, n, user, err);
    if (t->here.cli->json)
        show_print_json(json_incref(t->report));
    return fine;
}
