/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/testvm.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/addresses.h"
#include "repl/pointvm.h"
#include "repl/serving.h"
#include "vm/domxml.h"
#include "vm/tpm.h"

static struct uuid
test_of(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.test;
}

static struct pointvm
places(struct core *c, struct relation *rel, const struct uuid *point)
{
    char text[UUID_TEXT];
    return (struct pointvm){ *point, test_of(rel),
                             g_strdup_printf("%s/test-%s.sock", c->config.runtime_dir, uuid_format_lower(&rel->vm, text)),
                             g_build_filename(rel->r.folder, "test", NULL), g_build_filename(rel->r.folder, "test-guest", NULL) };
}

/* ---- the end ---- */

static bool
undefine(struct core *c, const struct uuid *test, GError **err)
{
    enum vm_power power;
    g_autoptr(GError) why = NULL;
    if (!c->vm->power_get(c->vms, test, &power, &why)) {
        if (err_is(why, ERR_NO_SUCH_INSTANCE))
            return true;
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (power != VM_OFF && power != VM_SAVED)
        return err_set(err, ERR_INVALID_STATE, "The test guest is not off; turn it off first.");
    return c->vm->undefine(c->vms, test, err);
}

static bool
forget(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    rel->r.test = rel->r.test_point = UUID_NIL;
    rel->r.test_ready = rel->r.test_drill = false;
    return relation_save_locked(rel, err);
}

static bool
turn_off(struct core *c, const struct uuid *test, GError **err)
{
    enum vm_power power;
    if (!c->vm->power_get(c->vms, test, &power, NULL) || power == VM_OFF || power == VM_SAVED)
        return true;
    return c->vm->force_off(c->vms, test, err);
}

static bool
remove_tpm(struct core *c, const struct uuid *test, GError **err)
{
    return !c->config.swtpm_dir || tpm_remove(c->config.swtpm_dir, test, err);
}

/* A test guest that is being removed is not defined any more either: who comes second finds nothing to do. */
static bool
undo_alone(struct core *c, struct relation *rel, GError **err)
{
    const struct uuid test = test_of(rel);
    if (uuid_is_nil(&test))
        return true;
    struct pointvm p = places(c, rel, &UUID_NIL);
    addresses_cancel(c->addresses, &rel->vm, &test);
    const bool ok = undefine(c, &test, err) && remove_tpm(c, &test, err) && file_remove_tree(p.overlays, err) &&
                    file_remove_tree(p.files, err) && serving_stop(rel, p.socket, err) && forget(rel, err);
    pointvm_clear(&p);
    return ok;
}

static bool
undo(struct core *c, struct relation *rel, GError **err)
{
    HOLD(&rel->in.untesting);
    return undo_alone(c, rel, err);
}

static void
set_drilling(struct relation *rel, bool on)
{
    HOLD(&rel->lock);
    rel->in.drilling = on;
}

bool
testvm_end(struct core *c, struct relation *rel, GError **err)
{
    const struct uuid test = test_of(rel);
    const bool ok = uuid_is_nil(&test) || (turn_off(c, &test, err) && undo(c, rel, err));
    set_drilling(rel, false);
    return ok;
}

/* ---- the beginning ---- */

/* libvirt wants names to be unique, unlike the contract. */
static char *
free_name(struct core *c, struct relation *rel, GError **err)
{
    g_autoptr(GPtrArray) guests = c->vm->list(c->vms, err);
    g_autofree char *name = relation_name(rel), *first = g_strconcat(name, " - Test", NULL);
    for (guint n = 1; guests; n++) {
        g_autofree char *candidate = n == 1 ? g_strdup(first) : g_strdup_printf("%s %u", first, n);
        bool taken = false;
        for (guint i = 0; i < guests->len; i++)
            taken = taken || g_str_equal(((const struct vm_facts *)guests->pdata[i])->name, candidate);
        if (!taken)
            return g_steal_pointer(&candidate);
    }
    return NULL;
}

static char *
network_of(struct relation *rel)
{
    HOLD(&rel->lock);
    return g_strdup(rel->settings.test_network);
}

/* The networks of its cards are there and started. */
static bool
make_networks(struct core *c, const struct domxml_nets *nets, GError **err)
{
    if (nets->all && !c->vm->network_isolated(c->vms, nets->all, err))
        return false;
    for (guint i = 0; i < nets->count; i++)
        if (!c->vm->network_isolated(c->vms, nets->cards[i].network, err))
            return false;
    return true;
}

static char *
definition(struct core *c, struct relation *rel, const char *replica, const char *folder, GError **err)
{
    const struct uuid test = test_of(rel);
    g_autofree char *network = network_of(rel), *name = free_name(c, rel, err);
    g_autoptr(GPtrArray) own = addresses_networks(c->addresses, &rel->vm);
    g_autoptr(GArray) cards = g_array_new(FALSE, FALSE, sizeof(struct domxml_net));
    for (guint i = 0; i < own->len; i++) {
        const struct repl_test_network *card = own->pdata[i];
        const struct domxml_net net = { card->mac, card->network };
        if (domxml_has_card(replica, card->mac))
            g_array_append_val(cards, net);
    }
    const struct domxml_nets nets = { network, (const struct domxml_net *)(gpointer)cards->data, cards->len };
    return name && make_networks(c, &nets, err) ? domxml_as_test(replica, &test, name, &nets, folder, err) : NULL;
}

static bool
define(struct core *c, struct relation *rel, struct job *job, const struct log_info *info, const struct pointvm *p, GError **err)
{
    g_autofree char *replica = pointvm_definition(c, rel, info, p, err);
    g_autofree char *xml = replica ? definition(c, rel, replica, p->files, err) : NULL;
    return xml && pointvm_put_tpm(c, rel, p, xml, job, err) && c->vm->define(c->vms, xml, err);
}

static bool
begin(struct relation *rel, const struct uuid *point, bool drill, GError **err)
{
    HOLD(&rel->lock);
    if (!uuid_is_nil(&rel->r.test))
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' has a test guest already.", rel->r.name);
    rel->r.test = uuid_random();
    rel->r.test_point = *point;
    rel->r.test_drill = rel->in.drilling = drill;
    return relation_save_locked(rel, err);
}

static bool
end_well(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    rel->r.test_ready = true;
    rel->stats.now.last_test_us = clock_wall_us();
    return relation_save_locked(rel, err);
}

static bool
take_steps(struct core *c, struct relation *rel, struct job *job, const struct log_info *info, const struct pointvm *p, GError **err)
{
    job_progress(job, 20, "Serving the recovery point");
    if (!pointvm_serve(rel, p, err) || job_cancelled(job, err))
        return false;
    job_progress(job, 50, "Making overlays");
    if (!pointvm_make_overlays(c, info, p, err) || job_cancelled(job, err))
        return false;
    job_progress(job, 80, "Defining the test guest");
    job_set_cancellable(job, false);
    return define(c, rel, job, info, p, err) && end_well(rel, err);
}

static bool
make(struct core *c, struct relation *rel, struct job *job, const struct store_log *point, GError **err)
{
    struct log_info info = { 0 };
    struct pointvm p = places(c, rel, &point->id);
    const bool ok = pointvm_disks(rel, &point->id, &info, err) && take_steps(c, rel, job, &info, &p, err);
    pointvm_clear(&p);
    log_info_clear(&info);
    return ok;
}

bool
testvm_make(struct core *c, struct relation *rel, struct job *job, const struct store_log *point, bool drill, GError **err)
{
    g_autoptr(GError) again = NULL;
    if (!begin(rel, &point->id, drill, err))
        return false;
    if (make(c, rel, job, point, err)) {
        const struct uuid test = test_of(rel);
        if (!drill)
            addresses_want(c->addresses, &rel->vm, &test);
        return true;
    }
    if (!undo(c, rel, &again))
        log_error("Guest '%s': a failed test failover could not be undone: %s  It is tried again at the next start.", rel->r.name,
                  again->message);
    return false;
}

bool
testvm_make_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct store_log point;
    if (!pointvm_choose(w->rel, w->named ? &w->point : NULL, &point, err) ||
        !testvm_make(w->core, w->rel, job, &point, false, err))
        return false;
    core_tick_stats(w->core, w->rel, true);
    return true;
}

