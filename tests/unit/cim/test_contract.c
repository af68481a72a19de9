/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/instance.h"

#include <string.h>

/* The compiled schema beside contract.txt: every class, property, method and parameter with type, key, access, default and meanings. */

static char *
list_text(const char *text)
{
    char *out = g_strdup(text && *text ? text : "-");
    return g_strdelimit(out, "\n", ';');
}

static char *
type_text(enum cim_type type, const char *ref, bool array)
{
    g_autofree char *base = ref ? g_strconcat(ref, " REF", NULL) : g_strdup(cim_type_name(type));
    return g_strconcat(base, array ? "[]" : "", NULL);
}

struct place {
    const struct cim_class *cls;
    const struct cim_method *method;
    guint parameter;
    guint properties, methods, parameters; /* seen so far */
};

/* Says what differs, with class and member, and goes on. */
static void
same(const struct place *at, const char *member, const char *what, const char *is, const char *wanted)
{
    if (strcmp(is, wanted) == 0)
        return;
    g_test_message("%s.%s: %s is '%s', the contract says '%s'", at->cls->name, member, what, is, wanted);
    g_test_fail();
}

static void
on_class(struct place *at, char *const *f)
{
    at->cls = cim_class_find(f[3], f[1]);
    if (!at->cls)
        g_error("there is no class '%s'", f[1]);
    same(at, "", "name", at->cls->name, f[1]);
    same(at, "", "superclass", at->cls->super ? at->cls->super : "-", f[2]);
    same(at, "", "namespace", at->cls->ns, f[3]);
}

static void
on_property(struct place *at, char *const *f)
{
    const int n = cim_class_property(at->cls, f[1]);
    at->properties++;
    if (n < 0) {
        same(at, f[1], "presence", "absent", "present");
        return;
    }
    const struct cim_property *p = &at->cls->properties[n];
    g_autofree char *type = type_text(p->type, p->ref, p->array), *value = list_text(p->value), *meanings = list_text(p->meanings);
    same(at, f[1], "name", p->name, f[1]);
    same(at, f[1], "type", type, f[2]);
    same(at, f[1], "key", p->key ? "key" : "-", f[3]);
    same(at, f[1], "access", p->writable ? "RW" : "RO", f[4]);
    same(at, f[1], "default", value, f[5]);
    same(at, f[1], "meanings", meanings, f[6]);
}

static void
on_method(struct place *at, char *const *f)
{
    at->methods++;
    at->parameter = 0;
    at->method = cim_class_method(at->cls, f[1]);
    same(at, f[1], "presence", at->method ? "present" : "absent", "present");
}

static void
on_parameter(struct place *at, char *const *f)
{
    at->parameters++;
    if (!at->method)
        return;
    if (at->parameter >= at->method->parameter_count) {
        same(at, f[1], "presence", "absent", "present");
        return;
    }
    const struct cim_parameter *p = &at->method->parameters[at->parameter++];
    g_autofree char *type = type_text(p->type, p->ref, p->array), *meanings = list_text(p->meanings);
    same(at, at->method->name, "parameter", p->name, f[1]);
    same(at, f[1], "type", type, f[2]);
    same(at, f[1], "direction", p->in && p->out ? "inout" : p->in ? "in" : "out", f[3]);
    same(at, f[1], "meanings", meanings, f[4]);
}

static void
test_contract(void)
{
    static const struct {
        const char *word;
        guint fields;
        void (*on)(struct place *at, char *const *fields);
    } lines[] = {{"class", 4, on_class}, {"p", 7, on_property}, {"m", 2, on_method}, {"a", 5, on_parameter}};
    g_autofree char *file = g_test_build_filename(G_TEST_DIST, "contract.txt", NULL), *text = NULL;
    g_autoptr(GError) err = NULL;
    struct place at = {0};
    g_file_get_contents(file, &text, NULL, &err);
    g_assert_no_error(err);
    g_auto(GStrv) all = g_strsplit(text, "\n", -1);
    for (char **line = all; *line; line++) {
        g_auto(GStrv) f = g_strsplit(*line, "\t", -1);
        for (gsize i = 0; **line && **line != '#' && i < G_N_ELEMENTS(lines); i++) {
            if (strcmp(f[0], lines[i].word) != 0)
                continue;
            g_assert_cmpuint(g_strv_length(f), ==, lines[i].fields);
            lines[i].on(&at, f);
        }
    }
    g_assert_cmpuint(at.properties, >, 600);
    g_assert_cmpuint(at.methods, >, 60);
    g_assert_cmpuint(at.parameters, >, 180);
}

/* "CLASS", then indented "property:type" words, [] for arrays: what clients read of the other classes. */
static void
check_required(const struct cim_class *cls, const char *word)
{
    g_auto(GStrv) f = g_strsplit(word, ":", 2);
    const bool array = g_str_has_suffix(f[1], "[]");
    const int n = cim_class_property(cls, f[0]);
    const struct place at = {.cls = cls};
    if (n < 0) {
        same(&at, f[0], "presence", "absent", "present");
        return;
    }
    const struct cim_property *p = &cls->properties[n];
    g_autofree char *type = type_text(p->type, NULL, array), *wanted = strcmp(f[1], "int64") == 0   ? g_strdup("sint64")
                                                                       : strcmp(f[1], "int16") == 0 ? g_strdup("sint16")
                                                                                                    : g_strdup(f[1]);
    same(&at, f[0], "name", p->name, f[0]);
    g_assert_true(p->array == array);
    /* Of three classes that client reads a number as text. */
    if (strcmp(f[0], "EnabledState") != 0 || strcmp(f[1], "string") != 0)
        same(&at, f[0], "type", type, wanted);
}

static void
test_required(void)
{
    g_autofree char *file = g_test_build_filename(G_TEST_DIST, "..", "provider", "hyperv_properties.txt", NULL), *text = NULL;
    const struct cim_class *cls = NULL;
    guint classes = 0;
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_auto(GStrv) all = g_strsplit(text, "\n", -1);
    for (char **line = all; *line; line++) {
        if (!**line || **line == '#')
            continue;
        if (**line != ' ') {
            cls = cim_class_find(NULL, *line);
            classes++;
            if (!cls)
                g_error("there is no class '%s'", *line);
            continue;
        }
        g_auto(GStrv) words = g_strsplit(g_strstrip(*line), " ", -1);
        for (char **w = words; *w; w++)
            check_required(cls, *w);
    }
    g_assert_cmpuint(classes, ==, 25);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/contract/classes", test_contract);
    g_test_add_func("/cim/contract/required", test_required);
    return g_test_run();
}
