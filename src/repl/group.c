/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/group.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/record.h"
#include "store/store.h"

#include <string.h>

#define G(type, member) { #member, RECORD_##type, offsetof(struct group, member) }
static const struct record_field FIELDS[] = { G(UUID, id), G(TEXT, name), G(LIST, members), { NULL, RECORD_END, 0 } };

struct groups {
    GMutex lock;
    struct db *db;
    GPtrArray *all; /* struct group; under lock */
};

void
group_clear(struct group *g)
{
    g_free(g->name);
    g_strfreev(g->members);
    memset(g, 0, sizeof *g);
}

void
group_free(gpointer g)
{
    group_clear(g);
    g_free(g);
}

bool
group_has(const struct group *g, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g->members && g_strv_contains((const char *const *)g->members, uuid_format(vm, text));
}

static void
copy(struct group *to, const struct group *from)
{
    *to = (struct group){ from->id, g_strdup(from->name), g_strdupv(from->members) };
}

struct groups *
groups_load(struct db *db, GError **err)
{
    g_autoptr(GPtrArray) docs = db_list(db, DB_GROUPS, err);
    g_autoptr(GPtrArray) read = g_ptr_array_new_with_free_func(group_free);
    for (guint i = 0; docs && i < docs->len; i++) {
        struct group *g = g_new0(struct group, 1);
        g_ptr_array_add(read, g);
        json_scoped_record o = record_parse(docs->pdata[i], err);
        if (!o || !record_unpack(o, FIELDS, g, err))
            return NULL;
    }
    if (!docs)
        return NULL;
    struct groups *all = g_new0(struct groups, 1);
    g_mutex_init(&all->lock);
    all->db = db;
    all->all = g_steal_pointer(&read);
    return all;
}

void
groups_free(struct groups *all)
{
    if (!all)
        return;
    g_ptr_array_unref(all->all);
    g_mutex_clear(&all->lock);
    g_free(all);
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    const struct group *const *x = a, *const *y = b;
    return g_strcmp0((*x)->name, (*y)->name);
}

GPtrArray *
groups_list(struct groups *all)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(group_free);
    HOLD(&all->lock);
    for (guint i = 0; i < all->all->len; i++) {
        struct group *g = g_new0(struct group, 1);
        copy(g, all->all->pdata[i]);
        g_ptr_array_add(out, g);
    }
    g_ptr_array_sort(out, by_name);
    return out;
}

bool
groups_get(struct groups *all, const struct uuid *id, struct group *out)
{
    HOLD(&all->lock);
    for (guint i = 0; i < all->all->len; i++) {
        const struct group *g = all->all->pdata[i];
        if (!uuid_equal(&g->id, id))
            continue;
        copy(out, g);
        return true;
    }
    return false;
}

bool
groups_of(struct groups *all, const struct uuid *vm, struct group *out)
{
    HOLD(&all->lock);
    for (guint i = 0; i < all->all->len; i++) {
        const struct group *g = all->all->pdata[i];
        if (!group_has(g, vm))
            continue;
        copy(out, g);
        return true;
    }
    return false;
}

/* ---- changes ---- */

static bool
check(const struct group *g, GError **err)
{
    const guint members = g->members ? g_strv_length(g->members) : 0;
    if (!g->name || !*g->name || strlen(g->name) > GROUP_NAME_MAX || !g_utf8_validate(g->name, -1, NULL))
        return err_set(err, ERR_INVALID_PARAMETER, "A group needs a name of at most %d bytes.", GROUP_NAME_MAX);
    if (members > GROUP_MEMBERS_MAX)
        return err_set(err, ERR_INVALID_PARAMETER, "Group '%s' would have %u members; %d are possible.", g->name, members,
                       GROUP_MEMBERS_MAX);
    for (guint i = 0; i < members; i++) {
        struct uuid vm;
        if (!uuid_parse(g->members[i], &vm))
            return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no id of a guest.", g->members[i]);
        if (g_strv_contains((const char *const *)g->members + i + 1, g->members[i]))
            return err_set(err, ERR_EXISTS, "Guest '%s' is in group '%s' already.", g->members[i], g->name);
    }
    return true;
}

static bool
collides(const struct group *g, const struct group *other, GError **err)
{
    if (uuid_equal(&g->id, &other->id))
        return false;
    if (strcmp(g->name, other->name) == 0)
        return !err_set(err, ERR_EXISTS, "There is another group '%s' on this host; choose another name.", g->name);
    for (char **m = g->members; m && *m; m++)
        if (other->members && g_strv_contains((const char *const *)other->members, *m))
            return !err_set(err, ERR_EXISTS, "Guest '%s' is in group '%s'; take it out of that first.", *m, other->name);
    return false;
}

static void
replace_locked(struct groups *all, const struct group *g)
{
    struct group *fresh = g_new0(struct group, 1);
    copy(fresh, g);
    for (guint i = 0; i < all->all->len; i++)
        if (uuid_equal(&((const struct group *)all->all->pdata[i])->id, &g->id))
            g_ptr_array_remove_index_fast(all->all, i--);
    g_ptr_array_add(all->all, fresh);
}

bool
groups_put(struct groups *all, const struct group *g, GError **err)
{
    char key[UUID_TEXT];
    if (!check(g, err))
        return false;
    HOLD(&all->lock);
    for (guint i = 0; i < all->all->len; i++)
        if (collides(g, all->all->pdata[i], err))
            return false;
    g_autofree char *doc = record_doc(FIELDS, g);
    if (!db_put(all->db, DB_GROUPS, uuid_format(&g->id, key), doc, err))
        return false;
    replace_locked(all, g);
    return true;
}

