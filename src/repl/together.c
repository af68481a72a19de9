/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/together.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/extend.h"
#include "repl/work.h"

#include <string.h>

/* ---- groups ---- */

GPtrArray *
repl_groups(struct repl_service *s)
{
    return groups_list(s->core->groups);
}

bool
repl_group_get(struct repl_service *s, const struct uuid *id, struct group *out, GError **err)
{
    char text[UUID_TEXT];
    return groups_get(s->core->groups, id, out) ||
           err_set(err, ERR_NO_SUCH_INSTANCE, "There is no group '%s' on this host; vmreplica group list shows them.",
                   uuid_format(id, text));
}

bool
repl_group_put(struct repl_service *s, struct group *g, GError **err)
{
    if (uuid_is_nil(&g->id))
        g->id = uuid_random();
    return groups_put(s->core->groups, g, err);
}

static void
add_member(struct group *g, const char *member)
{
    const guint n = g->members ? g_strv_length(g->members) : 0;
    g->members = g_renew(char *, g->members, n + 2);
    g->members[n] = g_strdup(member);
    g->members[n + 1] = NULL;
}

static bool
drop_member(struct group *g, const char *member)
{
    for (char **m = g->members; m && *m; m++)
        if (strcmp(*m, member) == 0) {
            g_free(*m);
            memmove(m, m + 1, g_strv_length(m + 1) * sizeof *m + sizeof *m);
            return true;
        }
    return false;
}

bool
repl_group_change(struct repl_service *s, const struct uuid *id, const struct uuid *vm, bool add, GError **err)
{
    struct group g = { 0 };
    char text[UUID_TEXT];
    if (!repl_group_get(s, id, &g, err))
        return false;
    uuid_format(vm, text);
    bool ok = true;
    if (add) {
        vm_facts_auto facts = s->core->vm->facts_get(s->core->vms, vm, err);
        ok = facts != NULL;
        if (ok)
            add_member(&g, text);
    } else if (!drop_member(&g, text)) {
        ok = err_set(err, ERR_NOT_FOUND, "Guest '%s' is not in group '%s'.", text, g.name);
    }
    ok = ok && groups_put(s->core->groups, &g, err);
    group_clear(&g);
    return ok;
}

bool
repl_group_remove(struct repl_service *s, const struct uuid *id, GError **err)
{
    struct group g = { 0 };
    if (!repl_group_get(s, id, &g, err))
        return false;
    group_clear(&g);
    return groups_remove(s->core->groups, id, err);
}

/* ---- points ---- */

void
group_point_clear(struct group_point *p)
{
    g_clear_pointer(&p->vms, g_array_unref);
    g_clear_pointer(&p->points, g_array_unref);
}

void
group_point_free(gpointer p)
{
    group_point_clear(p);
    g_free(p);
}

/* ---- test guests ---- */

/* Both ways. */
static struct uuid
tests_id(const struct uuid *group)
{
    static const guint8 other[] = { 0x74, 0x65, 0x73, 0x74, 0x73, 0x21 }; /* of the last six bytes, which are random */
    struct uuid out = *group;
    for (gsize i = 0; i < sizeof other; i++)
        out.bytes[sizeof out.bytes - sizeof other + i] ^= other[i];
    return out;
}

static char **
tests_of(struct repl_service *s, const struct group *g)
{
    g_autoptr(GStrvBuilder) out = g_strv_builder_new();
    g_autoptr(GArray) tests = repl_tests(s);
    for (guint i = 0; i < tests->len; i++) {
        const struct repl_test *t = &g_array_index(tests, struct repl_test, i);
        char text[UUID_TEXT];
        if (group_has(g, &t->replica))
            g_strv_builder_add(out, uuid_format(&t->test, text));
    }
    return g_strv_builder_end(out);
}

bool
repl_group_tests(struct repl_service *s, const struct group *g, struct group *out)
{
    g_auto(GStrv) members = tests_of(s, g);
    if (!*members)
        return false;
    *out = (struct group){ tests_id(&g->id), g_strconcat(g->name, " - Test", NULL), g_steal_pointer(&members) };
    return true;
}

bool
repl_group_of_tests(struct repl_service *s, const struct uuid *tests, struct group *out, GError **err)
{
    const struct uuid id = tests_id(tests);
    return repl_group_get(s, &id, out, err);
}

/* Points that are being put together. */
struct gathering {
    const struct uuid *group;
    GPtrArray *all;      /* struct group_point */
    GArray *wanted;      /* guint: how many members each has when it is whole */
};

