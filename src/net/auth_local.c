/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/auth_local.h"

#include "net/auth.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

#define GROUPS_MAX 1024

static bool
in_group(const char *user, const char *name)
{
    struct passwd pw, *found = NULL;
    struct group gr, *group = NULL;
    g_autofree char *pw_buffer = g_malloc(16384), *gr_buffer = g_malloc(65536);
    g_autofree gid_t *groups = g_new(gid_t, GROUPS_MAX);
    int count = GROUPS_MAX;
    if (getgrnam_r(name, &gr, gr_buffer, 65536, &group) != 0 || !group || getpwnam_r(user, &pw, pw_buffer, 16384, &found) != 0 ||
        !found || getgrouplist(user, found->pw_gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++)
        if (groups[i] == group->gr_gid)
            return true;
    return false;
}

enum net_role
auth_local_role(const struct net_peer *from)
{
    static const struct {
        const char *group;
        enum net_role role;
    } GROUPS[] = {{AUTH_GROUP, ROLE_ADMINISTRATOR}, {AUTH_GROUP_OPERATORS, ROLE_OPERATOR}, {AUTH_GROUP_VIEWERS, ROLE_VIEWER}};
    if (from->role == ROLE_ADMINISTRATOR)
        return from->role;
    for (gsize i = 0; i < G_N_ELEMENTS(GROUPS); i++)
        if (in_group(from->user, GROUPS[i].group))
            return GROUPS[i].role;
    return ROLE_NOBODY;
}
