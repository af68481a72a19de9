/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "repl/addresses.h"
#include "repl/bootcheck.h"
#include "repl/consistent.h"
#include "repl/extend.h"
#include "repl/health.h"
#include "repl/leaveout.h"
#include "repl/proof.h"
#include "repl/record.h"
#include "repl/space.h"
#include "repl/testvm.h"
#include "repl/work.h"

#include <string.h>

/* What providers read: copies of relationships, statistics and health. */

void
repl_relation_clear(struct repl_relation *r)
{
    g_free(r->name);
    g_free(r->folder);
    g_free(r->reason);
    repl_settings_clear(&r->settings);
    memset(r, 0, sizeof *r);
}

static void
relation_out_free(gpointer p)
{
    repl_relation_clear(p);
    g_free(p);
}

static guint
health_locked(struct relation *rel, GPtrArray *issues)
{
    g_autofree char *unusual = churn_alarm(&rel->s.churn, clock_wall_us());
    g_autofree char *space = space_warning(rel, clock_wall_us());
    g_autofree char *boot = bootcheck_warning_locked(rel);
    g_autofree char *late = consistent_late_locked(rel);
    bool failed, waiting;
    g_autofree char *addresses = addresses_outcome(rel->core->addresses, &rel->vm, &failed, &waiting);
    const struct health_facts f = {
        .addresses = failed ? addresses : NULL, .away = rel->r.away,
        .space = space, .damage = rel->in.proof.warning, .difference = rel->r.difference,
        .boot = boot, .unserved = rel->in.unserved,
        .side = rel->side, .state = rel->r.state, .reason = rel->r.reason, .trouble = rel->trouble, .trouble_sends = rel->trouble_sends,
        .tracking = rel->s.tracking, .disks = rel->s.disks_note, .unusual = unusual, .consistency = late ? late : rel->s.app_trouble,
        .statistics = &rel->stats.now, .last_us = rel->r.last_us,
        .now_us = clock_wall_us(), .active_us = rel->r.active_us,
        .pending = rel->s.outbox ? outbox_raw_bytes(rel->s.outbox) : 0, .disk_bytes = rel->s.disk_bytes,
    };
    return health_of(&f, issues);
}

static const char *
reason_locked(const struct relation *rel)
{
    return rel->r.reason ? rel->r.reason : rel->trouble ? rel->trouble : rel->s.tracking ? rel->s.tracking
           : rel->s.disks_note ? rel->s.disks_note : rel->s.app_trouble;
}

static void
copy_out(struct relation *rel, struct repl_relation *out)
{
    HOLD(&rel->lock);
    const struct relation_record *r = &rel->r;
    const bool over = r->state == STATE_RECOVERED || r->state == STATE_COMMITTED;
    *out = (struct repl_relation){
        .vm = rel->vm,
        .index = rel->index,
        .name = g_strdup(r->name),
        .folder = g_strdup(r->folder),
        .mode = r->mode,
        .state = r->state,
        .health = health_locked(rel, NULL),
        .last_type = r->last_type,
        .failed_over_type = over ? r->failed_over_type : 0,
        .last_us = r->last_us,
        .last_app_us = r->last_app_us,
        .last_apply_us = r->last_apply_us,
        .applied_point = over && r->point_named ? r->point : UUID_NIL,
        .reason = g_strdup(reason_locked(rel)),
        .epoch = r->epoch,
        .flattening = r->state == STATE_RECOVERED && rel->in.flat_total && !r->flat,
        .flat_done = rel->in.flat_done,
        .flat_total = rel->in.flat_total,
    };
    repl_settings_copy(&out->settings, &rel->settings);
}

static void
nothing_out(const struct core *c, const struct vm_facts *facts, struct repl_relation *out)
{
    *out = (struct repl_relation){ .vm = facts->uuid, .name = g_strdup(facts->name), .mode = MODE_NONE, .state = STATE_DISABLED };
    repl_settings_init(&out->settings);
    out->settings.thumbprint = g_strdup(c->own_thumbprint);
    out->settings.authentication = 2;
}

