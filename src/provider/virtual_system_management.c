/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/common.h"
#include "provider/resource_change.h"
#include "provider/service_row.h"
#include "provider/summary.h"
#include "provider/virtual_system_setting.h"

/* Msvm_VirtualSystemManagementService (contract 1.18, 1.25, 2.8): summaries, the name, notes and start action of a guest, the networks of
 * its test guests' cards, and the end of test guests.  Guests are defined and their hardware is changed with libvirt's own tools: those
 * methods check what they are given and answer that they are not supported. */

enum { WANTED_MAX = 256 };

static bool
enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    emit(sink, service_row_instance(service_of(user), SERVICE_MANAGEMENT));
    return true;
}

static bool
need(const struct cim_call *call, const char *name, GError **err)
{
    const struct cim_value *v = cim_args_get(call->in, name);
    return (v && (!v->array || v->items->len)) || err_set(err, ERR_INVALID_PARAMETER, "Parameter '%s' is missing or empty.", name);
}

static guint32
refuse(const char *what, GError **err)
{
    return err_set(err, ERR_NOT_SUPPORTED, "%s is not supported over this API; use libvirt's own tools.", what), 0;
}

/* ---- summaries ---- */

static bool
read_wanted(const struct cim_call *call, guint wanted[WANTED_MAX], guint *count, GError **err)
{
    if (!need(call, "RequestedInformation", err))
        return false;
    const GPtrArray *items = cim_args_get(call->in, "RequestedInformation")->items;
    *count = items->len;
    if (items->len > WANTED_MAX)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'RequestedInformation' has more than %d elements.", WANTED_MAX);
    for (guint n = 0; n < items->len; n++) {
        const struct cim_value *v = g_ptr_array_index(items, n);
        if (v->null || v->u > G_MAXUINT || !summary_knows((guint)v->u))
            return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'RequestedInformation' has an unknown number at index %u.", n);
        wanted[n] = (guint)v->u;
    }
    return true;
}

static void
add(struct cim_value *out, struct cim_instance *i)
{
    g_autofree char *text = cim_xml_text(i);
    cim_array_add(out, cim_string(text));
    cim_instance_free(i);
}

static bool
add_one(struct repl_service *s, const struct cim_path *path, const guint *wanted, guint count, struct cim_value *out, GError **err)
{
    struct service_setting which;
    if (!service_setting_of(s, path, "SettingData", &which, err))
        return false;
    if (which.is_point) {
        add(out, summary_of_point(s, &which.point, wanted, count));
        return true;
    }
    vm_facts_auto f = repl_guest(s, &which.vm, err);
    if (f)
        add(out, summary_of_guest(s, f, wanted, count));
    return f != NULL;
}

static bool
add_named(struct repl_service *s, const GPtrArray *paths, const guint *wanted, guint count, struct cim_value *out, GError **err)
{
    for (guint n = 0; n < paths->len; n++) {
        const struct cim_value *v = g_ptr_array_index(paths, n);
        if (v->null)
            return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'SettingData' has an empty element at index %u.", n);
        if (!add_one(s, v->ref, wanted, count, out, err))
            return false;
    }
    return true;
}

static bool
add_all(struct repl_service *s, const guint *wanted, guint count, struct cim_value *out, GError **err)
{
    g_autoptr(GPtrArray) guests = repl_guests(s, err);
    for (guint n = 0; guests && n < guests->len; n++)
        add(out, summary_of_guest(s, g_ptr_array_index(guests, n), wanted, count));
    return guests != NULL;
}

/* Without SettingData: every guest. */
static guint32
get_summary_information(struct cim_call *call, GError **err)
{
    guint wanted[WANTED_MAX], count;
    struct repl_service *s = service_of(call->user);
    const struct cim_value *which = cim_args_get(call->in, "SettingData");
    if (!read_wanted(call, wanted, &count, err))
        return 0;
    struct cim_value out = cim_array(CIM_STRING);
    const bool named = which && which->items->len;
    const bool ok = named ? add_named(s, which->items, wanted, count, &out, err) : add_all(s, wanted, count, &out, err);
    if (ok)
        cim_args_set(call->out, "SummaryInformation", out);
    else
        cim_value_clear(&out);
    return 0;
}

/* ---- changes ---- */

struct change {
    struct repl_guest_change change;
    char *notes;
    bool autostart;
};

