/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"

#include "cli/show.h"

#include "cim/cimxml.h"

#include <string.h>

#define ID_PREFIX "Microsoft:"

char *
guest_quote(const char *text)
{
    GString *out = g_string_new("'");
    for (const char *p = text; *p; p++) {
        if (*p == '\'' || *p == '\\')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *p);
    }
    g_string_append_c(out, '\'');
    return g_string_free(out, FALSE);
}

struct cim_instance *
guest_find(struct cli *c, const char *name, GError **err)
{
    struct uuid u;
    g_autofree char *quoted = guest_quote(name);
    g_autofree char *wql = g_strdup_printf("SELECT * FROM Msvm_ComputerSystem WHERE Name != __SERVER AND %s = %s",
                                           uuid_parse(name, &u) ? "Name" : "ElementName", quoted);
    g_autoptr(GPtrArray) found = cli_connect(c, err) ? wsman_client_query(c->client, wql, err) : NULL;
    if (!found)
        return NULL;
    if (found->len == 1)
        return cim_instance_copy(g_ptr_array_index(found, 0));
    if (found->len == 0)
        err_set(err, ERR_NO_SUCH_INSTANCE, "There is no guest '%s' on this host. See vmreplica status.", name);
    else
        err_set(err, ERR_INVALID_PARAMETER, "%u guests are named '%s'. Use the UUID; see vmreplica status --json.", found->len, name);
    return NULL;
}

GPtrArray *
guest_settings(struct cli *c, const struct cim_instance *guest, const char *class_name, GError **err)
{
    g_autofree char *prefix = g_strdup_printf("Microsoft:%s\\", cim_get_string(guest, "Name"));
    g_autoptr(GPtrArray) all = wsman_client_enumerate(c->client, class_name, err);
    if (!all)
        return NULL;
    GPtrArray *out = cim_instances_new();
    for (guint n = 0; n < all->len; n++) {
        const char *id = cim_get_string(g_ptr_array_index(all, n), "InstanceID");
        if (id && !g_ascii_strncasecmp(id, prefix, strlen(prefix)))
            g_ptr_array_add(out, cim_instance_copy(g_ptr_array_index(all, n)));
    }
    return out;
}

static gint
by_time(gconstpointer a, gconstpointer b)
{
    gint64 x = show_get_time(*(const struct cim_instance *const *)a, "CreationTime"),
           y = show_get_time(*(const struct cim_instance *const *)b, "CreationTime");
    return x < y ? -1 : x > y;
}

GPtrArray *
guest_points(struct cli *c, const struct cim_instance *guest, GError **err)
{
    cim_path_auto path = cim_instance_path(guest);
    g_autofree char *text = cim_path_text(path);
    g_autofree char *wql = g_strdup_printf(
        "ASSOCIATORS OF {%s} WHERE AssocClass = Msvm_SnapshotOfVirtualSystem ResultClass = Msvm_VirtualSystemSettingData", text);
    GPtrArray *points = wsman_client_query(c->client, wql, err);
    if (points)
        g_ptr_array_sort(points, by_time);
    return points;
}

const char *
guest_point_id(const struct cim_instance *point)
{
    const char *id = cim_get_string(point, "InstanceID");
    if (!id)
        return "";
    return g_str_has_prefix(id, ID_PREFIX) ? id + strlen(ID_PREFIX) : id;
}

static const struct cim_instance *
pick_id(GPtrArray *points, const char *wanted, GError **err)
{
    for (guint i = 0; i < points->len; i++)
        if (g_ascii_strcasecmp(guest_point_id(g_ptr_array_index(points, i)), wanted) == 0)
            return g_ptr_array_index(points, i);
    err_set(err, ERR_NO_SUCH_INSTANCE, "The guest has no recovery point '%s' (any more). See vmreplica points.", wanted);
    return NULL;
}

const struct cim_instance *
guest_point_pick(GPtrArray *points, const char *wanted, GError **err)
{
    struct uuid u;
    gint64 at;
    const struct cim_instance *best = NULL;
    if (points->len == 0) {
        err_set(err, ERR_NO_SUCH_INSTANCE, "The guest has no recovery points on this host. See vmreplica status.");
        return NULL;
    }
    if (strcmp(wanted, "oldest") == 0)
        return g_ptr_array_index(points, 0);
    if (strcmp(wanted, "latest") == 0)
        return g_ptr_array_index(points, points->len - 1);
    if (g_str_has_prefix(wanted, ID_PREFIX))
        wanted += strlen(ID_PREFIX);
    if (uuid_parse(wanted, &u))
        return pick_id(points, wanted, err);
    if (!cli_time(wanted, &at, err))
        return NULL;
    for (guint i = 0; i < points->len && show_get_time(g_ptr_array_index(points, i), "CreationTime") <= at; i++)
        best = g_ptr_array_index(points, i);
    if (!best)
        err_set(err, ERR_NO_SUCH_INSTANCE, "No recovery point is as old as '%s'. See vmreplica points.", wanted);
    return best;
}