static void
mark_test(struct core *c, struct repl_relation *out)
{
    relation_auto of = testvm_owner(c, &out->vm, NULL);
    if (of)
        out->mode = MODE_TEST;
}

static struct relation *
find_visible(struct core *c, const struct uuid *vm, guint index)
{
    relation_auto rel = core_find(c, vm, index);
    return rel && relation_state(rel) != STATE_DISABLED ? g_steal_pointer(&rel) : NULL;
}

/* A replica has both relationships, the second one disabled until it is made (contract 0.2). */
static bool
may_extend(struct relation *base)
{
    if (!base || base->side != SIDE_RECEIVER)
        return false;
    HOLD(&base->lock);
    return base->r.mode == MODE_REPLICA;
}

bool
repl_relation_get(struct repl_service *s, const struct uuid *vm, guint index, struct repl_relation *out, GError **err)
{
    struct core *c = s->core;
    relation_auto rel = find_visible(c, vm, index);
    if (rel) {
        copy_out(rel, out);
        return true;
    }
    vm_facts_auto facts = c->vm->view(c->vms, vm, err);
    if (!facts)
        return false;
    relation_auto base = index == 1 ? find_visible(c, vm, 0) : NULL;
    if (index && !may_extend(base))
        return err_set(err, ERR_NO_SUCH_INSTANCE, "Guest '%s' has no extended replication.", facts->name);
    nothing_out(c, facts, out);
    out->index = index;
    if (index)
        out->mode = MODE_REPLICA;
    else
        mark_test(c, out);
    return true;
}

static void
add_one(struct core *c, GPtrArray *out, struct relation *rel, const struct vm_facts *facts)
{
    struct repl_relation *one = g_new0(struct repl_relation, 1);
    if (rel)
        copy_out(rel, one);
    else {
        nothing_out(c, facts, one);
        mark_test(c, one);
    }
    g_ptr_array_add(out, one);
}

static void
add_second(struct core *c, GPtrArray *out, struct relation *rel, const struct vm_facts *facts)
{
    struct repl_relation *one = g_new0(struct repl_relation, 1);
    if (rel)
        copy_out(rel, one);
    else
        nothing_out(c, facts, one);
    one->index = 1;
    one->mode = MODE_REPLICA;
    g_ptr_array_add(out, one);
}

static bool
is_listed(const GPtrArray *guests, const struct uuid *vm)
{
    for (guint i = 0; i < guests->len; i++)
        if (uuid_equal(&((const struct vm_facts *)guests->pdata[i])->uuid, vm))
            return true;
    return false;
}

GPtrArray *
repl_relation_list(struct repl_service *s, GError **err)
{
    struct core *c = s->core;
    g_autoptr(GPtrArray) guests = c->vm->list(c->vms, err);
    if (!guests)
        return NULL;
    GPtrArray *out = g_ptr_array_new_with_free_func(relation_out_free);
    for (guint i = 0; i < guests->len; i++) {
        const struct vm_facts *facts = guests->pdata[i];
        relation_auto rel = find_visible(c, &facts->uuid, 0);
        add_one(c, out, rel, facts);
        relation_auto second = may_extend(rel) ? find_visible(c, &facts->uuid, 1) : NULL;
        if (may_extend(rel))
            add_second(c, out, second, facts);
    }
    /* Guests that were undefined behind our back: their relationships must be seen to be removed. */
    g_autoptr(GPtrArray) all = core_list(c);
    for (guint i = 0; i < all->len; i++) {
        struct relation *rel = all->pdata[i];
        if (!is_listed(guests, &rel->vm) && relation_state(rel) != STATE_DISABLED)
            add_one(c, out, rel, NULL);
    }
    return out;
}

