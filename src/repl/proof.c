/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/proof.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/maintain.h"
#include "repl/pointvm.h"
#include "store/heal.h"

#include <errno.h>
#include <unistd.h>

static const guint64 PIECE = 4 << 20;
static const gint64 PAUSE_US = 2 * (gint64)G_USEC_PER_SEC;  /* while somebody else changes the store */
static const gint64 REST_US = 60 * (gint64)G_USEC_PER_SEC;  /* between looks whether a pass is due */
static const gint64 LOOK_US = 10 * (gint64)G_USEC_PER_SEC;  /* between savings of a pass, and between looks at what damage hits */
static const gint64 DAY_US = 86400 * (gint64)G_USEC_PER_SEC;

/* ---- what is known ---- */

static const struct damage *
hits(const struct scrub_record *r, guint64 sequence)
{
    const struct damage *d = damage_of_point(r->damage, sequence);
    return d ? d : damage_of_point(r->found, sequence);
}

bool
proof_hits(const struct relation *rel, guint64 sequence)
{
    return hits(&rel->in.proof.record, sequence) != NULL;
}

static bool
is_known(const GPtrArray *list, const struct damage *d)
{
    for (guint i = 0; i < list->len; i++) {
        const struct damage *known = list->pdata[i];
        if (known->of_base == d->of_base && uuid_equal(&known->log, &d->log) && !g_strcmp0(known->text, d->text))
            return true;
    }
    return false;
}

static guint
count_places(const struct scrub_record *r)
{
    guint n = r->damage->len;
    for (guint i = 0; i < r->found->len; i++)
        n += !is_known(r->damage, r->found->pdata[i]);
    return n;
}

void
proof_statistics(const struct relation *rel, struct repl_statistics *out)
{
    const struct proof *p = &rel->in.proof;
    const struct scrub_record *r = &p->record;
    const bool under_way = rel->side == SIDE_RECEIVER && rel->core->proving && r->begun_us;
    out->proof = (struct repl_proof){
        .ended_us = r->ended_us,
        .checked = r->checked,
        .percent = under_way && p->total ? (gint)MIN(99, r->done * 100 / p->total) : -1,
        .places = count_places(r),
        .points = p->unusable,
    };
}

bool
proof_open(struct relation *rel, GError **err)
{
    struct scrub_record fresh, old;
    const bool ok = scrub_record_load(&fresh, rel->r.folder, err);
    if (ok) {
        HOLD(&rel->lock);
        old = rel->in.proof.record;
        rel->in.proof.record = fresh;
        fresh = old;
    }
    scrub_record_clear(&fresh);
    return ok;
}

static GArray *
points_of(struct relation *rel)
{
    retention_rules_auto rules = maintain_rules(rel, NULL);
    return retention_points(rel->in.store, &rules);
}

static char *
warning_of(const struct scrub_record *r, const GArray *points, guint unusable)
{
    const struct store_log *first = NULL, *last = NULL;
    const struct damage *d = NULL;
    for (guint i = 0; i < points->len; i++) {
        const struct store_log *p = &g_array_index(points, struct store_log, i);
        const struct damage *of = hits(r, p->sequence);
        if (!of)
            continue;
        d = d ? d : of;
        first = first ? first : p;
        last = p;
    }
    if (!first)
        return NULL;
    g_autofree char *from = clock_iso8601(first->capture_us), *to = clock_iso8601(last->capture_us);
    const bool newest = last == &g_array_index(points, struct store_log, points->len - 1);
    return g_strdup_printf("%s%s%s  %u of %u recovery points need what is damaged and cannot be used, from that of %s to that of "
                           "%s%s.", d->text, d->stays ? "  " : "", d->stays ? d->stays : "", unusable, points->len, from,
                           to, newest ? ", the newest" : "");
}

/* Which points are hit changes with every log and every merge. */
static void
look_at_points(struct relation *rel, const struct scrub_record *r, gint64 now_us)
{
    const bool any = r->damage->len || r->found->len;
    g_autoptr(GArray) points = any ? points_of(rel) : NULL;
    guint unusable = 0;
    for (guint i = 0; points && i < points->len; i++)
        unusable += hits(r, g_array_index(points, struct store_log, i).sequence) != NULL;
    g_autofree char *old = NULL, *warning = points ? warning_of(r, points, unusable) : NULL;
    HOLD(&rel->lock);
    old = rel->in.proof.warning;
    rel->in.proof.warning = g_steal_pointer(&warning);
    rel->in.proof.unusable = unusable;
    rel->in.proof.looked_us = now_us;
}

