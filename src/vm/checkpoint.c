/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/checkpoint.h"

#include "base/err.h"
#include "base/xml.h"
#include "vm/bitmap.h"
#include "vm/domxml.h"

#include <stdlib.h>
#include <string.h>

enum { XML_MAX = 16 << 20 };

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainCheckpoint, virDomainCheckpointFree)

/* ---- texts ---- */

char *
checkpoint_xml(const char *name, const char *const *targets)
{
    GString *out = g_string_new(NULL);
    g_autofree char *id = g_markup_escape_text(name, -1);
    g_string_append_printf(out, "<domaincheckpoint><name>%s</name><disks>", id);
    for (; *targets; targets++) {
        g_autofree char *target = g_markup_escape_text(*targets, -1);
        g_string_append_printf(out, "<disk name='%s' checkpoint='bitmap'/>", target);
    }
    return g_string_free(g_string_append(out, "</disks></domaincheckpoint>"), FALSE);
}

char *
backup_xml(const struct backup *b)
{
    GString *out = g_string_new("<domainbackup mode='pull'>");
    g_autofree char *socket = g_markup_escape_text(b->socket, -1), *prefix = g_markup_escape_text(b->scratch_prefix, -1);
    if (b->since) {
        g_autofree char *since = g_markup_escape_text(b->since, -1);
        g_string_append_printf(out, "<incremental>%s</incremental>", since);
    }
    g_string_append_printf(out, "<server transport='unix' socket='%s'/><disks>", socket);
    for (guint i = 0; b->targets[i]; i++) {
        g_autofree char *target = g_markup_escape_text(b->targets[i], -1);
        g_string_append_printf(out, "<disk name='%s' backup='yes' type='file' exportname='%s'%s><scratch file='%s%s-pull'/></disk>", target,
                               target, b->since ? " exportbitmap='" BACKUP_BITMAP "'" : "", prefix, target);
    }
    return g_string_free(g_string_append(out, "</disks></domainbackup>"), FALSE);
}

/* ---- which there are ---- */

static void
free_checkpoint(void *p)
{
    struct checkpoint *c = p;
    g_free(c->name);
    g_free(c);
}

static gint
by_number(gconstpointer a, gconstpointer b)
{
    const struct checkpoint *x = *(const struct checkpoint *const *)a, *y = *(const struct checkpoint *const *)b;
    return x->number < y->number ? -1 : x->number > y->number;
}

GPtrArray *
checkpoint_list(virDomainPtr dom, GError **err)
{
    virDomainCheckpointPtr *all = NULL;
    const char *guest = virDomainGetName(dom);
    const int count = virDomainListAllCheckpoints(dom, &all, 0);
    if (count < 0) {
        conn_error(err, "The checkpoints of guest '%s' cannot be listed", guest);
        return NULL;
    }
    GPtrArray *list = g_ptr_array_new_with_free_func(free_checkpoint);
    for (int i = 0; i < count; i++) {
        struct checkpoint c;
        const char *name = virDomainCheckpointGetName(all[i]);
        if (bitmap_name_parse(name, &c.log, &c.number)) {
            c.name = g_strdup(name);
            g_ptr_array_add(list, g_memdup2(&c, sizeof c));
        }
        virDomainCheckpointFree(all[i]);
    }
    free(all);
    g_ptr_array_sort(list, by_number);
    return list;
}

const struct checkpoint *
checkpoint_find(const GPtrArray *list, const struct uuid *log)
{
    for (guint i = list->len; i-- > 0;) {
        const struct checkpoint *c = list->pdata[i];
        if (uuid_equal(&c->log, log))
            return c;
    }
    return NULL;
}

char *
checkpoint_next_name(const GPtrArray *list, const struct uuid *log)
{
    const struct checkpoint *last = list->len ? list->pdata[list->len - 1] : NULL;
    return bitmap_name(log, last ? last->number + 1 : 1);
}

/* ---- making and removing ---- */

bool
checkpoint_create(virDomainPtr dom, const char *name, const char *const *targets, GError **err)
{
    g_autofree char *xml = checkpoint_xml(name, targets);
    const char *guest = virDomainGetName(dom);
    g_autoptr(virDomainCheckpoint) made = virDomainCheckpointCreateXML(dom, xml, 0);
    return made || conn_error(err, "A checkpoint of guest '%s' cannot be made", guest);
}