static char *
lines_of(const struct cim_value *v)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint n = 0; n < v->items->len; n++) {
        const struct cim_value *line = g_ptr_array_index(v->items, n);
        g_string_append_printf(text, "%s%s", n ? "\n" : "", line->null ? "" : line->text);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* One property that differs from what is. */
static bool
take(struct change *c, const char *name, const struct cim_value *v, GError **err)
{
    enum { NEVER = 2, ALWAYS = 4 };
    if (g_str_equal(name, "ElementName")) {
        c->change.name = v->text;
        return true;
    }
    if (g_str_equal(name, "Notes")) {
        c->change.notes = c->notes = lines_of(v);
        return true;
    }
    if (g_str_equal(name, "AutomaticStartupAction") && (v->u == NEVER || v->u == ALWAYS)) {
        c->autostart = v->u == ALWAYS;
        c->change.autostart = &c->autostart;
        return true;
    }
    return err_set(err, ERR_NOT_SUPPORTED,
                   "Property '%s' cannot be changed so over this API; ElementName, Notes and AutomaticStartupAction (2, 4) can.", name);
}

/* Clients send either what they change or all they have read: what is as it was is no change. */
static bool
read_change(const struct cim_instance *wanted, const struct cim_instance *now, struct change *c, GError **err)
{
    for (guint n = 0; n < wanted->cls->property_count; n++) {
        const char *name = wanted->cls->properties[n].name;
        const struct cim_value *is = cim_get(now, name);
        const bool told = is && cim_given(wanted, name) && !g_str_equal(name, "InstanceID");
        if (told && !same_value(&wanted->values[n], is) && !take(c, name, &wanted->values[n], err))
            return false;
    }
    return true;
}

static bool
modify_guest(struct repl_service *s, const struct uuid *vm, const struct cim_instance *wanted, GError **err)
{
    struct change c = {0};
    vm_facts_auto f = repl_guest(s, vm, err);
    if (!f)
        return false;
    cim_instance_auto now = virtual_system_setting_of(f);
    const bool ok = read_change(wanted, now, &c, err) && repl_change_guest(s, vm, &c.change, err);
    g_free(c.notes);
    return ok;
}

/* ---- recovery points: pinning and protecting ---- */

struct keep_wish {
    bool pinned, pinned_told;
    gint64 until_us;
};

static bool
take_note(struct keep_wish *w, const char *line, GError **err)
{
    struct cim_datetime t;
    if (g_str_has_prefix(line, "bytes=") || g_str_equal(line, "damaged=yes") || g_str_has_prefix(line, "check"))
        return true; /* as it was read */
    if (g_str_equal(line, "pinned=yes") || g_str_equal(line, "pinned=no")) {
        w->pinned = line[7] == 'y';
        w->pinned_told = true;
        return true;
    }
    if (g_str_has_prefix(line, "protected=") && cim_datetime_parse(line + 10, &t) && !t.interval && t.us > 0) {
        w->until_us = t.us;
        return true;
    }
    return err_set(err, ERR_INVALID_PARAMETER, "'%s' in Notes is nothing that a recovery point knows: pinned=yes, pinned=no and "
                                               "protected=DATE (2026-12-24T00:00:00Z) are.", line);
}

/* Only Notes: what a line names is changed, what no line names stays. */
static bool
read_point_change(const struct cim_instance *wanted, const struct cim_instance *now, struct keep_wish *w, GError **err)
{
    for (guint n = 0; n < wanted->cls->property_count; n++) {
        const char *name = wanted->cls->properties[n].name;
        const struct cim_value *is = cim_get(now, name), *v = &wanted->values[n];
        if (!is || !cim_given(wanted, name) || g_str_equal(name, "InstanceID") || same_value(v, is))
            continue;
        if (!g_str_equal(name, "Notes"))
            return err_set(err, ERR_INVALID_STATE, "Property '%s' of a recovery point cannot be changed; its Notes can (pinned=, "
                                                   "protected=).", name);
        for (guint i = 0; !v->null && i < v->items->len; i++) {
            const struct cim_value *line = g_ptr_array_index(v->items, i);
            if (!line->null && !take_note(w, line->text, err))
                return false;
        }
    }
    return true;
}

static bool
modify_point(struct repl_service *s, const struct repl_point *point, const struct cim_instance *wanted, GError **err)
{
    struct keep_wish w = {0};
    struct repl_relation r;
    if (!repl_relation_get(s, &point->vm, 0, &r, err))
        return false;
    cim_instance_auto now = virtual_system_setting_of_point(s, point, &r);
    repl_relation_clear(&r);
    if (!read_point_change(wanted, now, &w, err))
        return false;
    const bool later = w.until_us && w.until_us / 1000 != point->protected_us / 1000; /* Notes have milliseconds */
    return repl_point_keep(s, &point->id, w.pinned_told ? &w.pinned : NULL, later ? w.until_us : 0, err);
}

static guint32
modify_system_settings(struct cim_call *call, GError **err)
{
    struct service_setting which;
    cim_instance_auto wanted = NULL;
    struct repl_service *s = service_of(call->user);
    if (!need(call, "SystemSettings", err) || !arg_embedded(call, "SystemSettings", "Msvm_VirtualSystemSettingData", &wanted, err))
        return 0;
    const char *id = wanted ? cim_get_string(wanted, "InstanceID") : NULL;
    if (!id)
        return err_set(err, ERR_INVALID_PARAMETER, "Parameter 'SystemSettings' has no InstanceID."), 0;
    cim_path_auto path = with_id("Msvm_VirtualSystemSettingData", id);
    if (!service_setting_of(s, path, "SystemSettings", &which, err))
        return 0;
    if (which.is_point)
        modify_point(s, &which.point, wanted, err);
    else
        modify_guest(s, &which.vm, wanted, err);
    return 0;
}

static guint32
destroy_system(struct cim_call *call, GError **err)
{
    struct uuid vm;
    char job[UUID_TEXT] = "";
    if (!arg_guest(call, "AffectedSystem", &vm, err) || !repl_destroy_guest(service_of(call->user), &vm, caller_name(call), job, err))
        return 0;
    return done(call, job);
}

/* ---- what is not offered ---- */

static guint32
define_system(struct cim_call *call, GError **err)
{
    return need(call, "SystemSettings", err) ? refuse("Defining a virtual machine", err) : 0;
}

static guint32
add_resource_settings(struct cim_call *call, GError **err)
{
    struct service_setting which;
    if (!service_setting_arg(call, "AffectedConfiguration", &which, err) || !need(call, "ResourceSettings", err))
        return 0;
    return refuse("Adding virtual hardware", err);
}

static guint32
modify_resource_settings(struct cim_call *call, GError **err)
{
    if (need(call, "ResourceSettings", err))
        resource_change(call, err);
    return 0;
}

static guint32
remove_resource_settings(struct cim_call *call, GError **err)
{
    return need(call, "ResourceSettings", err) ? refuse("Removing virtual hardware", err) : 0;
}

static guint32
kvp_items(struct cim_call *call, GError **err)
{
    struct uuid vm;
    if (!arg_guest(call, "TargetSystem", &vm, err) || !need(call, "DataItems", err))
        return 0;
    return refuse("Handing values to the guest", err);
}

static guint32
set_guest_network(struct cim_call *call, GError **err)
{
    struct uuid vm;
    if (!arg_guest(call, "ComputerSystem", &vm, err) || !need(call, "NetworkConfiguration", err))
        return 0;
    return refuse("Setting the guest's addresses from outside", err);
}

/* ---- errors as text ---- */

static void
append_error(GString *out, const struct cim_instance *e)
{
    const struct cim_value *next = cim_get(e, "RecommendedActions");
    const char *message = cim_get_string(e, "Message"), *cause = cim_get_string(e, "ProbableCauseDescription");
    if (out->len)
        g_string_append_c(out, '\n');
    g_string_append(out, message ? message : "An error without a message.");
    if (cause)
        g_string_append_printf(out, " %s", cause);
    for (guint n = 0; !next->null && n < next->items->len; n++) {
        const struct cim_value *action = g_ptr_array_index(next->items, n);
        g_string_append_printf(out, " %s", action->null ? "" : action->text);
    }
}

static guint32
format_error(struct cim_call *call, GError **err)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (!need(call, "Errors", err))
        return 0;
    const GPtrArray *items = cim_args_get(call->in, "Errors")->items;
    for (guint n = 0; n < items->len; n++) {
        const struct cim_value *v = g_ptr_array_index(items, n);
        cim_instance_auto e = v->null ? NULL : cim_xml_parse(v->text, "Msvm_Error", err);
        if (!e)
            return err_set(err && *err ? NULL : err, ERR_INVALID_PARAMETER, "Parameter 'Errors' has an empty element at index %u.", n), 0;
        append_error(text, e);
    }
    cim_args_set(call->out, "ErrorMessage", cim_string(text->str));
    return 0;
}