bool
testvm_remove_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    job_progress(job, 10, "Removing the test guest");
    if (!undo(w->core, w->rel, err))
        return false;
    task_now(w->rel->in.maintain); /* the point is free */
    return true;
}

/* ---- afterwards ---- */

bool
testvm_recover(struct core *c, struct relation *rel, GError **err)
{
    g_autoptr(GError) why = NULL;
    if (uuid_is_nil(&rel->r.test))
        return true;
    if (rel->r.test_drill)
        log_info("Guest '%s': a boot check was cut short; its test guest is removed.", rel->r.name);
    if (!rel->r.test_ready || rel->r.test_drill)
        return testvm_end(c, rel, err);
    struct pointvm p = places(c, rel, &rel->r.test_point);
    /* A test must never stand in the way of replication. */
    if (!pointvm_serve(rel, &p, &why))
        log_warning("Guest '%s': its test guest cannot be used any more, remove it: %s", rel->r.name, why->message);
    pointvm_clear(&p);
    return true;
}

/* A whole one that is not defined any more. */
static bool
is_gone(struct core *c, struct relation *rel)
{
    enum vm_power power;
    g_autoptr(GError) why = NULL;
    struct uuid test = UUID_NIL;
    {
        HOLD(&rel->lock);
        if (rel->r.test_ready && !rel->in.drilling)
            test = rel->r.test;
    }
    return !uuid_is_nil(&test) && !c->vm->power_get(c->vms, &test, &power, &why) && err_is(why, ERR_NO_SUCH_INSTANCE);
}

void
testvm_follow(struct core *c, struct relation *rel)
{
    g_autoptr(GError) failed = NULL;
    if (!is_gone(c, rel))
        return;
    HOLD(&rel->in.untesting);
    if (!is_gone(c, rel)) /* it was being removed */
        return;
    log_info("Guest '%s': its test guest was undefined by somebody else; the rest of it is removed.", rel->r.name);
    if (!undo_alone(c, rel, &failed))
        log_warning("Guest '%s': what is left of its test guest cannot be removed: %s", rel->r.name, failed->message);
}

struct relation *
testvm_owner(struct core *c, const struct uuid *test, bool *drilling)
{
    g_autoptr(GPtrArray) all = uuid_is_nil(test) ? NULL : core_list(c);
    for (guint i = 0; all && i < all->len; i++) {
        struct relation *rel = all->pdata[i];
        HOLD(&rel->lock);
        if (!uuid_equal(&rel->r.test, test))
            continue;
        if (drilling)
            *drilling = rel->in.drilling;
        return relation_ref(rel);
    }
    return NULL;
}

GHashTable *
testvm_pins(struct relation *rel)
{
    HOLD(&rel->lock);
    if (uuid_is_nil(&rel->r.test))
        return NULL;
    GHashTable *pins = g_hash_table_new_full(uuid_hash, uuid_same, g_free, NULL);
    g_hash_table_add(pins, g_memdup2(&rel->r.test_point, sizeof rel->r.test_point));
    return pins;
}