/* NULL: libvirt does not say. */
static char *
with_sizes(virDomainCheckpointPtr c)
{
    char *xml = virDomainCheckpointGetXMLDesc(c, VIR_DOMAIN_CHECKPOINT_XML_SIZE | VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN);
    char *text = g_strdup(xml);
    free(xml);
    return text;
}

static bool
has_disk(virDomainPtr dom, const char *target)
{
    char *xml = virDomainGetXMLDesc(dom, 0);
    const bool has = xml && target && domxml_has_disk(xml, target);
    free(xml);
    return has;
}

/* libvirt names no size where the bitmap is missing or broken, nor of a disk that was unplugged, which it does not mind when removing. */
static bool
lacks_bitmap(virDomainPtr dom, virDomainCheckpointPtr c)
{
    g_autofree char *text = with_sizes(c);
    g_autoptr(xmlDoc) doc = text ? xml_parse(text, strlen(text), XML_MAX, NULL) : NULL;
    const xmlNode *disks = doc ? xml_child(xmlDocGetRootElement(doc), NULL, "disks") : NULL;
    for (const xmlNode *n = disks ? xml_child(disks, NULL, "disk") : NULL; n; n = xml_next(n, NULL, "disk")) {
        g_autofree char *name = xml_attr(n, "name"), *kind = xml_attr(n, "checkpoint"), *size = xml_attr(n, "size");
        if (g_strcmp0(kind, "bitmap") == 0 && !size && has_disk(dom, name))
            return true;
    }
    return false;
}

/* After removing it failed.  libvirt has a code for that, but uses its general one where it removes bitmaps
 * (qemuCheckpointDiscardDiskBitmaps), and its words are in the language of its daemon: so look.  That it could not even be tried, libvirt
 * being away or busy, is another error. */
static bool
is_bare(virDomainPtr dom, virDomainCheckpointPtr c, const char *name, GError **err)
{
    g_autoptr(GError) why = NULL;
    const virError *e = virGetLastError();
    const bool inconsistent = e && e->code == VIR_ERR_CHECKPOINT_INCONSISTENT;
    conn_error(&why, "Checkpoint '%s' cannot be removed", name);
    if (inconsistent || (err_is(why, ERR_FAILED) && lacks_bitmap(dom, c)))
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

/* A bitmap that is gone or worthless keeps libvirt from removing its checkpoint: then the description goes alone.  For any other reason it
 * must not, since the bitmap would record for ever and nobody would know of it. */
bool
checkpoint_delete(virDomainPtr dom, const char *name, GError **err)
{
    bool active;
    g_autoptr(virDomainCheckpoint) c = virDomainCheckpointLookupByName(dom, name, 0);
    const virError *e = virGetLastError();
    if (!c)
        return (e && e->code == VIR_ERR_NO_DOMAIN_CHECKPOINT) || conn_error(err, "Checkpoint '%s' cannot be looked up", name);
    if (!domain_active(dom, &active, err))
        return false;
    if (active && virDomainCheckpointDelete(c, 0) == 0)
        return true;
    if (active && !is_bare(dom, c, name, err))
        return false;
    return virDomainCheckpointDelete(c, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) == 0 ||
           conn_error(err, "Checkpoint '%s' cannot be removed", name);
}

bool
checkpoint_delete_others(virDomainPtr dom, const char *keep, GError **err)
{
    g_autoptr(GPtrArray) list = checkpoint_list(dom, err);
    for (guint i = 0; list && i < list->len; i++) {
        const struct checkpoint *c = list->pdata[i];
        if (g_strcmp0(c->name, keep) != 0 && !checkpoint_delete(dom, c->name, err))
            return false;
    }
    return list != NULL;
}

/* ---- how much is in one ---- */

static bool
size_of_disk(const xmlNode *disks, const char *target, guint64 *bytes)
{
    for (const xmlNode *n = xml_child(disks, NULL, "disk"); n; n = xml_next(n, NULL, "disk")) {
        g_autofree char *name = xml_attr(n, "name"), *size = xml_attr(n, "size");
        if (g_strcmp0(name, target) == 0)
            return size && g_ascii_string_to_unsigned(size, 10, 0, G_MAXUINT64, bytes, NULL);
    }
    return false;
}

static bool
sum_sizes(const char *text, const char *const *targets, guint64 *bytes, GError **err)
{
    g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), XML_MAX, err);
    const xmlNode *disks = doc ? xml_child(xmlDocGetRootElement(doc), NULL, "disks") : NULL;
    *bytes = 0;
    for (; doc && *targets; targets++) {
        guint64 one = 0;
        if (!disks || !size_of_disk(disks, *targets, &one))
            return err_set(err, ERR_TRACKING_LOST,
                           "Changes of disk '%s' are not tracked: its checkpoint's bitmap is gone, or worthless after QEMU was killed.",
                           *targets);
        *bytes += one;
    }
    return doc != NULL;
}

