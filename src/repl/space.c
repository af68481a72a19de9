/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/space.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/core.h"
#include "repl/maintain.h"
#include "repl/testvm.h"

#include <sys/stat.h>

static const gint64 MEASURE_US = 60 * (gint64)G_USEC_PER_SEC;
static const gint64 DAY_US = 86400 * (gint64)G_USEC_PER_SEC;
enum { WARN_DAYS = 7, ADMIT_PART = 4, MIB = 1 << 20 };

static guint64
reserve_of(const struct relation *rel, guint64 total)
{
    return total / 100 * rel->core->config.reserve_percent;
}

/* ---- how much, how fast ---- */

/* Until there is an hour of measurements, what arrived in the last week says how fast it grows. */
static bool
slope_of_points(struct store *store, double *per_day)
{
    g_autoptr(GArray) logs = store_logs(store);
    g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(struct forecast_sample));
    struct forecast_sample at = { 0 };
    const gint64 newest = logs->len ? g_array_index(logs, struct store_log, logs->len - 1).received_us : 0;
    for (guint i = 0; i < logs->len; i++) {
        const struct store_log *log = &g_array_index(logs, struct store_log, i);
        at.bytes += log->file_bytes;
        if (log->received_us <= at.us || newest - log->received_us > WARN_DAYS * DAY_US)
            continue;
        at.us = log->received_us;
        g_array_append_val(samples, at);
    }
    return forecast_slope((struct forecast_sample *)(gpointer)samples->data, samples->len, per_day);
}

/* Of all replicas on that file system. */
static double
growth_on(struct core *c, guint64 device)
{
    g_autoptr(GPtrArray) all = core_list(c);
    double sum = 0;
    for (guint i = 0; i < all->len; i++) {
        struct relation *rel = all->pdata[i];
        HOLD(&rel->lock);
        if (rel->side == SIDE_RECEIVER && rel->in.space.device == device && rel->in.space.grows)
            sum += rel->in.space.per_day;
    }
    return sum;
}

static void
measure_growth(struct relation *rel, gint64 now_us)
{
    const guint64 bytes = store_disk_bytes(rel->in.store);
    double points = 0;
    const bool from_points = slope_of_points(rel->in.store, &points);
    guint64 device;
    {
        HOLD(&rel->lock);
        struct space *s = &rel->in.space;
        s->bytes = bytes;
        s->measured_us = now_us;
        forecast_add(&s->used, now_us, bytes);
        s->grows = forecast_slope(s->used.sample, s->used.count, &s->per_day);
        if (!s->grows && from_points) {
            s->grows = true;
            s->per_day = points;
        }
        device = s->device;
    }
    const double growth = growth_on(rel->core, device);
    HOLD(&rel->lock);
    rel->in.space.days = forecast_days(rel->in.space.free, growth);
}

/* *low: below the low-water mark. */
static bool
measure(struct relation *rel, bool *low, GError **err)
{
    const gint64 now = g_get_monotonic_time();
    guint64 free, total;
    struct stat st;
    bool due;
    if (!file_space(rel->r.folder, &free, &total, err))
        return false;
    if (stat(rel->r.folder, &st) != 0)
        return err_errno(err, "Cannot look at '%s'", rel->r.folder);
    {
        HOLD(&rel->lock);
        struct space *s = &rel->in.space;
        due = !s->measured_us || now - s->measured_us >= MEASURE_US;
        s->free = free;
        s->total = total;
        s->device = (guint64)st.st_dev;
    }
    if (due)
        measure_growth(rel, now);
    *low = free < reserve_of(rel, total);
    return true;
}

/* ---- too little ---- */

static bool
note_given_up(struct relation *rel, const struct store_log *gone, GError **err)
{
    char id[UUID_TEXT];
    g_autofree char *time = clock_iso8601(gone->capture_us);
    HOLD(&rel->lock);
    log_warning("Guest '%s': recovery point '%s' of %s was given up, because the file system of '%s' has only %" G_GUINT64_FORMAT
                " MiB left.", rel->r.name, uuid_format(&gone->id, id), time, rel->r.folder, rel->in.space.free / MIB);
    rel->r.given_up++;
    rel->r.given_up_us = clock_wall_us();
    rel->r.given_up_capture_us = gone->capture_us;
    rel->in.space.measured_us = 0; /* what was measured is past */
    return relation_save_locked(rel, err);
}

