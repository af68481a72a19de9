/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Groups: guests that belong together, so that their recovery points have to be of one instant (round.h).
 *
 * A group is a record of this host: id, name, members in the order in which they were added.  A guest is in one group at most.  The
 * primary host's administrator makes it; every log of a common instant says in LOG_SECTION_GROUP which group it belongs to, who the members
 * are and which instant it is, so the replica host learns the group from the first such log and has it when the roles change.
 *
 *   {"group": ID, "name": TEXT, "point": ID of the instant, "members": [ID of the guest, ...]}
 *
 * A group point is whole when each of the members that its logs name has a visible recovery point with this id; what is not whole is
 * no group point.  Copies everywhere; any thread; the lock inside comes after core's and relations'. */

enum { GROUP_MEMBERS_MAX = 64, GROUP_NAME_MAX = 128 };

struct group {
    struct uuid id;
    char *name;
    char **members;             /* GUIDs in upper case */
};
void group_clear(struct group *g);
void group_free(gpointer g);
bool group_has(const struct group *g, const struct uuid *vm);

struct groups *groups_load(struct db *db, GError **err);
void groups_free(struct groups *all); /* NULL is fine */

GPtrArray *groups_list(struct groups *all);                                             /* struct group copies, by name */
bool groups_get(struct groups *all, const struct uuid *id, struct group *out);
bool groups_of(struct groups *all, const struct uuid *vm, struct group *out);           /* the group of a guest */
/* Saves it, new or changed.  ERR_EXISTS: another group has its name or one of its members; ERR_INVALID_PARAMETER. */
bool groups_put(struct groups *all, const struct group *g, GError **err);
bool groups_remove(struct groups *all, const struct uuid *id, GError **err);

/* --- what travels with a log --- */
char *group_section(const struct group *g, const struct uuid *point);                   /* g_free */
/* ERR_CORRUPT: it is none. */
bool group_section_read(const char *text, struct group *g, struct uuid *point, GError **err);
/* The replica host takes over what a log of its primary says; a group that this host's administrator changed otherwise stays. */
void group_learn(struct core *c, struct relation *rel, const struct uuid *log);
/* Which instant a point is of, and how many members its group had then; false: of none.  Of none is also a log that is not there any more
 * or damaged (err_is_damage); with *err the log could not be opened now, and nothing is known of it. */
bool group_point_of(struct relation *rel, const struct uuid *log, struct uuid *group, struct uuid *point, guint *members);
bool group_point_of_locked(struct relation *rel, const struct uuid *log, struct uuid *group, struct uuid *point, guint *members,
                           GError **err);
