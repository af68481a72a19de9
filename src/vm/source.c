/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/source.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char JSON[] = "json:";

static char *
child_attr(const xmlNode *node, const char *child, const char *attr)
{
    const xmlNode *found = xml_child(node, NULL, child);
    return found ? xml_attr(found, attr) : NULL;
}

/* Sets a text member if there is one to set. */
static void
set(json_t *object, const char *name, const char *value)
{
    if (value)
        json_object_set_new(object, name, json_string(value));
}

/* ---- protocols ---- */

static json_t *
inet_of(const xmlNode *host, const char *port)
{
    g_autofree char *name = xml_attr(host, "name"), *own = xml_attr(host, "port");
    json_t *address = json_object();
    set(address, "host", name ? name : "localhost");
    set(address, "port", own ? own : port);
    return address;
}

static json_t *
nbd_of(const xmlNode *source, const char *name)
{
    const xmlNode *host = xml_child(source, NULL, "host");
    g_autofree char *socket = host ? xml_attr(host, "socket") : NULL;
    if (!host)
        return NULL;
    json_t *server = socket ? json_object() : inet_of(host, "10809");
    set(server, "type", socket ? "unix" : "inet");
    set(server, "path", socket);
    json_t *options = json_object();
    set(options, "driver", "nbd");
    json_object_set_new(options, "server", server);
    set(options, "export", name && *name ? name : NULL);
    return options;
}

/* "pool/image" or "pool/namespace/image". */
static json_t *
rbd_of(const xmlNode *source, const char *name)
{
    g_auto(GStrv) part = g_strsplit(name ? name : "", "/", 3);
    const guint parts = g_strv_length(part);
    g_autofree char *conf = child_attr(source, "config", "file"), *snapshot = child_attr(source, "snapshot", "name");
    if (parts < 2)
        return NULL;
    json_t *options = json_object(), *servers = json_array();
    set(options, "driver", "rbd");
    set(options, "pool", part[0]);
    set(options, "namespace", parts == 3 ? part[1] : NULL);
    set(options, "image", part[parts - 1]);
    set(options, "conf", conf);
    set(options, "snapshot", snapshot);
    for (const xmlNode *host = xml_child(source, NULL, "host"); host; host = xml_next(host, NULL, "host"))
        json_array_append_new(servers, inet_of(host, "6789"));
    if (json_array_size(servers) > 0)
        json_object_set(options, "server", servers);
    json_decref(servers);
    return options;
}

/* "iqn.1992-01.com.example:storage/1". */
static json_t *
iscsi_of(const xmlNode *source, const char *name)
{
    const xmlNode *host = xml_child(source, NULL, "host"), *initiator = xml_child(source, NULL, "initiator");
    g_autofree char *machine = host ? xml_attr(host, "name") : NULL, *port = host ? xml_attr(host, "port") : NULL;
    g_autofree char *iqn = initiator ? child_attr(initiator, "iqn", "name") : NULL;
    g_auto(GStrv) part = g_strsplit(name ? name : "", "/", 2);
    if (!machine || !part[0] || !*part[0])
        return NULL;
    const bool v6 = strchr(machine, ':') && machine[0] != '[';
    g_autofree char *portal = g_strdup_printf("%s%s%s:%s", v6 ? "[" : "", machine, v6 ? "]" : "", port ? port : "3260");
    json_t *options = json_object();
    set(options, "driver", "iscsi");
    set(options, "transport", "tcp");
    set(options, "portal", portal);
    set(options, "target", part[0]);
    set(options, "initiator-name", iqn);
    json_object_set_new(options, "lun", json_integer(part[1] ? (json_int_t)g_ascii_strtoull(part[1], NULL, 10) : 0));
    return options;
}

static const struct protocol {
    const char *name;
    json_t *(*options)(const xmlNode *source, const char *name); /* NULL: the source lacks something */
} protocols[] = {
    { "nbd", nbd_of },
    { "rbd", rbd_of },
    { "iscsi", iscsi_of },
};

static char *
text_of(json_t *options)
{
    char *text = json_dumps(options, JSON_COMPACT);
    char *image = g_strconcat(JSON, text, NULL);
    free(text);
    json_decref(options);
    return image;
}

