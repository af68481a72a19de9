/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/pointvm.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "log/reader.h"
#include "repl/maintain.h"
#include "repl/serving.h"
#include "store/view.h"
#include "vm/domxml.h"
#include "vm/tpm.h"

#include <sys/stat.h>

void
pointvm_clear(struct pointvm *p)
{
    g_clear_pointer(&p->socket, g_free);
    g_clear_pointer(&p->overlays, g_free);
    g_clear_pointer(&p->files, g_free);
}

/* ---- the point ---- */

bool
pointvm_choose(struct relation *rel, const struct uuid *point, struct store_log *out, GError **err)
{
    if (!point)
        return store_latest_point(rel->in.store, out) ||
               err_set(err, ERR_INVALID_STATE, "The replica of guest '%s' has no whole state yet.", rel->r.name);
    retention_rules_auto rules = maintain_rules(rel, NULL);
    g_autoptr(GArray) points = retention_points(rel->in.store, &rules);
    for (guint i = 0; i < points->len; i++) {
        *out = g_array_index(points, struct store_log, i);
        if (uuid_equal(&out->id, point))
            return true;
    }
    return err_set(err, ERR_NOT_FOUND, "The recovery point of guest '%s' was removed meanwhile; choose another one.", rel->r.name);
}

bool
pointvm_disks(struct relation *rel, const struct uuid *point, struct log_info *out, GError **err)
{
    g_autofree char *path = store_log_path(rel->in.store, point);
    if (path && log_read_info(path, out, NULL))
        return true;
    struct view *v = view_open(rel->r.folder, point, err);
    if (!v)
        return false;
    log_info_copy(out, view_info(v));
    view_close(v);
    return true;
}

/* ---- its parts ---- */

char *
pointvm_overlay(const struct pointvm *p, const char *target)
{
    return g_strdup_printf("%s/%s.qcow2", p->overlays, target);
}

bool
pointvm_serve(struct relation *rel, const struct pointvm *p, GError **err)
{
    return serving_start(rel, &p->point, p->socket, &p->guest, err);
}

bool
pointvm_make_overlays(struct core *c, const struct log_info *info, const struct pointvm *p, GError **err)
{
    const struct serve_config serve = core_serve(c);
    if (!file_remove_tree(p->overlays, err) || !file_make_dirs(p->overlays, 0711, err))
        return false;
    if (chmod(p->overlays, 0711) != 0)
        return err_errno(err, "Folder '%s' cannot be opened for QEMU", p->overlays);
    for (guint i = 0; i < info->disk_count; i++) {
        g_autofree char *path = pointvm_overlay(p, info->disks[i].target);
        if (!c->vm->overlay_create(&serve, path, p->socket, info->disks[i].target, info->disks[i].size, &p->point, err))
            return false;
    }
    return true;
}

static char *
source_xml(struct core *c, struct relation *rel, const struct uuid *point, GError **err)
{
    size_t len;
    g_autoptr(GError) why = NULL;
    char *xml = store_section(rel->in.store, point, LOG_SECTION_DOMAIN_XML, &len, &why);
    if (xml)
        return xml;
    if (why)
        log_warning("Guest '%s': the definition in the recovery point cannot be used: %s", rel->r.name, why->message);
    return core_definition(c, &rel->vm, err);
}

/* The variables of the guest's firmware as they were; libvirt makes new ones from its template where there are none. */
static bool
put_nvram(struct relation *rel, const struct pointvm *p, GError **err)
{
    size_t len;
    g_autoptr(GError) why = NULL;
    g_autofree char *path = g_build_filename(p->files, DOMXML_NVRAM, NULL);
    g_autofree char *data = store_section(rel->in.store, &p->point, LOG_SECTION_NVRAM, &len, &why);
    if (data)
        return file_replace(path, data, len, 0600, err);
    if (!why)
        return file_unlink_durably(path, err);
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

char *
pointvm_definition(struct core *c, struct relation *rel, const struct log_info *info, const struct pointvm *p, GError **err)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) disks = g_array_new(FALSE, TRUE, sizeof(struct domxml_disk));
    g_autofree char *xml = source_xml(c, rel, &p->point, err);
    if (!xml)
        return NULL;
    for (guint i = 0; i < info->disk_count; i++) {
        g_ptr_array_add(paths, pointvm_overlay(p, info->disks[i].target));
        const struct domxml_disk disk = { info->disks[i].target, paths->pdata[i], "qcow2", p->socket };
        g_array_append_val(disks, disk);
    }
    if (!file_make_dirs(p->files, 0711, err) || !put_nvram(rel, p, err))
        return NULL;
    return domxml_for_replica(xml, (const struct domxml_disk *)(gpointer)disks->data, disks->len, p->files, err);
}

bool
pointvm_put_tpm(struct core *c, struct relation *rel, const struct pointvm *p, const char *xml, struct job *job, GError **err)
{
    size_t len = 0;
    g_autoptr(GError) why = NULL;
    if (!c->config.swtpm_dir || !tpm_emulated(xml))
        return true;
    g_autofree char *data = store_section(rel->in.store, &p->point, LOG_SECTION_TPM, &len, &why);
    if (why) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!data)
        job_warn(job, "The recovery point of guest '%s' has no state of its TPM: it gets a new one, and what was sealed against the old "
                      "one needs its recovery key.", rel->r.name);
    return tpm_put(c->config.swtpm_dir, c->config.swtpm_user, xml, data, len, err);
}
