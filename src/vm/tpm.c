/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/tpm.h"

#include "base/err.h"
#include "base/file.h"
#include "base/xml.h"
#include "vm/domxml.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { XML_MAX = 16 << 20, STATE_MAX = 4 << 20, TRIES = 4 };

static bool
attr_is(const xmlNode *node, const char *name, const char *value)
{
    g_autofree char *have = node ? xml_attr(node, name) : NULL;
    return g_strcmp0(have, value) == 0;
}

/* Of the first emulated TPM; NULL: there is none. */
static const xmlNode *
backend_of(xmlDoc *doc)
{
    const xmlNode *devices = xml_child(xmlDocGetRootElement(doc), NULL, "devices");
    for (const xmlNode *tpm = devices ? xml_child(devices, NULL, "tpm") : NULL; tpm; tpm = xml_next(tpm, NULL, "tpm")) {
        const xmlNode *backend = xml_child(tpm, NULL, "backend");
        if (attr_is(backend, "type", "emulator"))
            return backend;
    }
    return NULL;
}

static char *
own_folder(const char *dir, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_build_filename(dir, uuid_format_lower(vm, text), NULL);
}

/* Where the state is that libvirt itself finds a place for. */
static char *
usual_path(const char *dir, const struct uuid *vm, bool old)
{
    g_autofree char *own = own_folder(dir, vm);
    return g_build_filename(own, old ? "tpm1.2/tpm-00.permall" : "tpm2/tpm2-00.permall", NULL);
}

/* NULL without error: it is kept otherwise. */
static char *
state_path(const char *dir, const char *xml, const xmlNode *backend, GError **err)
{
    struct uuid vm;
    g_autofree char *name = NULL;
    const bool old = attr_is(backend, "version", "1.2");
    const xmlNode *source = xml_child(backend, NULL, "source");
    if (!source)
        return domxml_identity(xml, &vm, &name, err) ? usual_path(dir, &vm, old) : NULL;
    g_autofree char *folder = attr_is(source, "type", "dir") ? xml_attr(source, "path") : NULL;
    return folder && g_path_is_absolute(folder) ? g_build_filename(folder, old ? "tpm-00.permall" : "tpm2-00.permall", NULL) : NULL;
}

bool
tpm_emulated(const char *xml)
{
    g_autoptr(xmlDoc) doc = strstr(xml, "<tpm") ? xml_parse(xml, strlen(xml), XML_MAX, NULL) : NULL;
    return doc && backend_of(doc);
}

static bool
is_still(const char *path, const struct stat *was)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_ino == was->st_ino && now.st_size == was->st_size &&
           now.st_mtim.tv_sec == was->st_mtim.tv_sec && now.st_mtim.tv_nsec == was->st_mtim.tv_nsec;
}

/* The newest state there was during the call. */
static GBytes *
read_whole(const char *path, GError **err)
{
    g_autofree char *data = NULL;
    size_t len = 0;
    struct stat before;
    for (guint i = 0; i < TRIES; i++) {
        g_clear_pointer(&data, g_free);
        if (stat(path, &before) != 0) {
            if (errno != ENOENT)
                err_errno(err, "The state of a TPM in '%s' cannot be looked at", path);
            return NULL;
        }
        if (!file_read_all(path, STATE_MAX, &data, &len, err))
            return NULL;
        if (is_still(path, &before))
            break;
    }
    return g_bytes_new_take(g_steal_pointer(&data), len);
}

GBytes *
tpm_read(const char *dir, const char *xml, GError **err)
{
    g_autoptr(xmlDoc) doc = strstr(xml, "<tpm") ? xml_parse(xml, strlen(xml), XML_MAX, err) : NULL;
    const xmlNode *backend = doc ? backend_of(doc) : NULL;
    g_autofree char *path = backend ? state_path(dir, xml, backend, err) : NULL;
    return path ? read_whole(path, err) : NULL;
}

/* ---- putting it there ---- */

static char *
value_of(const char *line)
{
    g_auto(GStrv) quoted = g_strsplit(line, "\"", 3);
    return quoted[0] && quoted[1] && *quoted[1] ? g_strdup(quoted[1]) : NULL;
}

char *
tpm_user(const char *qemu_conf)
{
    enum { CONF_MAX = 1 << 20 };
    g_autofree char *text = NULL, *fallback = NULL;
    size_t len;
    g_auto(GStrv) lines = file_read_all(qemu_conf, CONF_MAX, &text, &len, NULL) ? g_strsplit(text, "\n", -1) : NULL;
    for (char **l = lines; l && *l; l++) {
        const bool comment = *g_strchug(*l) == '#';
        const char *line = g_strchug(*l + comment);
        g_autofree char *value = g_str_has_prefix(line, "swtpm_user") ? value_of(line) : NULL;
        if (value && !comment)
            return g_steal_pointer(&value);
        if (value && !fallback)
            fallback = g_steal_pointer(&value);
    }
    return fallback ? g_steal_pointer(&fallback) : g_strdup("tss");
}

struct owner {
    uid_t uid;
    gid_t gid;
};

static bool
owner_of(const char *user, struct owner *out, GError **err)
{
    const struct passwd *p = user && geteuid() == 0 ? getpwnam(user) : NULL;
    *out = p ? (struct owner){ p->pw_uid, p->pw_gid } : (struct owner){ geteuid(), getegid() };
    return p || !user || geteuid() != 0 ||
           err_set(err, ERR_NOT_FOUND, "There is no user '%s', whom the state of a TPM has to belong to; see swtpm_user in "
                                       "vmreplica.conf(5).", user);
}

static bool
give(const char *path, const struct owner *to, mode_t mode, GError **err)
{
    return (chown(path, to->uid, to->gid) == 0 && chmod(path, mode) == 0) || err_errno(err, "'%s' cannot be given to swtpm", path);
}

static bool
write_state(const char *dir, const struct owner *to, const struct uuid *vm, bool old, const void *data, gsize len, GError **err)
{
    enum { PASSABLE = 0711, CLOSED = 0700, OWN = 0600 };
    const struct owner us = { geteuid(), getegid() };
    g_autofree char *own = own_folder(dir, vm), *path = usual_path(dir, vm, old), *folder = g_path_get_dirname(path);
    return file_make_dirs(dir, PASSABLE, err) && file_make_dirs(own, PASSABLE, err) && give(own, &us, PASSABLE, err) &&
           file_make_dirs(folder, CLOSED, err) && file_replace(path, data, len, OWN, err) && give(path, to, OWN, err) &&
           give(folder, to, CLOSED, err);
}

bool
tpm_put(const char *dir, const char *user, const char *xml, const void *data, gsize len, GError **err)
{
    struct uuid vm;
    struct owner owner;
    g_autofree char *name = NULL;
    if (!strstr(xml, "<tpm"))
        return true;
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    const xmlNode *backend = doc ? backend_of(doc) : NULL;
    if (!doc || !backend)
        return doc != NULL;
    return domxml_identity(xml, &vm, &name, err) && owner_of(user, &owner, err) && tpm_remove(dir, &vm, err) &&
           (!data || write_state(dir, &owner, &vm, attr_is(backend, "version", "1.2"), data, len, err));
}

bool
tpm_remove(const char *dir, const struct uuid *vm, GError **err)
{
    g_autofree char *own = own_folder(dir, vm);
    return file_remove_tree(own, err);
}