static const struct cim_method_row methods[] = {
    {"DefineSystem", CIM_ADMINISTRATOR, define_system, service_smaller_code},
    {"DestroySystem", CIM_OPERATOR, destroy_system, service_smaller_code},
    {"ModifySystemSettings", CIM_ADMINISTRATOR, modify_system_settings, service_small_code},
    {"GetSummaryInformation", CIM_VIEWER, get_summary_information, NULL},
    {"AddResourceSettings", CIM_ADMINISTRATOR, add_resource_settings, service_smaller_code},
    {"ModifyResourceSettings", CIM_ADMINISTRATOR, modify_resource_settings, service_small_code},
    {"RemoveResourceSettings", CIM_ADMINISTRATOR, remove_resource_settings, service_smaller_code},
    {"AddKvpItems", CIM_ADMINISTRATOR, kvp_items, NULL},
    {"ModifyKvpItems", CIM_ADMINISTRATOR, kvp_items, NULL},
    {"RemoveKvpItems", CIM_ADMINISTRATOR, kvp_items, NULL},
    {"SetGuestNetworkAdapterConfiguration", CIM_ADMINISTRATOR, set_guest_network, NULL},
    {"FormatError", CIM_VIEWER, format_error, NULL},
    {NULL, CIM_NOBODY, NULL, NULL},
};

const struct cim_provider virtual_system_management = {"Msvm_VirtualSystemManagementService", enumerate, NULL, methods};
