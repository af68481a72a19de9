/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/query.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cim_instance *
sample(void)
{
    struct cim_instance *i = cim_instance_new(cim_class_find(NULL, "Msvm_ComputerSystem"));
    cim_set_string(i, "Name", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8");
    cim_set_string(i, "ElementName", "M\303\274ller [1] 100%");
    cim_set_string(i, "Description", "no UTF-8: \377\303");
    cim_set_uint(i, "OnTimeInMilliseconds", G_MAXUINT64);
    cim_set_time(i, "InstallDate", 1396507550000000);
    return i;
}

/* Any text is a query or an error; a query can be checked and asked, and the same answer comes twice. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autoptr(GError) err = NULL;
    struct cim_query *q = cim_query_parse(text, &err);
    g_assert_true((q == NULL) == (err != NULL));
    if (!q)
        return 0;
    cim_instance_auto i = sample();
    cim_query_check(q, i->cls, NULL);
    g_assert_true(cim_query_matches(q, i, "HOST-A") == cim_query_matches(q, i, "HOST-A"));
    cim_query_free(q);
    return 0;
}
