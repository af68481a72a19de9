/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "cim/classxml.h"
#include "wsman/encode.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/operation.h"
#include "wsman/reply.h"

#include <string.h>

/* Enumerate, Pull, Release.  Elements of the body are found by local name: MaxElements is w: in Enumerate and n: in Pull, Filter comes as
 * either, and some clients confuse them. */

/* How much of the result one reply may carry. */
struct page {
    guint elements;
    gsize characters;
};

/* --- what is asked ------------------------------------------------------------------------------------------------------------------ */

struct wish {
    bool optimized, subclass_names, exact_class;
    struct page page;
    gint64 lives_us; /* Expires; 0: not asked for */
    enum enum_mode mode;
    const xmlNode *filter;
    char *dialect;
};

static bool
read_mode(const xmlNode *body, struct wish *w, GError **err)
{
    static const char *const names[] = {
        [MODE_OBJECT] = "EnumerateObject", [MODE_EPR] = "EnumerateEPR", [MODE_OBJECT_AND_EPR] = "EnumerateObjectAndEPR"};
    g_autofree char *text = xml_child_text(body, NULL, "EnumerationMode");
    if (!text)
        return true;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(g_strstrip(text), names[i]) == 0) {
            w->mode = (enum enum_mode)i;
            return true;
        }
    }
    return fault_set(err, FAULT_ENUM_MODE, "The enumeration mode '%s' is not supported.", text);
}

static bool
read_polymorphism(const xmlNode *body, struct wish *w, GError **err)
{
    g_autofree char *text = xml_child_text(body, NULL, "PolymorphismMode");
    if (!text)
        return true;
    g_strstrip(text);
    w->subclass_names = strcmp(text, "IncludeSubClassProperties") == 0;
    w->exact_class = strcmp(text, "None") == 0;
    if (w->subclass_names || w->exact_class || strcmp(text, "ExcludeSubClassProperties") == 0)
        return true;
    return fault_set(err, FAULT_POLYMORPHISM, "The polymorphism mode '%s' is not supported.", text);
}

static bool
read_number(const xmlNode *body, const char *name, guint64 absent, guint64 *out, GError **err)
{
    g_autofree char *text = xml_child_text(body, NULL, name);
    *out = absent;
    if (!text || g_ascii_string_to_unsigned(g_strstrip(text), 10, 1, G_MAXUINT64, out, NULL))
        return true;
    return fault_set(err, FAULT_PARAMETER, "%s is '%s' and should be a number above 0.", name, text);
}

/* Absent: one element (DSP0226; libvirt relies on it). */
static bool
read_page(const xmlNode *body, struct page *page, GError **err)
{
    guint64 elements, characters;
    if (!read_number(body, "MaxElements", 1, &elements, err) || !read_number(body, "MaxCharacters", G_MAXSIZE, &characters, err))
        return false;
    *page = (struct page){(guint)MIN(elements, G_MAXUINT16), characters};
    return true;
}

static bool
read_wish(const xmlNode *body, struct wish *w, GError **err)
{
    w->optimized = xml_child(body, NULL, "OptimizeEnumeration") != NULL;
    w->filter = xml_child(body, NULL, "Filter");
    w->dialect = w->filter ? xml_attr(w->filter, "Dialect") : NULL;
    return read_mode(body, w, err) && read_polymorphism(body, w, err) && read_page(body, &w->page, err) &&
           operation_lapse(body, "Expires", FAULT_EXPIRES, &w->lives_us, err);
}

/* --- what is found ------------------------------------------------------------------------------------------------------------------ */

static struct cursor *
new_cursor(const struct operation *op, const struct wish *w, GPtrArray *instances, const char *as)
{
    struct cursor *c = g_new0(struct cursor, 1);
    c->instances = instances;
    c->mode = w->mode;
    c->family = op->request->resource.family;
    c->as = g_strdup(as);
    if (w->lives_us)
        c->ends_us = clock_mono_us() + MIN(w->lives_us, ENUMCTX_LONGEST_S * G_USEC_PER_SEC);
    return c;
}

static bool
is_everything(const struct operation *op)
{
    return strcmp(op->request->resource.cls, "*") == 0;
}