/* By its id alone, since a guest may have thousands of points: NULL when it is no id, or none of this guest's points. */
static struct cim_path *
path_of_point(struct cli *c, const struct cim_instance *guest, const char *wanted)
{
    char text[UUID_TEXT];
    struct uuid u;
    if (!uuid_parse(g_str_has_prefix(wanted, ID_PREFIX) ? wanted + strlen(ID_PREFIX) : wanted, &u) || !cli_connect(c, NULL))
        return NULL;
    g_autofree char *id = g_strconcat(ID_PREFIX, uuid_format(&u, text), NULL);
    struct cim_path *path = cim_path_new(NULL, "Msvm_VirtualSystemSettingData");
    cim_path_set(path, "InstanceID", id);
    cim_instance_auto i = wsman_client_get(c->client, path, NULL);
    const char *vm = i ? cim_get_string(i, "VirtualSystemIdentifier") : NULL, *type = i ? cim_get_string(i, "VirtualSystemType") : NULL;
    if (vm && type && strstr(type, ":Snapshot:") && g_ascii_strcasecmp(vm, cim_get_string(guest, "Name")) == 0)
        return path;
    cim_path_free(path);
    return NULL;
}

bool
guest_point_argument(struct cli *c, const struct cim_instance *guest, const char *wanted, struct cim_args *args, GError **err)
{
    struct cim_path *path = path_of_point(c, guest, wanted);
    if (!path) {
        g_autoptr(GPtrArray) points = guest_points(c, guest, err);
        const struct cim_instance *point = points ? guest_point_pick(points, wanted, err) : NULL;
        path = point ? cim_instance_path(point) : NULL;
    }
    if (path)
        cim_args_set(args, "SnapshotSettingData", cim_ref(path));
    return path != NULL;
}

char *
guest_of_id(const char *instance_id)
{
    if (!instance_id || !g_str_has_prefix(instance_id, ID_PREFIX) || strlen(instance_id) < strlen(ID_PREFIX) + UUID_TEXT - 1)
        return NULL;
    return g_strndup(instance_id + strlen(ID_PREFIX), UUID_TEXT - 1);
}

struct cim_path *
guest_service(void)
{
    struct cim_path *p = cim_path_new(NULL, "Msvm_ReplicationService");
    cim_path_set(p, "CreationClassName", "Msvm_ReplicationService");
    return p;
}

static char *
thumbprint_of_first(const struct cim_value *certificates)
{
    gsize len = 0;
    if (!certificates || !certificates->array || certificates->items->len == 0)
        return NULL;
    const struct cim_value *first = g_ptr_array_index(certificates->items, 0);
    g_autofree guchar *der = first->null ? NULL : g_base64_decode(first->text, &len);
    g_autofree char *lower = der ? g_compute_checksum_for_data(G_CHECKSUM_SHA1, der, len) : NULL;
    return lower ? g_ascii_strup(lower, -1) : NULL;
}

char *
guest_extended(struct cli *c, const struct cim_instance *guest, GError **err)
{
    cim_path_auto path = cim_instance_path(guest);
    g_autoptr(GPtrArray) all = wsman_client_associators(c->client, path, "Msvm_ReplicationRelationship", err);
    for (guint i = 0; all && i < all->len; i++) {
        const struct cim_instance *one = g_ptr_array_index(all, i);
        const char *id = cim_get_string(one, "InstanceID");
        if (id && g_str_has_suffix(id, "\\HVR\\1") && cim_get_uint(one, "ReplicationState") != 0)
            return cim_xml_text(one);
    }
    if (all)
        err_set(err, ERR_INVALID_STATE, "'%s' is not extended to a third host from here.", cim_get_string(guest, "ElementName"));
    return NULL;
}

char *
guest_host_thumbprint(struct cli *c)
{
    cim_path_auto service = guest_service();
    struct cim_args *out = cim_args_new();
    guint32 result = 1;
    bool fine = wsman_client_invoke(c->client, service, "GetSystemCertificates", NULL, out, &result, NULL, NULL);
    char *text = fine && result == 0 ? thumbprint_of_first(cim_args_get(out, "EncodedCertificates")) : NULL;
    cim_args_free(out);
    return text;
}