/* ---- a pass ---- */

/* What the pass that ends here had found stays known until a whole one has looked at it again. */
static void
begin_anew_locked(struct scrub_record *r)
{
    for (guint i = 0; i < r->found->len; i++)
        if (!is_known(r->damage, r->found->pdata[i]))
            g_ptr_array_add(r->damage, damage_copy(r->found->pdata[i]));
    g_ptr_array_set_size(r->found, 0);
    r->at = (struct scrub_place){ 0 };
    r->goal = r->done = 0;
    r->begun_us = r->ended_us = 0;
}

static bool
begin(struct relation *rel)
{
    struct proof *p = &rel->in.proof;
    HOLD(&rel->lock);
    const enum repl_state s = rel->r.state;
    const bool quiet = s == STATE_REPLICATING || s == STATE_SUSPENDED || s == STATE_CRITICAL || s == STATE_WAITING_RESYNC ||
                       s == STATE_RESYNC || s == STATE_RESYNC_SUSPENDED;
    rel->in.proving = rel->in.store && quiet && !g_atomic_int_get(&rel->halt);
    if (rel->in.proving && p->wanted) {
        p->wanted = false;
        p->looked_us = 0;
        if (rel->core->proving)
            begin_anew_locked(&p->record);
    }
    return rel->in.proving;
}

static void
end(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->in.proving = false;
    g_cond_broadcast(&rel->changed);
}

static bool
is_due(struct relation *rel, gint64 wall_us)
{
    const struct scrub_record *r = &rel->in.proof.record;
    if (!rel->core->proving)
        return false;
    /* A clock that was set back must not keep a replica from being verified. */
    return r->begun_us || !r->ended_us || r->ended_us > wall_us || wall_us - r->ended_us >= rel->core->config.scrub_days * DAY_US;
}

static void
tell(struct relation *rel, const struct scrub_record *r, const GPtrArray *fresh, bool over)
{
    for (guint i = 0; i < fresh->len; i++)
        if (!is_known(r->damage, fresh->pdata[i]))
            log_warning("Guest '%s': %s", rel->r.name, ((const struct damage *)fresh->pdata[i])->text);
    if (over)
        log_info("Guest '%s': its replica was verified, %" G_GUINT64_FORMAT " MiB; %u places are damaged.", rel->r.name,
                 r->checked >> 20, r->damage->len);
}

static bool
take_piece(struct relation *rel, uint64_t *done, bool *over, GError **err)
{
    struct scrub_record *r = &rel->in.proof.record;
    struct scrub_place at = r->at;
    struct store_log head;
    g_autoptr(GPtrArray) fresh = damage_list_new();
    const guint64 goal = r->begun_us ? r->goal : store_head(rel->in.store, &head) ? head.sequence : 0;
    const struct scrub_wish wish = { .budget = PIECE, .cancel = &rel->halt, .last = goal };
    if (!goal) { /* empty */
        *over = true;
        return true;
    }
    const guint64 total = r->begun_us ? 0 : scrub_total(rel->r.folder);
    const bool fine = scrub_some(rel->r.folder, &at, &wish, fresh, done, over, err);
    if (!fine && !err_is(*err, ERR_CANCELLED) && !*done && !fresh->len)
        return false;
    {
        HOLD(&rel->lock);
        rel->in.proof.total = total ? total : MAX(rel->in.proof.total, r->done + 1);
        r->at = at;
        r->goal = goal;
        for (guint i = 0; i < fresh->len; i++)
            g_ptr_array_add(r->found, damage_copy(fresh->pdata[i]));
        scrub_record_step(r, *done, *over, clock_wall_us());
    }
    tell(rel, r, fresh, *over);
    if (fresh->len) {
        rel->in.proof.looked_us = 0;
        rel->in.proof.healed = 0;
    }
    return fine;
}

/* Once per new log: what has come since may be what is missing. */
static bool
heal_list(struct relation *rel, GPtrArray *list, guint64 *mended, GError **err)
{
    for (guint i = list->len; i-- > 0;) {
        struct damage *d = list->pdata[i];
        const guint64 before = extents_bytes(d->where);
        const bool could_stay = d->stays != NULL;
        bool whole;
        if (!store_heal(rel->in.store, d, mended, &whole, err))
            return false;
        if (d->stays && !could_stay)
            log_warning("Guest '%s': %s  %s", rel->r.name, d->text, d->stays);
        if (whole)
            g_ptr_array_remove_index(list, i);
        else if (extents_bytes(d->where) != before)
            d->until = UINT64_MAX; /* other points than before may be hit */
    }
    return true;
}