/* The classes of the namespace; a selector ClassName leaves that one and those below it. */
static struct cursor *
find_classes(const struct operation *op, const struct wish *w, GError **err)
{
    const struct resource *r = &op->request->resource;
    const char *below = operation_class_name(op);
    if (w->filter || w->mode != MODE_OBJECT || (below && !cim_class_find(r->ns, below))) {
        if (w->filter || w->mode != MODE_OBJECT)
            fault_set(err, FAULT_UNSUPPORTED, "Classes are enumerated as they are, without filters and endpoint references.");
        else
            fault_set(err, FAULT_CLASS, "There is no class '%s' in namespace '%s'.", below, r->ns);
        return NULL;
    }
    GPtrArray *all = g_ptr_array_new();
    for (guint i = 0; i < cim_class_count; i++)
        if (strcmp(cim_classes[i].ns, r->ns) == 0 && (!below || cim_class_is_a(&cim_classes[i], below)))
            g_ptr_array_add(all, (gpointer)(guintptr)&cim_classes[i]);
    struct cursor *c = new_cursor(op, w, all, NULL);
    c->classes = true;
    return c;
}

static struct cursor *
find_all(const struct operation *op, const struct wish *w, GError **err)
{
    const struct resource *r = &op->request->resource;
    if (is_everything(op)) {
        fault_set(err, FAULT_CLASS, "Everything in '%s' cannot be enumerated. Name a class, or send a WQL filter.", r->ns);
        return NULL;
    }
    GPtrArray *all = cim_enumerate(op->broker, op->caller, r->ns, r->cls, err);
    if (!all)
        return NULL;
    const struct cim_class *cls = cim_class_find(r->ns, r->cls);
    for (guint i = 0; w->exact_class && i < all->len;) {
        if (((const struct cim_instance *)g_ptr_array_index(all, i))->cls == cls)
            i++;
        else
            g_ptr_array_remove_index(all, i);
    }
    return new_cursor(op, w, all, w->subclass_names ? NULL : cls->name);
}

static bool
selectors_fit(const struct cim_instance *i, const GPtrArray *names, const GPtrArray *values)
{
    for (guint n = 0; n < names->len; n++) {
        const struct cim_value *v = cim_get(i, g_ptr_array_index(names, n));
        g_autofree char *text = v && !v->array ? cim_value_text(v) : NULL;
        if (!text || g_ascii_strcasecmp(text, g_ptr_array_index(values, n)) != 0)
            return false;
    }
    return true;
}

static struct cursor *
find_by_selectors(const struct operation *op, const struct wish *w, GError **err)
{
    struct cursor *c = find_all(op, w, err);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free), values = g_ptr_array_new_with_free_func(g_free);
    const xmlNode *set = xml_child(w->filter, NULL, "SelectorSet");
    for (const xmlNode *s = c ? xml_child(set, NULL, "Selector") : NULL; s; s = xml_next(s, NULL, "Selector")) {
        char *name = xml_attr(s, "Name"), *value = resource_selector(s, err);
        g_ptr_array_add(names, name ? name : g_strdup(""));
        g_ptr_array_add(values, value);
        if (!value) {
            cursor_free(c);
            return NULL;
        }
    }
    for (guint i = 0; c && i < c->instances->len;) {
        if (selectors_fit(g_ptr_array_index(c->instances, i), names, values))
            i++;
        else
            g_ptr_array_remove_index(c->instances, i);
    }
    return c;
}

/* libvirt stops reading at the first item of another class than it asked for (wire rule 6). */
static void
exact_class_first(GPtrArray *instances, const char *name)
{
    guint front = 0;
    for (guint i = 0; name && i < instances->len; i++) {
        const struct cim_instance *one = g_ptr_array_index(instances, i);
        if (g_ascii_strcasecmp(one->cls->name, name) != 0)
            continue;
        gpointer moved = instances->pdata[i];
        memmove(&instances->pdata[front + 1], &instances->pdata[front], (i - front) * sizeof(gpointer));
        instances->pdata[front++] = moved;
    }
}

static struct cursor *
run_query(const struct operation *op, const struct wish *w, struct cim_query *q, GError **err)
{
    GPtrArray *found = cim_execute(op->broker, op->caller, op->request->resource.ns, q, err);
    if (!found)
        return NULL;
    const struct cim_class *asked = q->kind == CIM_SELECT ? cim_class_find(op->request->resource.ns, q->cls) : NULL;
    struct cursor *c = new_cursor(op, w, found, asked ? asked->name : NULL);
    c->select = q->select ? g_ptr_array_ref(q->select) : NULL;
    exact_class_first(found, q->result_class);
    return c;
}

static struct cursor *
find_by_wql(const struct operation *op, const struct wish *w, GError **err)
{
    if (!is_everything(op)) {
        fault_set(err, FAULT_FILTER_URI, "A WQL filter needs a ResourceURI that ends in '/*', not in '/%s'.", op->request->resource.cls);
        return NULL;
    }
    g_autofree char *text = xml_text(w->filter);
    struct cim_query *q = cim_query_parse(g_strstrip(text), err);
    struct cursor *c = q ? run_query(op, w, q, err) : NULL;
    cim_query_free(q);
    return c;
}

