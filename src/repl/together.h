/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/group.h"
#include "repl/service.h"

/* What a provider may ask about groups (group.h), and the methods that act on all members.
 *
 * A method of a group is the method of each member, in the order of the members, as one job: it begins with every member that is not done
 * yet, waits for all, and fails when one of them refused or failed, naming each.  Called again, it goes on with those that are left.  Any
 * thread. */

GPtrArray *repl_groups(struct repl_service *s);                             /* struct group, by name */
bool repl_group_get(struct repl_service *s, const struct uuid *id, struct group *out, GError **err); /* ERR_NO_SUCH_INSTANCE */
/* id nil: a new one, which is written there. */
bool repl_group_put(struct repl_service *s, struct group *g, GError **err);
/* Adds (at the end) or takes out a guest of this host.  ERR_NO_SUCH_INSTANCE, ERR_EXISTS, ERR_NOT_FOUND. */
bool repl_group_change(struct repl_service *s, const struct uuid *id, const struct uuid *vm, bool add, GError **err);
bool repl_group_remove(struct repl_service *s, const struct uuid *id, GError **err); /* the members' replication stays as it is */

/* The test guests that the members of a group have, as a collection that is there as long as they are: "<name> - Test", its id made of the
 * group's, its members the test guests.  False: there is none.  group_clear. */
bool repl_group_tests(struct repl_service *s, const struct group *g, struct group *out);
/* The group whose test guests that collection has; ERR_NO_SUCH_INSTANCE. */
bool repl_group_of_tests(struct repl_service *s, const struct uuid *tests, struct group *out, GError **err);

/* Points that all members have of one instant, oldest first. */
struct group_point {
    struct uuid id;
    struct uuid group;
    gint64 capture_us;          /* of the first member */
    bool application;           /* each is application-consistent */
    GArray *vms, *points;       /* struct uuid, in the order of members */
};
void group_point_free(gpointer p);
GPtrArray *repl_group_points(struct repl_service *s, const struct uuid *id, GError **err);
bool repl_group_point_find(struct repl_service *s, const struct uuid *point, struct group_point *out); /* group_point_clear */
void group_point_clear(struct group_point *p);

enum group_method {
    GROUP_START, GROUP_SUSPEND, GROUP_RESUME, GROUP_RESYNC, GROUP_REMOVE, GROUP_CANCEL_INITIAL, GROUP_CANCEL_RESYNC,
    GROUP_PREPARE, GROUP_PREPARE_CANCEL, GROUP_FAILOVER, GROUP_REVERT, GROUP_COMMIT, GROUP_REVERSE, GROUP_TEST, GROUP_TEST_REMOVE,
    GROUP_CREATE, GROUP_MODIFY, GROUP_METHODS
};
struct group_call {
    enum group_method method;
    const struct uuid *point;   /* GROUP_FAILOVER, GROUP_TEST: NULL is the newest group point */
    struct repl_settings *settings; /* GROUP_CREATE, GROUP_MODIFY, GROUP_REVERSE (NULL: as before); disks are each guest's own */
    guint type;                 /* GROUP_START: of the initial copy */
    const char *location;
    gint64 start_us;
};
bool repl_group_call(struct repl_service *s, const struct uuid *id, const struct group_call *call, const char *owner, char job[UUID_TEXT],
                     GError **err);
