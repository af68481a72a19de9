/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/group.h"

#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include <string.h>

/* group: Msvm_VirtualSystemCollection and its services. */

static const char *
text_of(const struct cim_instance *i, const char *property)
{
    const char *text = cim_get_string(i, property);
    return text ? text : "";
}

struct cim_instance *
group_find(struct cli *c, const char *name, GError **err)
{
    g_autoptr(GPtrArray) all = cli_connect(c, err) ? wsman_client_enumerate(c->client, "Msvm_VirtualSystemCollection", err) : NULL;
    for (guint i = 0; all && i < all->len; i++)
        if (strcmp(text_of(all->pdata[i], "ElementName"), name) == 0 ||
            g_ascii_strcasecmp(text_of(all->pdata[i], "CollectionID"), name) == 0)
            return cim_instance_copy(all->pdata[i]);
    if (all)
        err_set(err, ERR_NO_SUCH_INSTANCE, "There is no group '%s' on this host. See vmreplica group list.", name);
    return NULL;
}

static char **
texts_of(const struct cim_instance *i, const char *property, guint from)
{
    const struct cim_value *v = cim_get(i, property);
    g_autoptr(GPtrArray) out = g_ptr_array_new();
    for (guint n = from; v && !v->null && n < v->items->len; n++)
        g_ptr_array_add(out, g_strdup(((const struct cim_value *)v->items->pdata[n])->text));
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&out), FALSE);
}

char **
group_members(struct cli *c, const struct cim_instance *group, GError **err)
{
    g_autoptr(GPtrArray) all = wsman_client_enumerate(c->client, "Msvm_CollectionReplicationSettingData", err);
    for (guint i = 0; all && i < all->len; i++)
        if (g_ascii_strcasecmp(text_of(all->pdata[i], "InstanceID"), text_of(group, "InstanceID")) == 0)
            return texts_of(all->pdata[i], "PrimaryReplicationEntityIDs", 1);
    return all ? g_new0(char *, 1) : NULL;
}

static gint
by_time(gconstpointer a, gconstpointer b)
{
    const gint64 x = show_get_time(*(const struct cim_instance *const *)a, "CreationTime"),
                 y = show_get_time(*(const struct cim_instance *const *)b, "CreationTime");
    return x < y ? -1 : x > y;
}

GPtrArray *
group_points(struct cli *c, const struct cim_instance *group, GError **err)
{
    GPtrArray *all = wsman_client_enumerate(c->client, "Msvm_CollectionRecoveryPoint", err);
    for (guint i = all ? all->len : 0; i-- > 0;)
        if (g_ascii_strcasecmp(text_of(all->pdata[i], "CollectionID"), text_of(group, "CollectionID")) != 0)
            g_ptr_array_remove_index(all, i);
    if (all)
        g_ptr_array_sort(all, by_time);
    return all;
}

bool
group_call(struct cli *c, const struct cim_instance *group, const char *method, struct cim_args *args, const char *title, const char *done,
           GError **err)
{
    cim_path_auto service = cim_path_new(NULL, "Msvm_CollectionReplicationService");
    struct cim_args *all = args ? args : cim_args_new();
    cim_args_set(all, "Collection", cim_ref(cim_instance_path(group)));
    return method_call(c, service, method, all, title, done, err);
}

bool
group_point_argument(struct cli *c, const struct cim_instance *group, const char *wanted, struct cim_args *args, GError **err)
{
    if (!wanted || strcmp(wanted, "latest") == 0)
        return true;
    g_autoptr(GPtrArray) points = group_points(c, group, err);
    const struct cim_instance *point = points ? guest_point_pick(points, wanted, err) : NULL;
    if (point)
        cim_args_set(args, "CollectionRecoveryPoint", cim_ref(cim_instance_path(point)));
    return point != NULL;
}

/* ---- actions ---- */

struct wish {
    char *point;
    gboolean stop;
};

static bool
manage(struct cli *c, const char *method, const struct cim_instance *group, const struct cim_instance *guest, const char *done,
       GError **err)
{
    cim_path_auto service = cim_path_new(NULL, "Msvm_CollectionManagementService");
    struct cim_args *args = cim_args_new();
    cim_args_set(args, "Collection", cim_ref(cim_instance_path(group)));
    if (guest)
        cim_args_set(args, "Member", cim_ref(cim_instance_path(guest)));
    return method_call(c, service, method, args, "Group", done, err);
}

static bool
change_members(struct cli *c, char **args, const char *method, const char *done, GError **err)
{
    cim_instance_auto group = group_find(c, args[1], err);
    for (char **name = args + 2; group && *name; name++) {
        cim_instance_auto guest = guest_find(c, *name, err);
        g_autofree char *text = g_strdup_printf("'%s' %s '%s'.", *name, done, args[1]);
        if (!guest || !manage(c, method, group, guest, text, err))
            return false;
    }
    return group != NULL;
}

