/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "provider/all.h"
#include "provider/device.h"

#include <string.h>
#include <sys/stat.h>

/* CIM_DataFile (root/cimv2) for the images of guests.  Clients ask for one by its Name; no other file of the host is shown. */

static void
fill_times(struct cim_instance *i, const struct stat *st)
{
    cim_set_time(i, "LastModified", clock_timespec_us(&st->st_mtim));
    cim_set_time(i, "LastAccessed", clock_timespec_us(&st->st_atim));
}

static struct cim_instance *
file_instance(const struct device_owner *o, const char *path, bool readonly)
{
    struct stat st;
    g_autofree char *base = g_path_get_basename(path), *folder = g_path_get_dirname(path);
    g_autofree char *slashed = g_strconcat(folder, "/", NULL);
    char *dot = strrchr(base, '.');
    struct cim_instance *i = cim_instance_new(cim_class_find("root/cimv2", "CIM_DataFile"));
    cim_set_string(i, "Name", path);
    cim_set_string(i, "Caption", path);
    cim_set_string(i, "Description", path);
    cim_set_string(i, "CreationClassName", "CIM_LogicalFile");
    cim_set_string(i, "CSCreationClassName", "Win32_ComputerSystem");
    cim_set_string(i, "CSName", repl_host(o->service));
    cim_set_string(i, "Path", slashed);
    cim_set_string(i, "Extension", dot ? dot + 1 : "");
    if (dot)
        *dot = '\0';
    cim_set_string(i, "FileName", base);
    cim_set_bool(i, "Hidden", *base == '.');
    cim_set_bool(i, "Readable", true);
    cim_set_bool(i, "Writeable", !readonly);
    cim_set_bool(i, "System", false);
    if (stat(path, &st) == 0) {
        cim_set_uint(i, "FileSize", (guint64)st.st_size);
        fill_times(i, &st);
    }
    return i;
}

static bool
list_files(const struct device_owner *o, cim_emit emit, void *sink)
{
    for (guint n = 0; n < o->hardware->drives->len; n++) {
        const struct vm_drive *d = g_ptr_array_index(o->hardware->drives, n);
        if (d->source && d->file && !emit(sink, file_instance(o, d->source, d->readonly)))
            return false;
    }
    return true;
}

/* An image may be in several guests. */
struct once {
    GHashTable *seen; /* names */
    cim_emit emit;
    void *sink;
};

static bool
emit_once(void *p, struct cim_instance *i)
{
    const struct once *o = p;
    if (g_hash_table_add(o->seen, g_strdup(cim_get_string(i, "Name"))))
        return o->emit(o->sink, i);
    cim_instance_free(i);
    return true;
}

static bool
enumerate_files(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct once o = {seen, emit, sink};
    return device_enumerate(service_of(user), NULL, list_files, emit_once, &o, err);
}

const struct cim_provider data_file = {"CIM_DataFile", enumerate_files, NULL, NULL};