/* MI clients send an empty element for what is not restricted. */
static char *
restriction(const xmlNode *spec, const char *name)
{
    char *text = xml_child_text(spec, NULL, name);
    if (text && *g_strstrip(text) == '\0')
        g_clear_pointer(&text, g_free);
    return text;
}

static GPtrArray *
included(const xmlNode *spec)
{
    GPtrArray *names = NULL;
    for (const xmlNode *n = xml_child(spec, NULL, "IncludeResultProperty"); n; n = xml_next(n, NULL, "IncludeResultProperty")) {
        names = names ? names : g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(names, g_strstrip(xml_text(n)));
    }
    return names;
}

/* b:AssociatedInstances is ASSOCIATORS OF, b:AssociationInstances is REFERENCES OF (DSP0227). */
static struct cursor *
find_by_association(const struct operation *op, const struct wish *w, GError **err)
{
    const xmlNode *associated = xml_child(w->filter, NULL, "AssociatedInstances"),
                  *links = xml_child(w->filter, NULL, "AssociationInstances");
    const xmlNode *spec = associated ? associated : links;
    const xmlNode *object = xml_child(spec, NULL, "Object");
    if (!object) {
        fault_set(err, FAULT_FILTER, "The association filter names no object.");
        return NULL;
    }
    struct cim_query *q = g_new0(struct cim_query, 1);
    q->kind = associated ? CIM_ASSOCIATORS : CIM_REFERENCES;
    q->source = epr_read(object, err);
    q->assoc_class = restriction(spec, "AssociationClassName");
    q->result_class = restriction(spec, "ResultClassName");
    q->role = restriction(spec, "Role");
    q->result_role = restriction(spec, "ResultRole");
    q->select = included(spec);
    struct cursor *c = q->source ? run_query(op, w, q, err) : NULL;
    cim_query_free(q);
    return c;
}

static struct cursor *
find(const struct operation *op, const struct wish *w, GError **err)
{
    if (op->request->resource.schema)
        return find_classes(op, w, err);
    if (!w->filter)
        return find_all(op, w, err);
    if (w->dialect && strcmp(w->dialect, DIALECT_WQL) == 0)
        return find_by_wql(op, w, err);
    if (w->dialect && strcmp(w->dialect, DIALECT_SELECTOR) == 0)
        return find_by_selectors(op, w, err);
    if (w->dialect && strcmp(w->dialect, DIALECT_ASSOCIATION) == 0)
        return find_by_association(op, w, err);
    fault_set(err, FAULT_DIALECT, "The filter dialect '%s' is not supported; WQL is '" DIALECT_WQL "'.", w->dialect ? w->dialect : "XPath");
    return NULL;
}

/* --- what is answered --------------------------------------------------------------------------------------------------------------- */

static void
write_class(GString *out, const struct cim_class *c)
{
    g_autofree char *xml = cim_class_xml(c);
    g_string_append(out, xml);
}

static void
write_item(GString *out, const struct cursor *c, gconstpointer i)
{
    if (c->classes) {
        write_class(out, i);
        return;
    }
    if (c->mode == MODE_OBJECT_AND_EPR)
        g_string_append(out, "<w:Item>");
    if (c->mode != MODE_EPR)
        encode_instance(out, i, c->as, c->select, c->family);
    if (c->mode != MODE_OBJECT)
        encode_epr(out, i, c->family);
    if (c->mode == MODE_OBJECT_AND_EPR)
        g_string_append(out, "</w:Item>");
}

/* Bytes that a page needs besides what precedes it and its items: context, tags, end. */
enum { PAGE_FRAME = 320 };

/* As many items as asked for and as fit; FAULT_REPLY_TOO_BIG when not even one fits. */
static bool
write_items(const struct operation *op, GString *out, gsize used, struct cursor *c, const struct page *page, GError **err)
{
    gsize room = operation_room(op);
    for (guint sent = 0; sent < page->elements && !cursor_done(c); sent++) {
        gsize before = out->len;
        write_item(out, c, g_ptr_array_index(c->instances, c->next));
        if (used + PAGE_FRAME + out->len <= room && out->len <= page->characters) {
            c->next++;
            continue;
        }
        g_string_truncate(out, before);
        return sent > 0 ||
               fault_set(err, FAULT_REPLY_TOO_BIG, "One instance is longer than the MaxEnvelopeSize of %u bytes or than MaxCharacters.",
                         op->request->max_reply);
    }
    return true;
}