static bool
do_add(struct cli *c, char **args, const struct wish *w, GError **err)
{
    return change_members(c, args, "AddMember", "is in group", err);
}

static bool
do_create(struct cli *c, char **args, const struct wish *w, GError **err)
{
    cim_path_auto service = cim_path_new(NULL, "Msvm_CollectionManagementService");
    struct cim_args *in = cim_args_new();
    cim_args_set(in, "Name", cim_string(args[1]));
    g_autofree char *text = g_strdup_printf("Group '%s' was made.", args[1]);
    return method_call(c, service, "DefineCollection", in, "Group", text, err) && do_add(c, args, w, err);
}

static bool
do_remove(struct cli *c, char **args, const struct wish *w, GError **err)
{
    if (args[2])
        return change_members(c, args, "RemoveMember", "is no longer in group", err);
    cim_instance_auto group = group_find(c, args[1], err);
    return group && manage(c, "DestroyCollection", group, NULL, "The group is gone; its guests are replicated as before.", err);
}

static json_t *
list_json(GPtrArray *all)
{
    json_t *out = json_array();
    for (guint i = 0; i < all->len; i++)
        json_array_append_new(out, show_json(all->pdata[i]));
    return out;
}

static char *
member_names(struct cli *c, const struct cim_instance *group)
{
    g_auto(GStrv) ids = group_members(c, group, NULL);
    GString *out = g_string_new(NULL);
    for (char **id = ids; id && *id; id++) {
        cim_instance_auto guest = guest_find(c, *id, NULL);
        g_string_append_printf(out, "%s%s", out->len ? ", " : "", guest ? text_of(guest, "ElementName") : *id);
    }
    return g_string_free(out, FALSE);
}

static bool
do_list(struct cli *c, char **args, const struct wish *w, GError **err)
{
    g_autoptr(GPtrArray) all = cli_connect(c, err) ? wsman_client_enumerate(c->client, "Msvm_VirtualSystemCollection", err) : NULL;
    if (!all)
        return false;
    if (c->json) {
        show_print_json(list_json(all));
        return true;
    }
    struct table *t = table_new("NAME", "MODE", "STATE", "MEMBERS", "ID", NULL);
    for (guint i = 0; i < all->len; i++) {
        static const char *const MORE[] = {[11] = "Planned failover", [14] = "Partially enabled", [16] = "Partially recovered"};
        const struct cim_instance *g = all->pdata[i];
        const guint state = (guint)cim_get_uint(g, "ReplicationState");
        g_autofree char *members = member_names(c, g);
        table_add(t, cim_get_string(g, "ElementName"));
        table_add(t, show_mode((guint)cim_get_uint(g, "ReplicationMode")));
        table_add(t, state == 4 ? "Failover" : state < G_N_ELEMENTS(MORE) && MORE[state] ? MORE[state] : show_state(state));
        table_add(t, members);
        table_add(t, cim_get_string(g, "CollectionID"));
    }
    if (all->len)
        table_print(t, stdout);
    else
        puts("No groups. Make one with: vmreplica group create NAME VM...");
    table_free(t);
    return true;
}

static bool
do_points(struct cli *c, char **args, const struct wish *w, GError **err)
{
    cim_instance_auto group = group_find(c, args[1], err);
    g_autoptr(GPtrArray) points = group ? group_points(c, group, err) : NULL;
    if (!points)
        return false;
    if (c->json) {
        show_print_json(list_json(points));
        return true;
    }
    struct table *t = table_new("CAPTURED", "KIND", ">GUESTS", "ID", NULL);
    for (guint i = 0; i < points->len; i++) {
        g_autofree char *when = show_time(show_get_time(points->pdata[i], "CreationTime"));
        g_auto(GStrv) vms = texts_of(points->pdata[i], "VirtualMachineIds", 0);
        table_add(t, when);
        table_add(t, cim_get_uint(points->pdata[i], "ConsistencyLevel") == 1 ? "application" : "standard");
        table_add_format(t, "%u", g_strv_length(vms));
        table_add(t, guest_point_id(points->pdata[i]));
    }
    if (points->len)
        table_print(t, stdout);
    else
        puts("No points of one instant. They are on the host that holds the replicas.");
    table_free(t);
    return true;
}

static bool
on_point(struct cli *c, char **args, const struct wish *w, const char *method, const char *title, const char *done, GError **err)
{
    cim_instance_auto group = group_find(c, args[1], err);
    struct cim_args *in = cim_args_new();
    if (group && group_point_argument(c, group, w->point, in, err))
        return group_call(c, group, method, in, title, done, err);
    cim_args_free(in);
    return false;
}

