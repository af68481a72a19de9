/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/device.h"

#include "base/err.h"
#include "cim/broker.h"

#include <string.h>

static const char PREFIX[] = "Microsoft:";

bool
device_guid(const struct cim_path *path, struct uuid *id)
{
    static const char *const keys[] = {"InstanceID", "SystemName", "DeviceID", "Name"};
    for (guint i = 0; path && i < G_N_ELEMENTS(keys); i++) {
        const char *text = cim_path_get(path, keys[i]);
        if (text && g_ascii_strncasecmp(text, PREFIX, sizeof PREFIX - 1) == 0)
            text += sizeof PREFIX - 1;
        if (!text || strlen(text) < UUID_TEXT - 1)
            continue;
        g_autofree char *guid = g_strndup(text, UUID_TEXT - 1);
        if (uuid_parse(guid, id))
            return true;
    }
    return false;
}

/* ---- owners ---- */

static bool
each_guest(struct repl_service *s, device_list list, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) guests = repl_guests(s, err);
    for (guint i = 0; guests && i < guests->len; i++) {
        const struct vm_facts *f = g_ptr_array_index(guests, i);
        const struct device_owner o = {s, f->uuid, f, f->hardware};
        if (f->hardware && !list(&o, emit, sink))
            return true;
    }
    return guests != NULL;
}

static bool
of_point(struct repl_service *s, const struct uuid *id, device_list list, cim_emit emit, void *sink, GError **err)
{
    struct repl_point point;
    if (!repl_point_find(s, id, &point))
        return true;
    g_autofree char *xml = repl_point_xml(s, id, err);
    vm_hardware_auto hardware = xml ? vm_hardware_parse(xml, err) : NULL;
    const struct device_owner o = {s, *id, NULL, hardware};
    if (hardware)
        list(&o, emit, sink);
    return hardware != NULL;
}

/* That guest's or point's; none when there is no such owner. */
static bool
of_owner(struct repl_service *s, const struct uuid *id, device_list list, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GError) why = NULL;
    vm_facts_auto f = repl_guest(s, id, &why);
    if (!f && err_is(why, ERR_NO_SUCH_INSTANCE))
        return of_point(s, id, list, emit, sink, err);
    if (!f) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    const struct device_owner o = {s, *id, f, f->hardware};
    if (f->hardware)
        list(&o, emit, sink);
    return true;
}

bool
device_enumerate(struct repl_service *s, const struct cim_path *source, device_list list, cim_emit emit, void *sink, GError **err)
{
    struct uuid id;
    if (source && device_guid(source, &id))
        return of_owner(s, &id, list, emit, sink, err);
    return each_guest(s, list, emit, sink, err);
}

struct wanted {
    const struct cim_path *path;
    struct cim_instance *found;
};

static bool
keep_wanted(void *sink, struct cim_instance *i)
{
    struct wanted *w = sink;
    if (!broker_keys_fit(w->path, i)) {
        cim_instance_free(i);
        return true;
    }
    w->found = i;
    return false;
}

struct cim_instance *
device_get(struct repl_service *s, const struct cim_path *path, device_list list, GError **err)
{
    struct uuid id;
    struct wanted w = {path, NULL};
    if (!device_guid(path, &id) || !of_owner(s, &id, list, keep_wanted, &w, err))
        return NULL;
    if (!w.found) {
        g_autofree char *text = cim_path_text(path);
        err_set(err, ERR_NO_SUCH_INSTANCE, "There is no instance '%s' on this host.", text);
    }
    return w.found;
}

/* ---- identities ---- */

char *
device_id(const struct device_owner *o, const char *format, ...)
{
    char guid[UUID_TEXT];
    va_list args;
    va_start(args, format);
    g_autofree char *part = g_strdup_vprintf(format, args);
    va_end(args);
    return g_strdup_printf("%s%s\\%s", PREFIX, uuid_format(&o->id, guid), part);
}

char *
device_path_text(const struct device_owner *o, const char *cls, const char *instance_id)
{
    cim_path_auto p = with_id(cls, instance_id);
    return cim_path_text_on(p, repl_host(o->service));
}

char *
device_mac(const struct vm_card *card)
{
    GString *hex = g_string_new(NULL);
    for (const char *at = card->mac; at && *at; at++)
        if (g_ascii_isxdigit(*at))
            g_string_append_c(hex, g_ascii_toupper(*at));
    return g_string_free(hex, FALSE);
}

char *
device_port(const struct device_owner *o, const struct vm_card *card)
{
    g_autofree char *mac = device_mac(card);
    return device_id(o, "%s", mac);
}

/* ---- instances ---- */

struct cim_instance *
device_setting(const struct device_owner *o, const char *cls, char *id, const char *name, guint type, const char *subtype)
{
    g_autofree char *owned = id;
    struct cim_instance *i = new_instance(cls);
    cim_set_string(i, "InstanceID", owned);
    cim_set_string(i, "ElementName", name);
    cim_set_uint(i, "ResourceType", type);
    cim_set_string(i, "ResourceSubType", subtype);
    cim_set_uint(i, "ConsumerVisibility", 3); /* virtualized */
    cim_set_bool(i, "AutomaticAllocation", true);
    cim_set_bool(i, "AutomaticDeallocation", true);
    return i;
}

struct cim_instance *
device_new(const struct device_owner *o, const char *cls, const char *part, const char *name)
{
    static const guint ok[] = {2};
    char guid[UUID_TEXT];
    const bool on = o->facts->power != VM_OFF && o->facts->power != VM_SAVED;
    struct cim_instance *i = new_instance(cls);
    g_autofree char *id = device_id(o, "%s", part);
    cim_set_string(i, "SystemName", uuid_format(&o->facts->uuid, guid));
    cim_set_string(i, "DeviceID", id);
    cim_set_string(i, "Name", name);
    cim_set_string(i, "ElementName", name);
    cim_set_string(i, "Caption", name);
    cim_set_uints(i, "OperationalStatus", ok, 1);
    cim_set_string(i, "Status", "OK");
    cim_set_uint(i, "HealthState", 5);
    cim_set_uint(i, "EnabledState", on ? 2 : 3);
    cim_set_bool(i, "PowerManagementSupported", false);
    return i;
}