static bool
heal(struct relation *rel, struct scrub_record *copy, GError **err)
{
    struct proof *p = &rel->in.proof;
    struct store_log head;
    guint64 mended = 0;
    if (!store_head(rel->in.store, &head) || head.sequence == p->healed)
        return true;
    const bool ok = heal_list(rel, copy->damage, &mended, err) && heal_list(rel, copy->found, &mended, err);
    if (ok)
        p->healed = head.sequence;
    if (mended)
        log_info("Guest '%s': %" G_GUINT64_FORMAT " bytes of the replica were mended with what newer logs have.", rel->r.name, mended);
    return ok || (err_is(*err, ERR_IN_USE) && (g_clear_error(err), true));
}

/* Nobody but this task changes the record, so it may be read here without the lock; others read it under the lock, which is why a copy
 * takes the new reach. */
static bool
reach(struct relation *rel, GError **err)
{
    struct scrub_record *r = &rel->in.proof.record, copy = *r;
    if (!r->damage->len && !r->found->len)
        return true;
    copy.damage = damage_list_new();
    copy.found = damage_list_new();
    for (guint i = 0; i < r->damage->len; i++)
        g_ptr_array_add(copy.damage, damage_copy(r->damage->pdata[i]));
    for (guint i = 0; i < r->found->len; i++)
        g_ptr_array_add(copy.found, damage_copy(r->found->pdata[i]));
    const bool ok = heal(rel, &copy, err) && scrub_record_reach(&copy, rel->r.folder, err);
    if (ok) {
        HOLD(&rel->lock);
        GPtrArray *damage = r->damage, *found = r->found;
        r->damage = copy.damage;
        r->found = copy.found;
        copy.damage = damage;
        copy.found = found;
    }
    scrub_record_clear(&copy);
    return ok;
}

/* Where the file went that was written, the store was made anew or cut back: nothing is known of it. */
static bool
follow_store(struct relation *rel, GError **err)
{
    struct scrub_record *r = &rel->in.proof.record;
    g_autofree char *path = g_build_filename(rel->r.folder, "scrub.json", NULL);
    return !r->saved || access(path, F_OK) == 0 || errno != ENOENT || proof_open(rel, err);
}

static bool
keep(struct relation *rel, gint64 now_us, bool over, GError **err)
{
    struct proof *p = &rel->in.proof;
    if (!over && p->looked_us && now_us - p->looked_us < LOOK_US)
        return true;
    const bool reached = reach(rel, err); /* if not, what is known is said as it is */
    look_at_points(rel, &p->record, now_us);
    const bool saves = p->record.begun_us || over || p->record.damage->len;
    const bool saved = !saves || scrub_record_save(&p->record, rel->r.folder, reached ? err : NULL);
    return reached && saved;
}

/* As long as something is damaged, what comes is looked at: it may mend that. */
static gint64
rest_of(const struct relation *rel)
{
    const struct scrub_record *r = &rel->in.proof.record;
    return r->damage->len || r->found->len ? LOOK_US : REST_US;
}

/* A piece is paid for before it is read, so that a thousand replicas do not read one each at once. */
static bool
is_my_turn(struct relation *rel, gint64 now_us)
{
    struct proof *p = &rel->in.proof;
    if (!p->turn_us)
        p->turn_us = throttle_reserve(rel->core->proving, PIECE, now_us);
    return now_us >= p->turn_us;
}

static gint64
step(struct relation *rel, gint64 now_us, GError **err)
{
    uint64_t done = 0;
    bool over = false;
    g_autoptr(GError) other = NULL;
    if (!follow_store(rel, err))
        return now_us + PAUSE_US;
    const bool due = is_due(rel, clock_wall_us());
    if (due && !is_my_turn(rel, now_us))
        return rel->in.proof.turn_us;
    rel->in.proof.turn_us = 0;
    const bool fine = !due || take_piece(rel, &done, &over, err);
    if (!fine && !err_is(*err, ERR_CANCELLED)) /* what is known is said also when the pass cannot go on */
        keep(rel, now_us, over, &other);
    if (!fine || !keep(rel, now_us, over, err))
        return now_us + PAUSE_US;
    g_clear_pointer(&rel->in.proof.said, g_free);
    return due && !over ? now_us : now_us + rest_of(rel);
}