static char *
network_image(const xmlNode *disk, const xmlNode *source, char **why)
{
    g_autofree char *protocol = xml_attr(source, "protocol"), *name = xml_attr(source, "name"), *tls = xml_attr(source, "tls");
    if (xml_child(disk, NULL, "auth") || xml_child(source, NULL, "auth") || g_strcmp0(tls, "yes") == 0) {
        *why = g_strdup("its server wants a secret that only libvirt has");
        return NULL;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(protocols); i++)
        if (g_strcmp0(protocol, protocols[i].name) == 0) {
            json_t *options = protocols[i].options(source, name);
            if (options)
                return text_of(options);
        }
    *why = g_strdup_printf("its protocol '%s' is not one of nbd, rbd and iscsi, or its source is incomplete", protocol ? protocol : "");
    return NULL;
}

char *
source_image(const xmlNode *disk, char **why)
{
    g_autofree char *type = xml_attr(disk, "type");
    const xmlNode *source = xml_child(disk, NULL, "source");
    if (source && g_strcmp0(type, "network") == 0)
        return network_image(disk, source, why);
    char *path = child_attr(disk, "source", "file");
    if (!path)
        path = child_attr(disk, "source", "dev");
    if (path && g_path_is_absolute(path))
        return path;
    *why = g_strdup(path && *path ? "its path is not absolute" : "it has no image");
    g_free(path);
    return NULL;
}

static bool
names_thread(const xmlNode *device)
{
    g_autofree char *thread = child_attr(device, "driver", "iothread");
    return thread != NULL;
}

bool
source_has_iothread(const xmlNode *domain, const xmlNode *disk)
{
    const xmlNode *devices = xml_child(domain, NULL, "devices");
    g_autofree char *bus = child_attr(disk, "target", "bus"), *at = child_attr(disk, "address", "controller");
    if (names_thread(disk))
        return true;
    const bool scsi = devices && g_strcmp0(bus, "scsi") == 0;
    for (const xmlNode *n = scsi ? xml_child(devices, NULL, "controller") : NULL; n; n = xml_next(n, NULL, "controller")) {
        g_autofree char *type = xml_attr(n, "type"), *index = xml_attr(n, "index");
        if (g_strcmp0(type, "scsi") == 0 && g_strcmp0(index, at ? at : "0") == 0 && names_thread(n))
            return true;
    }
    return false;
}

/* ---- use ---- */

static bool
is_json(const char *image)
{
    return g_str_has_prefix(image, JSON);
}

json_t *
source_node(const char *image)
{
    struct stat st;
    if (is_json(image)) {
        json_t *options = json_loads(image + strlen(JSON), 0, NULL);
        if (json_is_object(options))
            return options;
        json_decref(options);
        return NULL;
    }
    const bool device = stat(image, &st) == 0 && S_ISBLK(st.st_mode);
    return json_pack("{s:s, s:s}", "driver", device ? "host_device" : "file", "filename", image);
}

void
source_argv(GPtrArray *argv, const char *image, const char *format)
{
    json_t *below = is_json(image) ? source_node(image) : NULL;
    if (below && json_object_get(below, "file") == NULL) {
        g_ptr_array_add(argv, text_of(json_pack("{s:s, s:o}", "driver", format, "file", below)));
        return;
    }
    json_decref(below);
    if (!is_json(image)) {
        g_ptr_array_add(argv, g_strdup("-f"));
        g_ptr_array_add(argv, g_strdup(format));
    }
    g_ptr_array_add(argv, g_strdup(image));
}

bool
source_is_file(const char *image)
{
    struct stat st;
    return !is_json(image) && stat(image, &st) == 0 && S_ISREG(st.st_mode);
}

/* Writes that reached the device since the machine booted, and which boot that was. */
static char *
device_stamp(dev_t device)
{
    g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/stat", major(device), minor(device));
    g_autofree char *size_path = g_strdup_printf("/sys/dev/block/%u:%u/size", major(device), minor(device));
    g_autofree char *text = NULL, *size = NULL, *boot = NULL;
    unsigned long long writes, sectors;
    if (!g_file_get_contents(path, &text, NULL, NULL) || !g_file_get_contents(size_path, &size, NULL, NULL) ||
        !g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL) ||
        sscanf(text, "%*u %*u %*u %*u %llu %*u %llu", &writes, &sectors) != 2)
        return NULL;
    return g_strdup_printf("%s %u:%u %s %llu %llu", g_strchomp(boot), major(device), minor(device), g_strchomp(size), writes, sectors);
}

char *
source_stamp(const char *image)
{
    struct stat st;
    if (is_json(image))
        return g_strdup(image);
    if (stat(image, &st) != 0)
        return NULL;
    if (S_ISBLK(st.st_mode))
        return device_stamp(st.st_rdev);
    return g_strdup_printf("%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld", image, (gint64)st.st_size, (gint64)st.st_mtim.tv_sec,
                           st.st_mtim.tv_nsec);
}