static bool
do_failover(struct cli *c, char **args, const struct wish *w, GError **err)
{
    return on_point(c, args, w, "InitiateFailover", "Failover",
                    "All guests were brought up from one instant. Start them with vmreplica power VM on, or vmreplica plan run.", err);
}

static bool
simple(struct cli *c, char **args, const char *method, const char *title, const char *done, GError **err)
{
    cim_instance_auto group = group_find(c, args[1], err);
    return group && group_call(c, group, method, NULL, title, done, err);
}

static bool
do_test(struct cli *c, char **args, const struct wish *w, GError **err)
{
    if (w->stop)
        return simple(c, args, "RevertTestReplicaCollection", "Test", "The test guests are gone.", err);
    return on_point(c, args, w, "TestReplicaCollection", "Test",
                    "The test guests are there, off. End with: vmreplica group test NAME --stop", err);
}

static bool
do_start(struct cli *c, char **args, const struct wish *w, GError **err)
{
    cim_instance_auto group = group_find(c, args[1], err);
    struct cim_args *in = cim_args_new();
    cim_args_set(in, "InitialReplicationType", cim_uint(CIM_UINT16, 1));
    if (group)
        return group_call(c, group, "StartReplication", in, "First copy", "All members are replicated.", err);
    cim_args_free(in);
    return false;
}

static const struct {
    const char *name, *method, *title, *done;
} SIMPLE[] = {
    {"revert", "RevertFailover", "Revert", "The failover was undone."},
    {"commit", "CommitFailover", "Commit", "The failover is final."},
    {"reverse", "ReverseReplicationRelationship", "Reverse", "This host is the primary of all members."},
    {"prepare", "InitiatePlannedFailover", "Prepare", "All members are ready for failover on the other host."},
    {"suspend", "SuspendReplication", "Suspend", "Replication of all members is paused."},
    {"resume", "ResumeReplication", "Resume", "Replication of all members goes on."},
};

static const struct {
    const char *name;
    guint min, max; /* arguments, the action's name among them */
    bool (*run)(struct cli *c, char **args, const struct wish *w, GError **err);
} actions[] = {
    {"list", 1, 1, do_list}, {"create", 2, G_MAXINT, do_create}, {"add", 3, G_MAXINT, do_add}, {"remove", 2, G_MAXINT, do_remove},
    {"points", 2, 2, do_points}, {"failover", 2, 2, do_failover}, {"test", 2, 2, do_test}, {"start", 2, 2, do_start},
};

static bool
run(struct cli *c, char **args, const struct usage *usage, const struct wish *w, GError **err)
{
    const char *name = args[0] ? args[0] : "list";
    if (!args[0])
        return do_list(c, args, w, err);
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (strcmp(name, actions[i].name) == 0)
            return cli_count(args, actions[i].min, actions[i].max, usage, "group", err) && actions[i].run(c, args, w, err);
    for (size_t i = 0; i < G_N_ELEMENTS(SIMPLE); i++)
        if (strcmp(name, SIMPLE[i].name) == 0)
            return cli_count(args, 2, 2, usage, "group", err) &&
                   simple(c, args, SIMPLE[i].method, SIMPLE[i].title, SIMPLE[i].done, err);
    return err_set(err, ERR_USAGE, "'%s' is nothing that group does. Usage: vmreplica group %s", name, usage->synopsis);
}

VERB(verb_group)
{
    static const struct usage usage = {
        "[list] | ACTION NAME [VM...]", "Guests that belong together: recovery points of one instant.",
        "  create NAME [VM...]           on the primary host; the replica host learns it\n"
        "  add NAME VM...                each is in one group at most\n"
        "  remove NAME [VM...]           some members, or the group itself\n"
        "  start, suspend, resume NAME   replication of all members\n"
        "  points NAME                   what all members have of one instant\n"
        "  test NAME [--stop]            a copy of each beside the replicas\n"
        "  failover NAME                 all from the same instant\n"
        "  prepare, revert, commit, reverse NAME\n"
        "\n"
        "Called again, an action goes on with the members that are left."};
    struct wish w = {0};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"point", 'p', 0, G_OPTION_ARG_STRING, &w.point, "failover, test: see group points", "POINT"},
        {"stop", 0, 0, G_OPTION_ARG_NONE, &w.stop, "test: remove the test guests", NULL},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err);
    if (!fine)
        fine = c->helped;
    else
        fine = run(c, args, &usage, &w, err);
    g_free(w.point);
    return fine;
}
