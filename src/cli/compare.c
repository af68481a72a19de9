/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include "cim/cimxml.h"

#include <string.h>

/* compare: CompareReplica, then what it counted, from the statistics of the relationship that it compared. */

struct counts {
    gint64 compared_us, pages, different;
};

static bool
read_counts(struct cli *c, const struct cim_instance *guest, struct counts *out, GError **err)
{
    cim_path_auto service = guest_service();
    struct cim_args *in = cim_args_new(), *answer = cim_args_new();
    guint32 result = 0;
    g_autofree char *extended = guest_extended(c, guest, NULL); /* else it is a primary */
    cim_args_set(in, "ComputerSystem", cim_ref(cim_instance_path(guest)));
    if (extended)
        cim_args_set(in, "ReplicationRelationship", cim_string(extended));
    const bool fine = wsman_client_invoke(c->client, service, extended ? "GetReplicationStatisticsEx" : "GetReplicationStatistics", in,
                                          answer, &result, NULL, err);
    const struct cim_value *v = fine ? cim_args_get(answer, "ReplicationStatistics") : NULL;
    const struct cim_value *text = v && v->array && v->items->len ? g_ptr_array_index(v->items, 0) : NULL;
    cim_instance_auto st = text && !text->null ? cim_xml_parse(text->text, "Msvm_ReplicationStatistics", NULL) : NULL;
    const char *words = st ? cim_get_string(st, "Description") : NULL;
    if (words)
        sscanf(words, "compared_us=%" G_GINT64_FORMAT " compared_pages=%" G_GINT64_FORMAT " different_pages=%" G_GINT64_FORMAT,
               &out->compared_us, &out->pages, &out->different);
    cim_args_free(in);
    cim_args_free(answer);
    return fine;
}

static bool
report(struct cli *c, const struct cim_instance *guest, bool repair, GError **err)
{
    struct counts n = {0};
    const char *name = cim_get_string(guest, "ElementName");
    if (!read_counts(c, guest, &n, err))
        return false;
    if (c->json)
        show_print_json(json_pack("{s:s?, s:o, s:I, s:I, s:b}", "name", name, "compared", show_json_time(n.compared_us), "pages",
                                  (json_int_t)n.pages, "different", (json_int_t)n.different, "repaired", repair && n.different));
    else
        printf("'%s': %" G_GINT64_FORMAT " pages compared, %" G_GINT64_FORMAT " differ%s.\n", name, n.pages, n.different,
               repair && n.different ? "ed and were sent again" : "");
    return !n.different || repair || err_set(err, ERR_CORRUPT, "The replica of '%s' has pages that differ from what is here.", name);
}

static bool
compare(struct cli *c, const struct cim_instance *guest, bool repair, GError **err)
{
    struct cim_args *args = cim_args_new();
    const bool json = c->json;
    cim_args_set(args, "Repair", cim_bool(repair));
    c->json = json && c->no_wait; /* one object only */
    const bool fine = method_on_guest(c, guest, "CompareReplica", args, "Comparing", NULL, err);
    c->json = json;
    return fine && (c->no_wait || report(c, guest, repair, err));
}

VERB(verb_compare)
{
    static const struct usage usage = {
        "VM [--repair]", "Compares a guest's disks with its replica, while both go on.",
        "Called on the primary host. Only hashes travel. Each page is compared as it is\n"
        "in a change log that the replica has; what is being written meanwhile is not\n"
        "called different, the next cycle brings it. --repair sends what differs. On\n"
        "the host in the middle of a chain: the replica here with the extended one."};
    gboolean repair = FALSE;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {{"repair", 0, 0, G_OPTION_ARG_NONE, &repair, "send the pages that differ again", NULL}, {0}};
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON | CLI_WAITS, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    return guest && compare(c, guest, repair, err);
}