static struct group_point *
point_for(struct gathering *to, const struct uuid *instant, const struct repl_point *p, guint members)
{
    for (guint i = to->all->len; i-- > 0;)
        if (uuid_equal(&((struct group_point *)to->all->pdata[i])->id, instant))
            return to->all->pdata[i];
    struct group_point *fresh = g_new0(struct group_point, 1);
    *fresh = (struct group_point){ .id = *instant, .group = *to->group, .capture_us = p->capture_us, .application = true };
    fresh->vms = g_array_new(FALSE, FALSE, sizeof(struct uuid));
    fresh->points = g_array_new(FALSE, FALSE, sizeof(struct uuid));
    g_ptr_array_add(to->all, fresh);
    g_array_append_val(to->wanted, members);
    return fresh;
}

static void
gather(struct repl_service *s, struct relation *rel, struct gathering *to)
{
    g_autoptr(GArray) points = repl_points(s, &rel->vm, NULL);
    for (guint i = 0; points && i < points->len; i++) {
        const struct repl_point *p = &g_array_index(points, struct repl_point, i);
        struct uuid group, instant;
        guint members;
        if (p->damaged || !group_point_of(rel, &p->id, &group, &instant, &members) || !uuid_equal(&group, to->group))
            continue;
        struct group_point *gp = point_for(to, &instant, p, members);
        gp->application &= p->kind == LOG_KIND_APPLICATION;
        g_array_append_val(gp->vms, p->vm);
        g_array_append_val(gp->points, p->id);
    }
}

static gint
by_time(gconstpointer a, gconstpointer b)
{
    const struct group_point *const *x = a, *const *y = b;
    return ((*x)->capture_us > (*y)->capture_us) - ((*x)->capture_us < (*y)->capture_us);
}

GPtrArray *
repl_group_points(struct repl_service *s, const struct uuid *id, GError **err)
{
    struct group g = { 0 };
    if (!repl_group_get(s, id, &g, err))
        return NULL;
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(group_point_free);
    g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(guint));
    struct gathering to = { id, parts, wanted };
    for (char **m = g.members; m && *m; m++) {
        struct uuid vm;
        relation_auto rel = uuid_parse(*m, &vm) ? core_find(s->core, &vm, 0) : NULL;
        if (rel && rel->side == SIDE_RECEIVER)
            gather(s, rel, &to);
    }
    group_clear(&g);
    GPtrArray *whole = g_ptr_array_new_with_free_func(group_point_free);
    for (guint i = 0; i < parts->len; i++) {
        struct group_point *p = parts->pdata[i];
        if (p->points->len != g_array_index(wanted, guint, i))
            continue;
        parts->pdata[i] = g_new0(struct group_point, 1);
        g_ptr_array_add(whole, p);
    }
    g_ptr_array_sort(whole, by_time);
    return whole;
}

static void
take_point(GPtrArray *from, guint i, struct group_point *out)
{
    const struct group_point *p = from->pdata[i];
    *out = *p;
    out->vms = g_array_ref(p->vms);
    out->points = g_array_ref(p->points);
}

bool
repl_group_point_find(struct repl_service *s, const struct uuid *point, struct group_point *out)
{
    g_autoptr(GPtrArray) groups = repl_groups(s);
    for (guint g = 0; g < groups->len; g++) {
        g_autoptr(GPtrArray) points = repl_group_points(s, &((const struct group *)groups->pdata[g])->id, NULL);
        for (guint i = 0; points && i < points->len; i++)
            if (uuid_equal(&((const struct group_point *)points->pdata[i])->id, point)) {
                take_point(points, i, out);
                return true;
            }
    }
    return false;
}

/* ---- methods of all members ---- */

/* One member in a job of its group. */
struct part {
    struct uuid vm, point;
    char name[64];
    struct repl_settings *settings;
    char job[UUID_TEXT];
    bool over;
    guint percent;
    GError *why;
};

struct task_of_group {
    struct repl_service *s;
    enum group_method method;
    GArray *parts;       /* struct part */
    guint type;
    char *location, *owner;
    gint64 start_us;
};

static void
part_clear(gpointer p)
{
    struct part *part = p;
    if (part->settings)
        repl_settings_clear(part->settings);
    g_free(part->settings);
    g_clear_error(&part->why);
}

static void
task_of_group_free(gpointer p)
{
    struct task_of_group *t = p;
    g_array_unref(t->parts);
    g_free(t->location);
    g_free(t->owner);
    g_free(t);
}