gint64
proof_task(void *user)
{
    struct relation *rel = user;
    g_autoptr(GError) why = NULL;
    const gint64 now = g_get_monotonic_time();
    if (!begin(rel))
        return now + LOOK_US;
    const gint64 next = step(rel, now, &why);
    end(rel);
    if (why && !err_is(why, ERR_CANCELLED) && !err_is(why, ERR_IN_USE) && relation_is_news(&rel->in.proof.said, why))
        log_warning("Guest '%s': its replica could not be verified: %s", rel->r.name, why->message);
    return next;
}

void
proof_begin(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->in.proof.wanted = true;
    if (rel->in.prove)
        task_now(rel->in.prove);
}

/* ---- refusing ---- */

static GPtrArray *
known_damage(struct relation *rel)
{
    GPtrArray *out = damage_list_new();
    HOLD(&rel->lock);
    const GPtrArray *lists[] = { rel->in.proof.record.damage, rel->in.proof.record.found };
    for (guint n = 0; n < G_N_ELEMENTS(lists); n++)
        for (guint i = 0; i < lists[n]->len; i++)
            g_ptr_array_add(out, damage_copy(lists[n]->pdata[i]));
    return out;
}

/* "disk 0 at byte 4096 (8192 bytes), ..."; the point's log says what the disks are called. */
static char *
places_of(struct relation *rel, const GPtrArray *list, const struct store_log *point)
{
    enum { SHOWN = 8 };
    struct log_info info = { 0 };
    GString *out = g_string_new(NULL);
    guint n = 0;
    const bool named = pointvm_disks(rel, &point->id, &info, NULL);
    for (guint i = 0; i < list->len; i++) {
        const struct damage *d = list->pdata[i];
        if (point->sequence < d->first || point->sequence >= d->until)
            continue;
        const struct log_disk *disk = named ? log_info_disk(&info, d->disk) : NULL;
        for (size_t e = 0; e < extents_count(d->where); e++, n++)
            if (n < SHOWN)
                g_string_append_printf(out, "%sdisk %s at byte %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT " bytes)", n ? ", " : "",
                                       disk ? disk->target : "?", extents_at(d->where, e)->offset, extents_at(d->where, e)->length);
        if (d->lost)
            g_string_append_printf(out, "%sall that one change log held", n++ ? ", " : "");
    }
    if (n > SHOWN)
        g_string_append_printf(out, " and %u more places", n - SHOWN);
    if (named)
        log_info_clear(&info);
    return g_string_free(out, FALSE);
}

static void
describe(GString *out, const char *word, const struct store_log *p)
{
    char id[UUID_TEXT];
    g_autofree char *time = p ? clock_iso8601(p->capture_us) : NULL;
    if (p)
        g_string_append_printf(out, "%s'%s' of %s %s it", out->len ? ", " : "", uuid_format(&p->id, id), time, word);
}

static char *
nearest_whole(struct relation *rel, const GPtrArray *list, const struct store_log *point)
{
    g_autoptr(GArray) points = points_of(rel);
    const struct store_log *before = NULL, *after = NULL;
    for (guint i = 0; i < points->len; i++) {
        const struct store_log *p = &g_array_index(points, struct store_log, i);
        if (damage_of_point(list, p->sequence))
            continue;
        if (p->sequence < point->sequence)
            before = p;
        else if (!after)
            after = p;
    }
    GString *out = g_string_new(NULL);
    describe(out, "before", before);
    describe(out, "after", after);
    return g_string_free(out, FALSE);
}

bool
proof_allows(struct relation *rel, const struct uuid *point, GError **err)
{
    struct store_log log;
    char id[UUID_TEXT];
    g_autoptr(GPtrArray) list = known_damage(rel);
    if (!list->len)
        return true;
    if (!pointvm_choose(rel, point, &log, err))
        return false;
    for (guint i = 0; i < list->len; i++)
        if (!damage_reach(list->pdata[i], rel->r.folder, err))
            return false;
    if (!damage_of_point(list, log.sequence))
        return true;
    g_autofree char *time = clock_iso8601(log.capture_us), *where = places_of(rel, list, &log), *whole = nearest_whole(rel, list, &log);
    return err_set(err, ERR_CORRUPT, "The %s of guest '%s' ('%s' of %s) is damaged: %s.  %s%s%s  AllowDamaged (vmreplica: --damaged) takes "
                   "it as it is.", point ? "recovery point" : "latest state", rel->r.name, uuid_format(&log.id, id), time, where,
                   *whole ? "The nearest whole recovery points: " : "No recovery point is whole", whole, ".");
}