bool
groups_remove(struct groups *all, const struct uuid *id, GError **err)
{
    char key[UUID_TEXT];
    HOLD(&all->lock);
    if (!db_remove(all->db, DB_GROUPS, uuid_format(id, key), err))
        return false;
    for (guint i = 0; i < all->all->len; i++)
        if (uuid_equal(&((const struct group *)all->all->pdata[i])->id, id))
            g_ptr_array_remove_index_fast(all->all, i--);
    return true;
}

/* ---- what travels with a log ---- */

struct section {
    struct uuid group, point;
    char *name, **members;
};
#define S(type, member) { #member, RECORD_##type, offsetof(struct section, member) }
static const struct record_field SECTION[] = { S(UUID, group), S(TEXT, name), S(UUID, point), S(LIST, members), { NULL, RECORD_END, 0 } };

char *
group_section(const struct group *g, const struct uuid *point)
{
    const struct section s = { g->id, *point, g->name, g->members };
    return record_doc(SECTION, &s);
}

bool
group_section_read(const char *text, struct group *g, struct uuid *point, GError **err)
{
    struct section s = { 0 };
    json_scoped_record o = record_parse(text, err);
    if (!o || !record_unpack(o, SECTION, &s, err)) {
        record_clear(SECTION, &s);
        return false;
    }
    *g = (struct group){ s.group, s.name, s.members };
    *point = s.point;
    if (!uuid_is_nil(&s.group) && !uuid_is_nil(&s.point) && check(g, NULL))
        return true;
    group_clear(g);
    return err_set(err, ERR_CORRUPT, "What a change log says about its group makes no sense.");
}

/* ---- on the replica host ---- */

/* *point nil: the log is of no instant. */
static bool
read_of(struct relation *rel, const struct uuid *log, struct group *g, struct uuid *point, GError **err)
{
    g_autoptr(GError) why = NULL;
    size_t len = 0;
    g_autofree char *text = store_section(rel->in.store, log, LOG_SECTION_GROUP, &len, &why);
    *point = UUID_NIL;
    if (why) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!text || group_section_read(text, g, point, &why))
        return true;
    log_warning("Guest '%s': %s", rel->r.name, why->message); /* it will say nothing else tomorrow */
    *point = UUID_NIL;
    return true;
}

static bool
same(const struct group *a, const struct group *b)
{
    return strcmp(a->name, b->name) == 0 && g_strv_equal((const char *const *)a->members, (const char *const *)b->members);
}

void
group_learn(struct core *c, struct relation *rel, const struct uuid *log)
{
    struct group said = { 0 }, known = { 0 };
    struct uuid point;
    g_autoptr(GError) why = NULL;
    if (!read_of(rel, log, &said, &point, NULL) || uuid_is_nil(&point))
        return;
    const bool is_known = groups_get(c->groups, &said.id, &known);
    if (group_has(&said, &rel->vm) && (!is_known || !same(&said, &known)) && !groups_put(c->groups, &said, &why))
        log_warning("Guest '%s' belongs to a group on its primary host that is not taken over: %s", rel->r.name, why->message);
    group_clear(&said);
    group_clear(&known);
}

/* Logs do not change: each is read once. */
struct membership {
    struct uuid group, point;
    guint members;
};

static bool
recall_locked(struct relation *rel, const char *key, struct membership *out)
{
    const struct membership *m = rel->in.instants ? g_hash_table_lookup(rel->in.instants, key) : NULL;
    if (m)
        *out = *m;
    return m != NULL;
}

static void
keep_locked(struct relation *rel, const char *key, const struct membership *m)
{
    enum { MOST = 20000 };
    if (!rel->in.instants)
        rel->in.instants = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (g_hash_table_size(rel->in.instants) >= MOST)
        g_hash_table_remove_all(rel->in.instants);
    g_hash_table_insert(rel->in.instants, g_strdup(key), g_memdup2(m, sizeof *m));
}

static bool
learn_locked(struct relation *rel, const struct uuid *log, const char *key, struct membership *out, GError **err)
{
    struct group g = { 0 };
    if (!read_of(rel, log, &g, &out->point, err))
        return false;
    out->group = g.id;
    out->members = g.members ? g_strv_length(g.members) : 0;
    group_clear(&g);
    keep_locked(rel, key, out);
    return true;
}

bool
group_point_of_locked(struct relation *rel, const struct uuid *log, struct uuid *group, struct uuid *point, guint *members, GError **err)
{
    char key[UUID_TEXT];
    struct membership m = { 0 };
    g_autoptr(GError) why = NULL;
    uuid_format(log, key);
    if (!recall_locked(rel, key, &m) && rel->in.store && !learn_locked(rel, log, key, &m, &why)) {
        if (!err_is(why, ERR_NOT_FOUND) && !err_is_damage(why))
            g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    *group = m.group;
    *point = m.point;
    *members = m.members;
    return !uuid_is_nil(&m.point);
}

bool
group_point_of(struct relation *rel, const struct uuid *log, struct uuid *group, struct uuid *point, guint *members)
{
    HOLD(&rel->lock);
    return group_point_of_locked(rel, log, group, point, members, NULL);
}
