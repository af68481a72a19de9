/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include "base/clean.h"
#include "provider/all.h"

#include <string.h>

static const char NS[] = "root/virtualization/v2";
static const struct cim_caller ROLES[] = {
    {"nobody", CIM_NOBODY}, {"viewer", CIM_VIEWER}, {"operator", CIM_OPERATOR}, {"administrator", CIM_ADMINISTRATOR}};

void
ask_open(struct ask *f, bool replicated)
{
    *f = (struct ask){.nobody = uuid_random()};
    world_open(&f->w);
    f->vm = world_guest(&f->w, 1);
    f->plain = fake_guest_add(f->w.a.fake, "plain", 1, 1 << 20);
    fake_agent_add(f->w.a.fake, &f->plain);
    if (replicated) {
        world_enable(&f->w, &f->vm, 900000); /* no cycle comes by itself */
        world_start(&f->w, &f->vm);
        g_autoptr(GArray) points = repl_points(f->w.b.service, &f->vm, NULL);
        g_assert_cmpuint(points->len, >, 0);
        f->point = g_array_index(points, struct repl_point, points->len - 1).id;
    }
    f->a = cim_broker_new(f->w.a.name, all_providers, f->w.a.service);
    f->b = cim_broker_new(f->w.b.name, all_providers, f->w.b.service);
}

void
ask_close(struct ask *f)
{
    cim_broker_free(f->a);
    cim_broker_free(f->b);
    world_close(&f->w);
}

void
ask_state(struct ask *f, struct host *h, enum repl_state state)
{
    relation_auto rel = core_find(h->service->core, &f->vm, 0);
    HOLD(&rel->lock);
    rel->r.state = state;
}

/* ---- words ---- */

static char *
guest(const struct uuid *vm)
{
    char guid[UUID_TEXT];
    return g_strdup_printf("Msvm_ComputerSystem.CreationClassName=\"Msvm_ComputerSystem\",Name=\"%s\"", uuid_format(vm, guid));
}

static char *
setting(const struct uuid *id)
{
    char guid[UUID_TEXT];
    return g_strdup_printf("Msvm_VirtualSystemSettingData.InstanceID=\"Microsoft:%s\"", uuid_format(id, guid));
}

static char *
guid_of(const struct uuid *id)
{
    char guid[UUID_TEXT];
    return g_strdup(uuid_format(id, guid));
}

/* Partial keys are enough for what there is one of. */
static char *
service(const char *name)
{
    const char *cls = g_str_equal(name, "vmms")        ? "Msvm_VirtualSystemManagementService"
                      : g_str_equal(name, "vssnapsvc") ? "Msvm_VirtualSystemSnapshotService"
                      : g_str_equal(name, "collections") ? "Msvm_CollectionManagementService"
                      : g_str_equal(name, "collreplicasvc") ? "Msvm_CollectionReplicationService"
                                                       : "Msvm_ReplicationService";
    return g_strdup_printf("%s.CreationClassName=\"%s\"", cls, cls);
}

static char *
word(const struct ask *f, const struct cim_broker *b, const char *name)
{
    const struct {
        const char *name;
        const struct uuid *id;
        char *(*make)(const struct uuid *id);
    } ids[] = {
        {"vm", &f->vm, guest},     {"plain", &f->plain, guest},    {"nobody", &f->nobody, guest},  {"test", &f->test, guest},
        {"vset", &f->vm, setting}, {"pset", &f->plain, setting},   {"nset", &f->nobody, setting},  {"point", &f->point, setting},
        {"VM", &f->vm, guid_of},   {"PLAIN", &f->plain, guid_of},  {"NOBODY", &f->nobody, guid_of}, {"POINT", &f->point, guid_of},
    };
    for (guint n = 0; n < G_N_ELEMENTS(ids); n++)
        if (g_str_equal(ids[n].name, name))
            return ids[n].make(ids[n].id);
    if (g_str_equal(name, "job"))
        return g_strdup_printf("Msvm_ConcreteJob.InstanceID=\"%s\"", f->job);
    if (g_str_equal(name, "GROUP"))
        return g_strdup(ASK_GROUP);
    if (g_str_equal(name, "group"))
        return g_strdup("Msvm_VirtualSystemCollection.CollectionID=\"" ASK_GROUP "\"");
    if (g_str_equal(name, "port"))
        return g_strdup_printf("%u", f->w.link_port);
    if (g_str_equal(name, "thumb"))
        return g_strdup(net_identity_thumbprint(f->w.a.identity));
    if (g_str_equal(name, "host"))
        return g_strdup_printf("Msvm_ComputerSystem.CreationClassName=\"Msvm_ComputerSystem\",Name=\"%s\"", cim_broker_host(b));
    return service(name);
}

