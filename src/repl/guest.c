/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/guest.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "vm/source.h"

static const struct vm_disk *
find_disk(const struct vm_facts *facts, const char *target)
{
    for (guint i = 0; i < facts->disks->len; i++) {
        const struct vm_disk *d = facts->disks->pdata[i];
        if (!g_strcmp0(d->target, target))
            return d;
    }
    return NULL;
}

static bool
check_wanted(const struct vm_facts *facts, char **wanted, GError **err)
{
    for (; *wanted; wanted++) {
        const struct vm_disk *d = find_disk(facts, *wanted);
        if (!d)
            return err_set(err, ERR_INVALID_PARAMETER, "Property 'IncludedDisks' names '%s', which guest '%s' does not have.", *wanted,
                           facts->name);
        if (d->refused)
            return err_set(err, ERR_INVALID_PARAMETER, "Disk '%s' of guest '%s' cannot be replicated: %s", *wanted, facts->name,
                           d->refused);
    }
    return true;
}

bool
guest_fits_engine(const struct vm_facts *facts, const char *const *targets, bool pull, GError **err)
{
    for (; pull && *targets; targets++) {
        const struct vm_disk *d = find_disk(facts, *targets);
        if (d && g_strcmp0(d->format, "qcow2"))
            return err_set(err, ERR_INVALID_PARAMETER,
                           "Disk '%s' of guest '%s' has format %s, which engine \"pull\" cannot track; choose engine \"push\" in "
                           "'AdditionalSettings', or leave the disk out.", *targets, facts->name, d->format);
    }
    return true;
}

static char **
eligible(const struct vm_facts *facts, GError **err)
{
    GPtrArray *out = g_ptr_array_new();
    for (guint i = 0; i < facts->disks->len; i++) {
        const struct vm_disk *d = facts->disks->pdata[i];
        if (!d->refused)
            g_ptr_array_add(out, g_strdup(d->target));
    }
    const bool any = out->len > 0;
    g_ptr_array_add(out, NULL);
    char **targets = (char **)g_ptr_array_free(out, FALSE);
    if (any)
        return targets;
    g_strfreev(targets);
    err_set(err, ERR_INVALID_PARAMETER, "Guest '%s' has no disk that can be replicated.", facts->name);
    return NULL;
}

char **
guest_targets(const struct vm_facts *facts, const struct repl_settings *settings, GError **err)
{
    char **wanted = settings ? settings->disks : NULL;
    if (wanted && !check_wanted(facts, wanted, err))
        return NULL;
    char **targets = wanted ? g_strdupv(wanted) : eligible(facts, err);
    if (!targets || guest_fits_engine(facts, (const char *const *)targets, settings && settings->pull, err))
        return targets;
    g_strfreev(targets);
    return NULL;
}

/* Disks that the guest has and replication leaves alone, in words; NULL: none. */
static char *
note_of(const struct vm_facts *facts, const char *const *targets)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < facts->disks->len; i++) {
        const struct vm_disk *d = facts->disks->pdata[i];
        if (!d->refused && !g_strv_contains(targets, d->target))
            g_string_append_printf(names, "%s'%s'", names->len ? ", " : "", d->target);
    }
    return names->len ? g_strdup_printf("Disk %s of guest '%s' is not replicated.", names->str, facts->name) : NULL;
}

/* ---- guests that come and go ---- */

static bool
note_away(struct relation *rel, bool away, GError **err)
{
    HOLD(&rel->lock);
    if (rel->r.away == away)
        return true;
    if (away)
        log_warning("Guest '%s' was migrated to another host; no recovery points are made until it is back.", rel->r.name);
    else
        log_info("Guest '%s' is back on this host.", rel->r.name);
    rel->r.away = away;
    if (relation_save_locked(rel, err))
        return true;
    rel->r.away = !away;
    return false;
}

static bool
was_away(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.away;
}

