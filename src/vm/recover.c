/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/capture_int.h"

#include "base/err.h"
#include "vm/qjob.h"
#include "vm/qmp.h"

/* An NBD server that has exports of ours only, or none at all while libvirt runs no backup, was left by us. */
static bool
server_is_ours(virDomainPtr dom, const json_t *exports, bool *ours, GError **err)
{
    const char *guest = virDomainGetName(dom);
    size_t i;
    json_t *e;
    *ours = false;
    json_array_foreach(exports, i, e) {
        const char *id = qmp_text(e, "id");
        if (!id || !g_str_has_prefix(id, "vmr-"))
            return true;
    }
    virDomainJobInfo job = { 0 };
    if (json_array_size(exports) == 0 && virDomainGetJobInfo(dom, &job) < 0)
        return conn_error(err, "It cannot be found out whether guest '%s' has another job in libvirt", guest);
    *ours = json_array_size(exports) > 0 || job.type == VIR_DOMAIN_JOB_NONE;
    return true;
}

/* Exports of ours on a server that is not ours do not happen, but would be closed one by one. */
static bool
close_exports(virDomainPtr dom, GError **err)
{
    json_scoped exports = qmp_run(dom, "query-block-exports", NULL, err);
    bool ours;
    if (!exports || !server_is_ours(dom, exports, &ours, err))
        return false;
    if (ours)
        return live_close_nbd(dom, err);
    size_t i;
    json_t *e;
    json_array_foreach(exports, i, e) {
        const char *id = qmp_text(e, "id");
        if (id && g_str_has_prefix(id, "vmr-"))
            qmp_do(dom, "block-export-del", json_pack("{s:s, s:s}", "id", id, "mode", "hard"), NULL);
    }
    return true;
}

static bool
close_nodes(virDomainPtr dom, GError **err)
{
    json_scoped nodes = track_nodes(dom, err);
    if (!nodes)
        return false;
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node) {
        const char *name = qmp_text(node, "node-name");
        if (name && g_str_has_prefix(name, "vmr-") && !qmp_do(dom, "blockdev-del", json_pack("{s:s}", "node-name", name), err))
            return false;
    }
    return true;
}

/* Bitmaps that tracked nothing but one capture: "vmr-first" and the like, not "vmr-<log>.<number>". */
static bool
drop_passing(virDomainPtr dom, const json_t *node, GError **err)
{
    size_t i;
    json_t *info;
    json_array_foreach(json_object_get(node, "dirty-bitmaps"), i, info) {
        const char *name = qmp_text(info, "name");
        struct uuid log;
        guint64 number;
        if (name && g_str_has_prefix(name, "vmr-") && !bitmap_name_parse(name, &log, &number) &&
            !qmp_do(dom, "block-dirty-bitmap-remove", json_pack("{s:s, s:s}", "node", qmp_text(node, "node-name"), "name", name), err))
            return false;
    }
    return true;
}

static bool
drop_all_passing(virDomainPtr dom, GError **err)
{
    json_scoped nodes = track_nodes(dom, err);
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node)
        if (!drop_passing(dom, node, err))
            return false;
    return nodes != NULL;
}

bool
recover_close(virDomainPtr dom, GError **err)
{
    return qjob_cancel(dom, err) && close_exports(dom, err) && close_nodes(dom, err) && drop_all_passing(dom, err);
}