static bool
remove_test(struct repl_service *s, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err)
{
    struct uuid test = { { 0 } };
    relation_auto rel = work_relation(s->core, vm, 0, err);
    if (!rel)
        return false;
    {
        HOLD(&rel->lock);
        test = rel->r.test;
    }
    /* Its test guest is turned off first, as everything in it goes. */
    enum vm_power power;
    if (s->core->vm->power_get(s->core->vms, &test, &power, NULL) && power != VM_OFF && !s->core->vm->force_off(s->core->vms, &test, err))
        return false;
    return repl_destroy_guest(s, &test, owner, job, err);
}

static bool
change(struct repl_service *s, struct part *p, guint state, const char *owner, GError **err)
{
    return repl_state_change(s, &p->vm, 0, state, owner, p->job, err);
}

static bool
begin(const struct task_of_group *t, struct part *p, GError **err)
{
    struct repl_service *s = t->s;
    const struct uuid *point = uuid_is_nil(&p->point) ? NULL : &p->point;
    switch (t->method) {
    case GROUP_CREATE: return repl_create(s, &p->vm, p->settings, t->owner, p->job, err);
    case GROUP_MODIFY: return repl_modify(s, &p->vm, p->settings, t->owner, p->job, err);
    case GROUP_START: return repl_start(s, &p->vm, t->type, t->location, t->start_us, t->owner, p->job, err);
    case GROUP_SUSPEND: return change(s, p, STATE_SUSPENDED, t->owner, err);
    case GROUP_RESUME: return change(s, p, STATE_REPLICATING, t->owner, err);
    case GROUP_CANCEL_INITIAL: return change(s, p, STATE_READY, t->owner, err);
    case GROUP_CANCEL_RESYNC: return change(s, p, STATE_WAITING_RESYNC, t->owner, err);
    case GROUP_PREPARE: return change(s, p, STATE_PREPARED, t->owner, err);
    case GROUP_PREPARE_CANCEL: return change(s, p, STATE_REPLICATING, t->owner, err);
    case GROUP_RESYNC: return repl_resynchronize(s, &p->vm, t->start_us, t->owner, p->job, err);
    case GROUP_REMOVE: return repl_remove(s, &p->vm, 0, t->owner, p->job, err);
    case GROUP_FAILOVER: return repl_failover(s, &p->vm, point, false, t->owner, p->job, err);
    case GROUP_REVERT: return repl_revert(s, &p->vm, t->owner, p->job, err);
    case GROUP_COMMIT: return repl_commit(s, &p->vm, t->owner, p->job, err);
    case GROUP_REVERSE: return repl_reverse(s, &p->vm, p->settings, t->owner, p->job, err);
    case GROUP_TEST: return repl_test_failover(s, &p->vm, point, false, t->owner, p->job, err);
    case GROUP_TEST_REMOVE: return remove_test(s, &p->vm, t->owner, p->job, err);
    case GROUP_METHODS: break;
    }
    g_assert_not_reached();
}

/* Does this member have what the method leads to? */
static bool
is_done(struct relation *rel, enum group_method m, const struct uuid *point)
{
    if (!rel)
        return m == GROUP_REMOVE;
    HOLD(&rel->lock);
    const enum repl_state now = rel->r.state;
    switch (m) {
    case GROUP_CREATE: return now != STATE_DISABLED;
    case GROUP_START: return now != STATE_READY;
    case GROUP_SUSPEND: return now == STATE_SUSPENDED;
    case GROUP_RESUME: return now != STATE_SUSPENDED && now != STATE_CRITICAL && now != STATE_RESYNC_SUSPENDED;
    case GROUP_CANCEL_INITIAL: return now == STATE_READY;
    case GROUP_CANCEL_RESYNC: return now != STATE_RESYNC && now != STATE_RESYNC_SUSPENDED;
    case GROUP_PREPARE: return now == STATE_PREPARED;
    case GROUP_PREPARE_CANCEL: return now != STATE_PREPARED;
    case GROUP_RESYNC: return now == STATE_RESYNC;
    case GROUP_FAILOVER: return now == STATE_RECOVERED && (uuid_is_nil(point) || uuid_equal(&rel->r.point, point));
    case GROUP_REVERT: return now != STATE_RECOVERED;
    case GROUP_COMMIT: return now == STATE_COMMITTED;
    case GROUP_REVERSE: return rel->side == SIDE_SENDER;
    case GROUP_TEST: return !uuid_is_nil(&rel->r.test);
    case GROUP_TEST_REMOVE: return uuid_is_nil(&rel->r.test);
    case GROUP_MODIFY:
    case GROUP_REMOVE:
    case GROUP_METHODS: break;
    }
    return false;
}