/* What stood for its disks here is looked at anew when it is back. */
static bool
is_away(struct relation *rel, GError **err)
{
    rel->s.tracked = false;
    g_clear_pointer(&rel->s.off_stamp, g_free);
    return note_away(rel, true, err) &&
           err_set(err, ERR_NOT_AVAILABLE,
                   "Guest '%s' was migrated to another host, so no recovery points are made. Migrate it back and it goes on with what "
                   "differs; or remove its replication here and enable it on the host where it runs.", rel->r.name);
}

bool
guest_here(struct core *c, struct relation *rel, bool *off, GError **err)
{
    enum vm_power power = VM_OFF;
    g_autoptr(GError) why = NULL;
    const bool known = c->vm->power_get(c->vms, &rel->vm, &power, &why);
    *off = power == VM_OFF || power == VM_SAVED;
    if (known && !*off)
        return note_away(rel, false, err);
    if ((known || err_is(why, ERR_NO_SUCH_INSTANCE)) && (was_away(rel) || c->vm->migrated(c->vms, &rel->vm)))
        return is_away(rel, err);
    if (!known)
        g_propagate_error(err, g_steal_pointer(&why));
    return known;
}

/* ---- disks that come and go ---- */

static bool
is_detached_locked(const struct relation *rel, const char *target)
{
    return rel->r.detached && g_strv_contains((const char *const *)rel->r.detached, target);
}

const char *const *
guest_attached(struct relation *rel)
{
    HOLD(&rel->lock);
    if (!rel->s.attached) {
        g_autoptr(GStrvBuilder) all = g_strv_builder_new();
        for (char **t = rel->r.targets; *t; t++)
            if (!is_detached_locked(rel, *t))
                g_strv_builder_add(all, *t);
        rel->s.attached = g_strv_builder_end(all);
    }
    return (const char *const *)rel->s.attached;
}

int
guest_slot(struct relation *rel, guint disk)
{
    int slot = 0;
    HOLD(&rel->lock);
    if (is_detached_locked(rel, rel->r.targets[disk]))
        return -1;
    for (guint i = 0; i < disk; i++)
        slot += !is_detached_locked(rel, rel->r.targets[i]);
    return slot;
}

static void
say_changes_locked(const struct relation *rel, char **now)
{
    for (char **t = rel->r.targets; *t; t++) {
        const bool was = is_detached_locked(rel, *t), is = g_strv_contains((const char *const *)now, *t);
        if (is && !was)
            log_warning("Guest '%s': its disk '%s' is gone; replication goes on without it, older recovery points still have it.",
                        rel->r.name, *t);
        if (was && !is)
            log_info("Guest '%s': its disk '%s' is back; it is read again.", rel->r.name, *t);
    }
}

static bool
note_detached_locked(struct relation *rel, const struct vm_facts *facts, GError **err)
{
    g_autoptr(GStrvBuilder) gone = g_strv_builder_new();
    for (char **t = rel->r.targets; *t; t++)
        if (!find_disk(facts, *t))
            g_strv_builder_add(gone, *t);
    g_auto(GStrv) now = g_strv_builder_end(gone);
    static char *none[] = { NULL };
    if (g_strv_equal((const char *const *)now, (const char *const *)(rel->r.detached ? rel->r.detached : none)))
        return true;
    if (g_strv_length(now) == g_strv_length(rel->r.targets))
        return err_set(err, ERR_INVALID_STATE,
                       "All replicated disks of guest '%s' are gone; attach one of them again, or remove the replication.", facts->name);
    say_changes_locked(rel, now);
    char **before = rel->r.detached;
    rel->r.detached = g_steal_pointer(&now);
    if (!relation_save_locked(rel, err)) {
        g_strfreev(rel->r.detached);
        rel->r.detached = before;
        return false;
    }
    g_strfreev(before);
    g_clear_pointer(&rel->s.attached, g_strfreev);
    g_clear_pointer(&rel->s.off_stamp, g_free); /* a point without it, or with it, is due */
    return true;
}

void
guest_follow_name(struct core *c, struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    vm_facts_auto facts = c->vm->facts_get(c->vms, &rel->vm, NULL);
    HOLD(&rel->lock);
    if (!facts || !g_strcmp0(rel->r.name, facts->name))
        return;
    if (!relation_rename_locked(rel, facts->name, &why))
        log_warning("Guest '%s': its new name was not saved: %s", rel->r.name, why->message);
}