/* The page: context, items, end.  Takes the cursor; what is left of it goes (back) into the table under `id`. */
static bool
write_page(const struct operation *op, GString *out, const char *end_element, const char *items_element, const struct page *page,
           const char *id, struct cursor *cursor, GError **err)
{
    GString *items = g_string_new(NULL);
    bool fine = write_items(op, items, out->len, cursor, page, err);
    bool done = cursor_done(cursor);
    g_autofree char *context = NULL;

    /* A page that was too long leaves the context alive: the client may pull again with more room. */
    if (!done)
        context = enumctx_put(op->contexts, op->caller->user, id, cursor, fine ? err : NULL);
    else
        cursor_free(cursor);
    fine = fine && (done || context);
    if (fine && !done)
        reply_text(out, "n:EnumerationContext", context);
    else if (fine && *end_element == 'w')
        g_string_append(out, "<n:EnumerationContext/>");
    if (fine)
        g_string_append_printf(out, "<%s>%s</%s>", items_element, items->str, items_element);
    if (fine && done)
        g_string_append_printf(out, "<%s/>", end_element);
    g_string_free(items, TRUE);
    return fine;
}

static void
begin_body(const struct operation *op, GString *out, const struct cursor *c)
{
    if (op->request->estimate)
        g_string_append_printf(out, "<w:TotalItemsCountEstimate>%u</w:TotalItemsCountEstimate>", c->instances->len);
    reply_body(out);
}

static char *
answer_enumerate(const struct operation *op, const struct wish *w, struct cursor *c, GError **err)
{
    GString *out = reply_begin(ACTION_ENUMERATE "Response", op->request->message_id);
    begin_body(op, out, c);
    g_string_append(out, "<n:EnumerateResponse>");
    if (w->lives_us)
        g_string_append_printf(out, "<n:Expires>PT%dS</n:Expires>", (int)CLAMP(w->lives_us / G_USEC_PER_SEC, 1, ENUMCTX_LONGEST_S));
    bool fine;
    if (w->optimized) {
        fine = write_page(op, out, "w:EndOfSequence", "w:Items", &w->page, NULL, c, err);
    } else {
        g_autofree char *context = enumctx_put(op->contexts, op->caller->user, NULL, c, err);
        fine = context != NULL;
        if (fine)
            reply_text(out, "n:EnumerationContext", context);
    }
    g_string_append(out, "</n:EnumerateResponse>");
    if (fine)
        return operation_end(op, out, err);
    g_string_free(out, TRUE);
    return NULL;
}

static bool
body_is(const struct operation *op, const char *name, GError **err)
{
    return xml_is(op->request->body, NULL, name) || fault_set(err, FAULT_SCHEMA, "The body should hold '%s'.", name);
}

char *
operation_enumerate(const struct operation *op, GError **err)
{
    struct wish w = {0};
    struct cursor *c = body_is(op, "Enumerate", err) && read_wish(op->request->body, &w, err) ? find(op, &w, err) : NULL;
    char *reply = c ? answer_enumerate(op, &w, c, err) : NULL;
    g_free(w.dialect);
    return reply;
}

static char *
context_id(const struct operation *op, const char *element, GError **err)
{
    char *id = body_is(op, element, err) ? xml_child_text(op->request->body, NULL, "EnumerationContext") : NULL;
    if (!id && (!err || !*err))
        fault_set(err, FAULT_CONTEXT, "The request names no enumeration context.");
    return id ? g_strstrip(id) : NULL;
}

char *
operation_pull(const struct operation *op, GError **err)
{
    struct page page;
    gint64 patience; /* MaxTime must make sense; only events are waited for */
    g_autofree char *id = context_id(op, "Pull", err);
    if (!id || !read_page(op->request->body, &page, err) ||
        !operation_lapse(op->request->body, "MaxTime", FAULT_TIMEOUT_VALUE, &patience, err))
        return NULL;
    if (op->subscriptions && subscriptions_pulled(op->subscriptions, op->caller->user, id))
        return operation_pull_events(op, id, page.elements, err);
    struct cursor *c = enumctx_take(op->contexts, op->caller->user, id, err);
    if (!c)
        return NULL;
    GString *out = reply_begin(ACTION_PULL "Response", op->request->message_id);
    begin_body(op, out, c);
    g_string_append(out, "<n:PullResponse>");
    bool fine = write_page(op, out, "n:EndOfSequence", "n:Items", &page, id, c, err);
    g_string_append(out, "</n:PullResponse>");
    if (fine)
        return operation_end(op, out, err);
    g_string_free(out, TRUE);
    return NULL;
}

char *
operation_release(const struct operation *op, GError **err)
{
    g_autofree char *id = context_id(op, "Release", err);
    struct cursor *c = id ? enumctx_take(op->contexts, op->caller->user, id, err) : NULL;
    if (!c)
        return NULL;
    cursor_free(c);
    GString *out = reply_begin(ACTION_RELEASE "Response", op->request->message_id);
    reply_body(out);
    return reply_end(out);
}