static char *
expand(const struct ask *f, const struct cim_broker *b, const char *text)
{
    GString *out = g_string_new(NULL);
    while (*text) {
        if (*text != '@') {
            g_string_append_c(out, *text++);
            continue;
        }
        const gsize len = strspn(text + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        g_autofree char *name = g_strndup(text + 1, len), *value = word(f, b, name);
        g_string_append(out, value);
        text += 1 + len;
    }
    return g_string_free(out, FALSE);
}

/* ---- calls ---- */

static void
set_argument(struct cim_args *args, char *text)
{
    char *value = strchr(text, '=');
    g_assert_nonnull(value);
    *value++ = '\0';
    if (!g_str_has_suffix(text, "[]")) {
        cim_args_set(args, text, cim_string(value));
        return;
    }
    struct cim_value all = cim_array(CIM_STRING);
    g_auto(GStrv) items = *value ? g_strsplit(value, ";", -1) : g_new0(char *, 1);
    for (char **item = items; *item; item++)
        cim_array_add(&all, cim_string(*item));
    text[strlen(text) - 2] = '\0';
    cim_args_set(args, text, all);
}

static struct cim_args *
arguments(struct ask *f, struct cim_broker *b, const char *in)
{
    struct cim_args *args = cim_args_new();
    g_auto(GStrv) parts = *in ? g_strsplit(in, "|", -1) : g_new0(char *, 1);
    for (char **part = parts; *part; part++) {
        g_autofree char *text = expand(f, b, *part);
        set_argument(args, text);
    }
    return args;
}

static struct cim_path *
path_of(struct ask *f, struct cim_broker *b, const char *text)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *full = expand(f, b, text);
    struct cim_path *path = cim_path_parse(full, &err);
    g_assert_no_error(err);
    if (!path->ns)
        path->ns = g_strdup(strstr(path->cls, "_Collection") ? "root/HyperVCluster/v2" : NS);
    return path;
}

/* ---- the table ---- */

enum { ARGUMENTS_MAX = 1000 };

static const char *situation;

void
ask_situation(const char *text)
{
    situation = text;
}

/* "Name=value, Name=..." without what XML there is around the values. */
static char *
arguments_text(const char *in)
{
    GString *out = g_string_new(NULL);
    bool tag = false;
    for (; *in; in++) {
        if (*in == '<')
            tag = true;
        else if (*in == '>' && tag)
            tag = false;
        else if (*in == '|')
            g_string_append(out, ", ");
        else if (tag && g_str_has_prefix(in, "NAME=\""))
            g_string_append_printf(out, " %.*s ", (int)strcspn(in + 6, "\""), in + 6);
        else if (!tag)
            g_string_append_c(out, *in == '\n' ? ' ' : *in);
    }
    return g_string_free(out, FALSE);
}

static void
note(const struct cim_path *object, const char *path, const char *method, enum cim_role role, const char *in, guint32 code)
{
    const char *file = g_getenv("ASK_TABLE");
    FILE *out = file && strlen(in) < ARGUMENTS_MAX ? fopen(file, "a") : NULL; /* whole instances with all they say are no table row */
    g_autofree char *text = arguments_text(in);
    if (!out)
        return;
    if (code == 32769 && role < CIM_ADMINISTRATOR)
        fprintf(out, "%s\t%s\t\tby a caller of role '%s'\t%u\n", object->cls, method, ROLES[role].user, code);
    else
        fprintf(out, "%s\t%s\t%s\t%s%s%s\t%u\n", object->cls, method, text, path[0] == '@' ? path + 1 : "", situation ? ", " : "",
                situation ? situation : "", code);
    fclose(out);
}

guint32
ask_call(struct ask *f, struct cim_broker *b, enum cim_role role, const char *path, const char *method, const char *in,
         struct cim_args **out)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *why = NULL;
    guint32 code = 0;
    cim_path_auto object = path_of(f, b, path);
    struct cim_args *args = arguments(f, b, in), *results = cim_args_new();
    if (!cim_invoke(b, &ROLES[role], object, method, args, results, &code, &why, &err))
        g_error("%s of %s (%s): %s", method, path, in, err->message);
    if (why)
        g_assert_cmpuint(strlen(why), >, 15); /* a sentence */
    g_test_message("%s(%s): %u %s", method, in, code, why ? why : "");
    note(object, path, method, role, in, code);
    cim_args_free(args);
    if (out)
        *out = results;
    else
        cim_args_free(results);
    return code;
}

void
ask_rows(struct ask *f, struct cim_broker *b, const struct row *rows, guint count)
{
    for (guint n = 0; n < count; n++) {
        const struct row *r = &rows[n];
        const guint32 code = ask_call(f, b, CIM_ADMINISTRATOR, r->path, r->method, r->in, NULL);
        if (code != r->code)
            g_error("row %u: %s.%s(%s) answered %u, expected %u", n, r->path, r->method, r->in, code, r->code);
    }
}

void
ask_role(struct ask *f, struct cim_broker *b, const char *path, const char *method, const char *in, enum cim_role least)
{
    if (least > CIM_VIEWER)
        g_assert_cmpuint(ask_call(f, b, least - 1, path, method, in, NULL), ==, 32769);
    g_assert_cmpuint(ask_call(f, b, least, path, method, in, NULL), !=, 32769);
}

struct cim_instance *
ask_get(struct ask *f, struct cim_broker *b, const char *path)
{
    g_autoptr(GError) err = NULL;
    cim_path_auto object = path_of(f, b, path);
    struct cim_instance *i = cim_get_instance(b, &ROLES[CIM_VIEWER], object, &err);
    g_assert_no_error(err);
    return i;
}

GPtrArray *
ask_query(struct ask *f, struct cim_broker *b, const char *wql)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *text = expand(f, b, wql);
    GPtrArray *found = cim_query_run(b, &ROLES[CIM_VIEWER], NS, text, &err);
    g_assert_no_error(err);
    return found;
}

bool
ask_null(const struct cim_instance *i, const char *property)
{
    const struct cim_value *v = cim_get(i, property);
    g_assert_nonnull(v);
    return v->null;
}