static void
compression_locked(const struct relation *rel, struct repl_statistics *out)
{
    const struct compress_meter *m = &rel->s.meter;
    if (rel->side != SIDE_SENDER || m->now == COMPRESS_AUTO)
        return;
    if (rel->settings.compression && rel->settings.compression_level > 0)
        g_snprintf(out->compression, sizeof out->compression, "zstd:%d", rel->settings.compression_level);
    else
        g_strlcpy(out->compression, compress_name(m->now), sizeof out->compression);
    out->pack_rate = (guint64)m->pack;
    out->link_rate = (guint64)m->link;
}

bool
repl_statistics(struct repl_service *s, const struct uuid *vm, guint index, struct repl_statistics *out, GPtrArray **issues, GError **err)
{
    struct core *c = s->core;
    relation_auto rel = work_relation(c, vm, index, err);
    if (!rel)
        return false;
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)repl_issue_free);
    core_tick_stats(c, rel, false);
    const guint64 dirty = rel->side != SIDE_SENDER ? 0 : index ? extend_pending(c, rel) : c->vm->pending(c->engine, vm);
    HOLD(&rel->lock);
    *out = rel->stats.now;
    out->pending = dirty + (rel->s.outbox ? outbox_raw_bytes(rel->s.outbox) : 0);
    out->health = health_locked(rel, found);
    compression_locked(rel, out);
    space_statistics(rel, out);
    out->left_out = leaveout_bytes_locked(rel);
    proof_statistics(rel, out);
    out->compared_us = rel->r.compared_us;
    out->compared_pages = rel->r.compared_pages;
    out->different_pages = rel->r.different_pages;
    bootcheck_newest_locked(rel, out);
    if (issues)
        *issues = g_steal_pointer(&found);
    return true;
}

void
repl_churn_clear(struct repl_churn *c)
{
    g_free(c->target);
}

static guint64
number_of(const json_t *object, const char *name)
{
    return (guint64)json_integer_value(json_object_get(object, name));
}

static void
add_hour(GArray *out, const char *text)
{
    json_scoped_record doc = record_parse(text, NULL);
    const char *target;
    json_t *disk;
    struct repl_churn one = { .start_us = (gint64)number_of(doc, "hour") * G_TIME_SPAN_HOUR, .cycles = (guint)number_of(doc, "cycles") };
    json_object_foreach(json_object_get(doc, "disks"), target, disk) {
        one.target = g_strdup(target);
        one.changed = number_of(disk, "changed");
        one.wire = number_of(disk, "wire");
        one.copied = number_of(disk, "copied");
        g_array_append_val(out, one);
    }
    one.target = g_strdup("");
    one.changed = one.copied = 0;
    one.wire = number_of(doc, "overhead");
    g_array_append_val(out, one);
}

GArray *
repl_churn(struct repl_service *s, const struct uuid *vm, guint index, guint hours, GError **err)
{
    struct core *c = s->core;
    relation_auto rel = work_relation(c, vm, index, err);
    if (!rel)
        return NULL;
    {
        HOLD(&rel->lock);
        hourly_save(&rel->s.hourly, c->db, rel->key);
    }
    g_autoptr(GPtrArray) docs = hourly_list(c->db, rel->key, clock_wall_us(), hours, err);
    GArray *out = docs ? g_array_new(FALSE, FALSE, sizeof(struct repl_churn)) : NULL;
    if (out)
        g_array_set_clear_func(out, (GDestroyNotify)repl_churn_clear);
    for (guint i = 0; docs && i < docs->len; i++)
        add_hour(out, docs->pdata[i]);
    return out;
}

bool
repl_statistics_reset(struct repl_service *s, const struct uuid *vm, guint index, GError **err)
{
    struct repl_host_settings host;
    relation_auto rel = work_relation(s->core, vm, index, err);
    if (!rel)
        return false;
    core_host(s->core, &host);
    {
        HOLD(&rel->lock);
        stats_open(&rel->stats, clock_wall_us(), host.monitoring_start_us, host.monitoring_interval_s);
    }
    repl_host_settings_clear(&host);
    core_tick_stats(s->core, rel, true);
    return true;
}