/* libvirt's code for a bitmap that is missing or inconsistent. */
static bool
tracking_error(GError **err, const char *doing, const char *name)
{
    const virError *e = virGetLastError();
    if (e && (e->code == VIR_ERR_CHECKPOINT_INCONSISTENT || e->code == VIR_ERR_NO_DOMAIN_CHECKPOINT))
        return err_set(err, ERR_TRACKING_LOST, "%s '%s': %s.", doing, name, e->message);
    return conn_error(err, "%s '%s'", doing, name);
}

bool
checkpoint_size(virDomainPtr dom, const char *name, const char *const *targets, guint64 *bytes, GError **err)
{
    g_autoptr(virDomainCheckpoint) c = virDomainCheckpointLookupByName(dom, name, 0);
    if (!c)
        return tracking_error(err, "There is no checkpoint", name);
    g_autofree char *text = with_sizes(c);
    if (!text)
        return tracking_error(err, "The size of checkpoint cannot be read:", name);
    return sum_sizes(text, targets, bytes, err);
}

/* ---- backup ---- */

bool
backup_begin(virDomainPtr dom, const struct backup *b, GError **err)
{
    g_autofree char *xml = backup_xml(b), *create = b->create ? checkpoint_xml(b->create, b->targets) : NULL;
    const char *guest = virDomainGetName(dom);
    virDomainJobInfo job = { 0 };
    /* libvirt would wait half a minute for the other job's end. */
    if (virDomainGetJobInfo(dom, &job) == 0 && job.type != VIR_DOMAIN_JOB_NONE)
        return err_set(err, ERR_IN_USE, "Guest '%s' has another job in libvirt (a backup, a migration, a save).", guest);
    if (virDomainBackupBegin(dom, xml, create, 0) == 0)
        return true;
    const virError *e = virGetLastError();
    if (e && e->message && (strstr(e->message, "already running") || strstr(e->message, "already in active block job")))
        return err_set(err, ERR_IN_USE, "Guest '%s' has another block job or NBD server (a backup, a migration, a copy): %s.", guest,
                       e->message);
    return tracking_error(err, "A backup job cannot be begun on guest", guest);
}

/* libvirt did not answer; a guest that is off has no job. */
static bool
not_ended(virDomainPtr dom, const char *guest, GError **err)
{
    g_autoptr(GError) why = NULL;
    bool active;
    conn_error(&why, "A backup job of guest '%s' may be open still", guest);
    if (domain_active(dom, &active, NULL) && !active)
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

bool
backup_end(virDomainPtr dom, const char *socket, GError **err)
{
    virDomainJobInfo job = { 0 };
    const char *guest = virDomainGetName(dom);
    if (virDomainGetJobInfo(dom, &job) < 0)
        return not_ended(dom, guest, err);
    if (job.type == VIR_DOMAIN_JOB_NONE)
        return true;
    char *xml = virDomainBackupGetXMLDesc(dom, 0);
    const virError *e = virGetLastError();
    if (!xml)
        return (e && e->code == VIR_ERR_NO_DOMAIN_BACKUP) || not_ended(dom, guest, err);
    g_autofree char *mark = g_strdup_printf("socket='%s'", socket);
    const bool ours = strstr(xml, mark) != NULL;
    free(xml);
    return !ours || virDomainAbortJob(dom) == 0 || not_ended(dom, guest, err);
}
