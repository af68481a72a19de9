/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/point.h"
#include "cli/show.h"

#include "base/clock.h"
#include "cim/cimxml.h"

#include <string.h>

/* point pin, unpin, protect: ModifySystemSettings with one line of Notes. */

static bool
line_of(const char *action, const char *until, char **line, char **done, GError **err)
{
    gint64 at;
    const bool protect = strcmp(action, "protect") == 0;
    if (protect != (until != NULL))
        return err_set(err, ERR_USAGE, protect ? "--until is missing: the date until which the point shall be protected."
                                               : "--until belongs to 'point protect'.");
    if (!protect) {
        *line = g_strdup(strcmp(action, "pin") == 0 ? "pinned=yes" : "pinned=no");
        *done = g_strdup(strcmp(action, "pin") == 0 ? "is pinned." : "is pinned no more.");
        return true;
    }
    if (!cli_time(until, &at, err))
        return false;
    g_autofree char *date = clock_iso8601(at);
    *line = g_strconcat("protected=", date, NULL);
    g_autofree char *shown = show_time(at);
    *done = g_strdup_printf("is protected until %s.", shown);
    return true;
}

static struct cim_path *
management_service(void)
{
    struct cim_path *p = cim_path_new(NULL, "Msvm_VirtualSystemManagementService");
    cim_path_set(p, "CreationClassName", "Msvm_VirtualSystemManagementService");
    return p;
}

static bool
send(struct cli *c, const struct cim_instance *point, char *line, const char *done, GError **err)
{
    cim_path_auto service = management_service();
    cim_instance_auto wish = cim_instance_copy(point);
    struct cim_args *args = cim_args_new();
    cim_set_strings(wish, "Notes", (char *[]){line, NULL});
    g_autofree char *text = cim_xml_text(wish), *said = g_strdup_printf("Recovery point %s %s", guest_point_id(point), done);
    cim_args_set(args, "SystemSettings", cim_string(text));
    return method_call(c, service, "ModifySystemSettings", args, "Recovery point", said, err);
}

bool
point_keep(struct cli *c, const char *action, const char *guest, const char *wanted, const char *until, GError **err)
{
    g_autofree char *line = NULL, *done = NULL;
    if (!line_of(action, until, &line, &done, err))
        return false;
    cim_instance_auto found = guest_find(c, guest, err);
    g_autoptr(GPtrArray) points = found ? guest_points(c, found, err) : NULL;
    const struct cim_instance *point = points ? guest_point_pick(points, wanted, err) : NULL;
    return point && send(c, point, line, done, err);
}
