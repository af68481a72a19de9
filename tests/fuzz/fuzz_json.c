/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/xml.h"
#include "web/json.h"
#include "web/url.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every value that can be read can be written, and reads as the same text again. */
static void
round_trip(const struct cim_parameter *p, const struct cim_value *v)
{
    g_autoptr(GError) err = NULL;
    struct cim_value again;
    auto_json first = web_json_value(v, "root/virtualization/v2", p->embedded);
    g_assert_true(web_json_read(first, p->type, p->array, p->embedded, p->name, &again, &err));
    auto_json second = web_json_value(&again, "root/virtualization/v2", p->embedded);
    g_assert_true(json_equal(first, second));
    cim_value_clear(&again);
}

static void
arguments(const json_t *j, const struct cim_method *m)
{
    struct cim_args *args = cim_args_new();
    g_autoptr(GError) err = NULL;
    g_assert_true(web_json_arguments(j, m, args, &err) == (err == NULL));
    for (guint i = 0; i < cim_args_count(args); i++) {
        const struct cim_parameter *p = cim_method_parameter(m, cim_args_name(args, i));
        if (!cim_args_bad(args, i) && p->type == CIM_REFERENCE)
            round_trip(p, cim_args_at(args, i));
    }
    cim_args_free(args);
}

static void
target(const char *text)
{
    g_autoptr(GError) err = NULL;
    url_auto u = {0};
    g_assert_true(url_parse(text, &u, &err) == (err == NULL));
    if (u.path) {
        g_autofree char *url = url_of(u.path, NULL);
        g_assert_true(g_utf8_validate(url, -1, NULL));
    }
    url_check_query(&u, "where select", NULL);
}

/* A body is arguments of two methods or an error; any text is a request target or an error. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        xml_init();
    ready = true;
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autoptr(GError) err = NULL;
    const struct cim_class *c = cim_class_find(NULL, "Msvm_ReplicationService");
    auto_json j = web_json_parse(text, size, &err);
    g_assert_true((j == NULL) == (err != NULL));
    if (j) {
        arguments(j, cim_class_method(c, "CreateReplicationRelationship"));
        arguments(j, cim_class_method(c, "StartReplication"));
    }
    target(text);
    return 0;
}