static bool
compare(struct relation *rel, const struct vm_facts *facts, GError **err)
{
    guint64 bytes = 0;
    HOLD(&rel->lock);
    if ((g_strcmp0(rel->r.name, facts->name) && !relation_rename_locked(rel, facts->name, err)) || !note_detached_locked(rel, facts, err))
        return false;
    for (char **t = rel->r.targets; *t; t++) {
        const struct vm_disk *d = find_disk(facts, *t);
        bytes += d ? d->size : 0;
    }
    rel->s.disk_bytes = bytes;
    g_free(rel->s.disks_note);
    /* Who chose the disks by name left the others out knowingly. */
    rel->s.disks_note = rel->settings.disks ? NULL : note_of(facts, (const char *const *)rel->r.targets);
    rel->s.facts_stale = false;
    return true;
}

bool
guest_refresh(struct core *c, struct relation *rel, GError **err)
{
    {
        HOLD(&rel->lock);
        if (!rel->s.facts_stale)
            return true;
    }
    vm_facts_auto facts = c->vm->facts_get(c->vms, &rel->vm, err);
    return facts && compare(rel, facts, err);
}

char *
guest_stamp(struct core *c, struct relation *rel)
{
    vm_facts_auto facts = c->vm->facts_get(c->vms, &rel->vm, NULL);
    return guest_stamp_of(rel, facts);
}

char *
guest_stamp_of(struct relation *rel, const struct vm_facts *facts)
{
    if (!facts)
        return NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    HOLD(&rel->lock);
    for (char **t = rel->r.targets; *t; t++) {
        const struct vm_disk *d = find_disk(facts, *t);
        if (is_detached_locked(rel, *t))
            continue;
        g_autofree char *stamp = d && d->path ? source_stamp(d->path) : NULL;
        if (!stamp)
            return NULL;
        g_string_append_printf(out, "%s %s\n", *t, stamp);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static enum capture_kind
kind_of(bool pull)
{
    return pull ? CAPTURE_PULL : CAPTURE_PUSH;
}

bool
guest_forget(struct core *c, struct relation *rel, GError **err)
{
    bool pulled;
    {
        HOLD(&rel->lock);
        pulled = rel->r.pulled;
    }
    c->vm->choose(c->engine, &rel->vm, kind_of(pulled));
    return c->vm->forget(c->engine, &rel->vm, err);
}

static bool
note_engine(struct relation *rel, bool pull, GError **err)
{
    HOLD(&rel->lock);
    rel->r.pulled = pull;
    if (relation_save_locked(rel, err))
        return true;
    rel->r.pulled = !pull;
    return false;
}

/* Nothing was captured yet, so no engine has left anything in the guest; forgetting it would be a monitor command that "pull" promises not
 * to send. */
static bool
untouched(struct relation *rel)
{
    HOLD(&rel->lock);
    return !rel->s.tracked && uuid_is_nil(&rel->r.acked) && outbox_count(rel->s.outbox) == 0;
}

bool
guest_choose_engine(struct core *c, struct relation *rel, GError **err)
{
    bool pull, pulled;
    {
        HOLD(&rel->lock);
        pull = rel->settings.pull;
        pulled = rel->r.pulled;
    }
    if (pull != pulled) {
        vm_facts_auto facts = c->vm->facts_get(c->vms, &rel->vm, err);
        if (!facts || !guest_fits_engine(facts, (const char *const *)rel->r.targets, pull, err))
            return false;
        log_info("Guest '%s': engine \"%s\" captures it from now on; its disks are read once.", rel->r.name, pull ? "pull" : "push");
        if ((!untouched(rel) && !guest_forget(c, rel, err)) || !note_engine(rel, pull, err))
            return false;
        rel->s.tracked = false;
    }
    c->vm->choose(c->engine, &rel->vm, kind_of(pull));
    return true;
}