static enum job_number
number_of(enum group_method m)
{
    static const enum job_number NUMBERS[GROUP_METHODS] = {
        [GROUP_START] = JOB_START, [GROUP_SUSPEND] = JOB_STATE_CHANGE, [GROUP_RESUME] = JOB_STATE_CHANGE, [GROUP_RESYNC] = JOB_RESYNC,
        [GROUP_REMOVE] = JOB_REMOVE, [GROUP_CANCEL_INITIAL] = JOB_STOP_INITIAL, [GROUP_CANCEL_RESYNC] = JOB_STOP_RESYNC,
        [GROUP_PREPARE] = JOB_PREPARE, [GROUP_PREPARE_CANCEL] = JOB_PREPARE_CANCEL, [GROUP_FAILOVER] = JOB_FAILOVER,
        [GROUP_REVERT] = JOB_REVERT, [GROUP_COMMIT] = JOB_COMMIT, [GROUP_REVERSE] = JOB_REVERSE, [GROUP_TEST] = JOB_TEST,
        [GROUP_TEST_REMOVE] = JOB_TEST_REMOVE, [GROUP_CREATE] = JOB_CREATE, [GROUP_MODIFY] = JOB_MODIFY,
    };
    return NUMBERS[m];
}

static void
follow(const struct task_of_group *t, struct part *p, struct job *job)
{
    enum { LOOK_US = 200000 };
    struct job_info info;
    if (!job_wait(t->s->core->jobs, p->job, LOOK_US, &info)) {
        if (job_get(t->s->core->jobs, p->job, &info)) {
            p->percent = info.percent;
            job_info_clear(&info);
        }
        return;
    }
    p->over = true;
    p->percent = 100;
    if (info.state == JOB_WARNINGS && info.warning)
        job_warn(job, "%s: %s", p->name, info.warning);
    else if (info.state != JOB_COMPLETED && info.state != JOB_WARNINGS)
        err_set(&p->why, ERR_FAILED, "%s", info.error_text ? info.error_text : "its job was ended.");
    job_info_clear(&info);
}

static bool
report(const struct task_of_group *t, GError **err)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint failed = 0;
    for (guint i = 0; i < t->parts->len; i++) {
        const struct part *p = &g_array_index(t->parts, struct part, i);
        if (!p->why)
            continue;
        failed++;
        g_string_append_printf(text, " %s: %s", p->name, p->why->message);
    }
    return !failed ||
           err_set(err, ERR_FAILED,
                   "%u of %u members of the group failed; call it again when that is mended, those that are done are left out.%s", failed,
                   t->parts->len, text->str);
}

static guint
percent_of(const struct task_of_group *t)
{
    guint sum = 0;
    for (guint i = 0; i < t->parts->len; i++)
        sum += g_array_index(t->parts, struct part, i).percent;
    return sum / MAX(t->parts->len, 1);
}

static bool
group_work(struct job *job, void *user, GError **err)
{
    struct task_of_group *t = user;
    for (guint i = 0; i < t->parts->len; i++) {
        struct part *p = &g_array_index(t->parts, struct part, i);
        p->over = !begin(t, p, &p->why) || !*p->job;
    }
    for (bool left = true; left;) {
        left = false;
        if (job_cancelled(job, err))
            return false;
        for (guint i = 0; i < t->parts->len; i++) {
            struct part *p = &g_array_index(t->parts, struct part, i);
            if (!p->over)
                follow(t, p, job);
            left |= !p->over;
        }
        job_progress(job, percent_of(t), "Waiting for all members");
    }
    return report(t, err);
}

/* ---- a call ---- */

static bool
choose_point(struct repl_service *s, const struct group *g, const struct group_call *call, struct group_point *out, GError **err)
{
    char text[UUID_TEXT];
    g_autoptr(GPtrArray) points = repl_group_points(s, &g->id, err);
    if (!points)
        return false;
    for (guint i = points->len; i-- > 0;)
        if (!call->point || uuid_equal(call->point, &((const struct group_point *)points->pdata[i])->id)) {
            take_point(points, i, out);
            return true;
        }
    if (call->point)
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no recovery point of group '%s'; vmreplica group points shows them.",
                       uuid_format(call->point, text), g->name);
    return err_set(err, ERR_INVALID_STATE, "Group '%s' has no point of one instant yet.", g->name);
}