static void
set_stuck(struct relation *rel, bool stuck)
{
    HOLD(&rel->lock);
    if (stuck && !rel->in.space.stuck)
        log_warning("Guest '%s': the file system of '%s' is nearly full, and no recovery point may be given up.", rel->r.name,
                    rel->r.folder);
    rel->in.space.stuck = stuck;
}

/* Half a log that nobody is sending now is room that a merge may need; it comes again. */
static void
drop_half_log(struct relation *rel)
{
    bool idle;
    {
        HOLD(&rel->lock);
        idle = rel->in.uploads == 0;
    }
    if (idle)
        store_drop_incoming(rel->in.store, NULL);
}

static bool
give_up_by(struct relation *rel, const struct retention_rules *rules, bool *more, GError **err)
{
    g_autoptr(GHashTable) pins = testvm_pins(rel);
    g_autoptr(GError) why = NULL;
    struct store_log gone;
    bool found = false;
    if (retention_give_up(rel->in.store, rules, pins, &rel->halt, &gone, &found, &why)) {
        set_stuck(rel, !found);
        *more = found;
        return !found || note_given_up(rel, &gone, err);
    }
    if (err_is(why, ERR_NO_SPACE))
        drop_half_log(rel);
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

/* Every log is a point while the rest of the group is not known (maintain.h).  Before one goes that the guest's own rules keep, those go
 * that they do not.  A merge that fails, for want of the very space for instance, leaves giving up. */
static bool
give_up(struct relation *rel, bool *more, GError **err)
{
    g_autoptr(GError) unknown = NULL, why = NULL;
    retention_rules_auto rules = maintain_rules(rel, &unknown);
    bool low = true;
    if (!unknown)
        return give_up_by(rel, &rules, more, err);
    retention_rules_auto own = maintain_own_rules(rel);
    const bool merged = maintain_merge(rel, &own, more, &why);
    if (err_is(why, ERR_CANCELLED)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (merged && !*more && !measure(rel, &low, err))
        return false;
    return *more || !low || give_up_by(rel, &own, more, err);
}

bool
space_tend(struct relation *rel, bool *more, GError **err)
{
    bool low = false;
    *more = false;
    if (!measure(rel, &low, err))
        return false;
    if (low)
        return give_up(rel, more, err);
    set_stuck(rel, false);
    return true;
}

bool
space_admit(struct relation *rel, GError **err)
{
    guint64 free, total;
    if (!rel->core->config.reserve_percent || !file_space(rel->r.folder, &free, &total, NULL) ||
        free >= reserve_of(rel, total) / ADMIT_PART)
        return true;
    HOLD(&rel->lock);
    if (rel->in.maintain)
        task_now(rel->in.maintain);
    return err_set(err, ERR_NO_SPACE,
                   "The file system of '%s' on host '%s' has only %" G_GUINT64_FORMAT " MiB of space left, which merging needs. "
                   "Free space, or give the replica more.",
                   rel->r.folder, rel->core->config.host, free / MIB);
}

/* ---- in words and figures ---- */

char *
space_warning(const struct relation *rel, gint64 now_us)
{
    const struct space *s = &rel->in.space;
    const struct relation_record *r = &rel->r;
    if (rel->side != SIDE_RECEIVER)
        return NULL;
    if (s->stuck)
        return g_strdup_printf("The file system of '%s' has only %" G_GUINT64_FORMAT " MiB left, and no recovery point may be given up. "
                               "Replication stops when it is full.", r->folder, s->free / MIB);
    if (r->given_up && now_us - r->given_up_us < DAY_US) {
        g_autofree char *time = clock_iso8601(r->given_up_capture_us);
        return g_strdup_printf("For want of space %" G_GUINT64_FORMAT " recovery points were given up so far, the last of them that of %s.",
                               r->given_up, time);
    }
    if (s->measured_us && s->days >= 0 && s->days < WARN_DAYS)
        return g_strdup_printf("As the replicas grow now, the file system of '%s' is full in %d days; then the oldest recovery points go.",
                               r->folder, s->days);
    return NULL;
}

void
space_statistics(const struct relation *rel, struct repl_statistics *out)
{
    const struct space *s = &rel->in.space;
    out->given_up = rel->r.given_up;
    out->disk_bytes = s->bytes;
    out->disk_free = s->free;
    out->growth_known = s->grows;
    out->disk_growth = s->grows ? (gint64)s->per_day : 0;
    out->days_left = s->measured_us ? s->days : -1;
}
