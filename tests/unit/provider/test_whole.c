/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include "provider/all.h"

/* What holds for every class: an instance that is listed is found by its own path, and an association leads from each of its ends to the
 * other, by ASSOCIATORS OF and by REFERENCES OF. */

static const struct cim_caller BOSS = {"administrator", CIM_ADMINISTRATOR};

static bool
holds(GPtrArray *instances, const struct cim_path *wanted)
{
    for (guint n = 0; instances && n < instances->len; n++) {
        cim_path_auto path = cim_instance_path(instances->pdata[n]);
        if (cim_path_equal(path, wanted))
            return true;
    }
    return false;
}

static void
leads(struct cim_broker *b, const char *ns, const struct cim_path *from, const struct cim_path *to, const struct cim_instance *link)
{
    g_autoptr(GError) why = NULL;
    cim_path_auto own = cim_instance_path(link);
    g_autofree char *start = cim_path_text(from), *end = cim_path_text(to);
    g_autofree char *query = g_strdup_printf("ASSOCIATORS OF {%s} WHERE AssocClass = %s", start, link->cls->name);
    g_autofree char *of = g_strdup_printf("REFERENCES OF {%s} WHERE ResultClass = %s", start, link->cls->name);
    g_autoptr(GPtrArray) ends = cim_query_run(b, &BOSS, ns, query, &why);
    g_assert_no_error(why);
    g_autoptr(GPtrArray) links = cim_query_run(b, &BOSS, ns, of, &why);
    g_assert_no_error(why);
    if (!holds(ends, to)) {
        g_test_message("%s: '%s' does not lead to '%s'", link->cls->name, start, end);
        g_test_fail();
    }
    if (!holds(links, own)) {
        g_test_message("%s: '%s' has no reference to '%s'", link->cls->name, start, end);
        g_test_fail();
    }
}

/* The value of the first or second reference. */
static const struct cim_path *
end_of(const struct cim_instance *link, guint which)
{
    for (guint n = 0; n < link->cls->property_count; n++)
        if (link->cls->properties[n].type == CIM_REFERENCE && which-- == 0)
            return link->values[n].null ? NULL : link->values[n].ref;
    return NULL;
}

static void
exists(struct cim_broker *b, const char *cls, const struct cim_path *path)
{
    g_autoptr(GError) why = NULL;
    cim_instance_auto found = cim_get_instance(b, &BOSS, path, &why);
    g_autofree char *text = cim_path_text(path);
    cim_path_auto again = found ? cim_instance_path(found) : NULL;
    if (!found || !cim_path_equal(again, path)) {
        g_test_message("%s: '%s' is not found: %s", cls, text, why ? why->message : "another one");
        g_test_fail();
    }
}

static guint
look_at(struct cim_broker *b, const char *name)
{
    g_autoptr(GError) why = NULL;
    const struct cim_class *cls = cim_class_find(NULL, name);
    g_autoptr(GPtrArray) all = cim_enumerate(b, &BOSS, cls->ns, name, &why);
    g_assert_no_error(why);
    for (guint n = 0; n < all->len; n++) {
        const struct cim_instance *i = all->pdata[n];
        cim_path_auto path = cim_instance_path(i);
        exists(b, name, path);
        if (!i->cls->association)
            continue;
        const struct cim_path *one = end_of(i, 0), *two = end_of(i, 1);
        g_assert_true(one && two);
        exists(b, name, one);
        exists(b, name, two);
        leads(b, cls->ns, one, two, i);
        leads(b, cls->ns, two, one, i);
    }
    return all->len;
}

static void
test_whole(void)
{
    struct ask f;
    guint instances = 0;
    ask_open(&f, true);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_ADMINISTRATOR, "@collections", "DefineCollection", "Name=shop|Id=@GROUP", NULL), ==, 0);
    g_assert_cmpuint(ask_call(&f, f.a, CIM_ADMINISTRATOR, "@collections", "AddMember", "Member=@vm|Collection=@group", NULL), ==, 0);
    for (guint n = 0; all_providers[n]; n++)
        instances += look_at(f.a, all_providers[n]->cls) + look_at(f.b, all_providers[n]->cls);
    g_assert_cmpuint(instances, >, 100);
    ask_close(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/provider/whole/classes", test_whole);
    return g_test_run();
}