/* After a planned failover every member's last state is the one that counts; it needs no common instant. */
static bool
all_planned(struct repl_service *s, const struct group *g)
{
    for (char **m = g->members; *m; m++) {
        struct uuid vm;
        uuid_parse(*m, &vm);
        g_autoptr(GArray) points = repl_points(s, &vm, NULL);
        if (!points || points->len == 0 || g_array_index(points, struct repl_point, points->len - 1).kind != LOG_KIND_PLANNED)
            return false;
    }
    return true;
}

static struct repl_settings *
settings_for(struct relation *rel, const struct group_call *call)
{
    if (!call->settings)
        return NULL;
    struct repl_settings *out = g_new0(struct repl_settings, 1);
    repl_settings_copy(out, call->settings);
    g_clear_pointer(&out->disks, g_strfreev);
    if (rel && call->method == GROUP_MODIFY) {
        HOLD(&rel->lock);
        out->disks = g_strdupv(rel->settings.disks);
    }
    return out;
}

static void
add_part(struct repl_service *s, struct task_of_group *t, const struct uuid *vm, const struct group_point *point,
         const struct group_call *call)
{
    struct part p = { .vm = *vm };
    relation_auto rel = core_find(s->core, vm, 0);
    for (guint i = 0; point->points && i < point->vms->len; i++)
        if (uuid_equal(&g_array_index(point->vms, struct uuid, i), vm))
            p.point = g_array_index(point->points, struct uuid, i);
    if (is_done(rel, call->method, &p.point))
        return;
    p.settings = settings_for(rel, call);
    vm_facts_auto facts = s->core->vm->facts_get(s->core->vms, vm, NULL);
    char text[UUID_TEXT];
    g_strlcpy(p.name, facts ? facts->name : uuid_format(vm, text), sizeof p.name);
    g_array_append_val(t->parts, p);
}

static struct task_of_group *
task_for(struct repl_service *s, const struct group *g, const struct group_point *point, const struct group_call *call, const char *owner)
{
    struct task_of_group *t = g_new0(struct task_of_group, 1);
    *t = (struct task_of_group){ .s = s, .method = call->method, .type = call->type, .location = g_strdup(call->location),
                                 .owner = g_strdup(owner), .start_us = call->start_us };
    t->parts = g_array_new(FALSE, TRUE, sizeof(struct part));
    g_array_set_clear_func(t->parts, part_clear);
    for (char **m = g->members; *m; m++) {
        struct uuid vm;
        if (uuid_parse(*m, &vm))
            add_part(s, t, &vm, point, call);
    }
    return t;
}

static bool
post(struct repl_service *s, const struct group *g, struct task_of_group *t, char job[UUID_TEXT], GError **err)
{
    char text[UUID_TEXT];
    g_autofree char *conflict = g_strdup_printf("group %s", uuid_format(&g->id, text));
    const struct job_request q = { .type = number_of(t->method), .name = jobs_name(number_of(t->method)), .owner = t->owner,
                                   .conflict = conflict, .cancellable = true, .work = group_work, .user = t,
                                   .user_free = task_of_group_free };
    return job_start(s->core->jobs, &q, job, err);
}

static bool
call_group(struct repl_service *s, const struct group *g, const struct group_call *call, const char *owner, char job[UUID_TEXT],
           GError **err)
{
    struct group_point point = { 0 };
    if (!g->members || !*g->members)
        return err_set(err, ERR_INVALID_STATE, "Group '%s' has no members.", g->name);
    const bool needs = call->method == GROUP_FAILOVER || call->method == GROUP_TEST;
    if (needs && (call->point || !all_planned(s, g)) && !choose_point(s, g, call, &point, err))
        return false;
    struct task_of_group *t = task_for(s, g, &point, call, owner);
    group_point_clear(&point);
    if (t->parts->len)
        return post(s, g, t, job, err);
    task_of_group_free(t);
    return err_set(err, ERR_INVALID_STATE, "No member of group '%s' is in a state for that, or all are done.", g->name);
}

bool
repl_group_call(struct repl_service *s, const struct uuid *id, const struct group_call *call, const char *owner, char job[UUID_TEXT],
                GError **err)
{
    struct group g = { 0 };
    *job = '\0';
    if (!repl_group_get(s, id, &g, err))
        return false;
    const bool ok = call_group(s, &g, call, owner, job, err);
    group_clear(&g);
    return ok;
}
