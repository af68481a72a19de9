/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/span.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A saved index without its checksums.  The first byte chooses: its tables, or one of its blocks. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2) {
        g_autoptr(GError) err = NULL;
        uint64_t file_bytes = size - 1;
        if (size > 64) /* what the file says of itself */
            memcpy(&file_bytes, data + 57, sizeof file_bytes);
        struct span *s = span_parse(data + 1, size - 1, GUINT64_FROM_LE(file_bytes), &err);
        g_assert_true(!s == (err != NULL));
        for (unsigned i = 0; s && i + 1 < span_logs(s); i++)
            g_assert_cmpuint(span_log(s, i)->sequence, >, span_log(s, i + 1)->sequence);
        span_free(s);
        return 0;
    }
    g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(struct flat_segment));
    if (!span_parse_block(data + 1, size - 1, 1000, data[0] / 2, 500, 7, out))
        return 0;
    uint64_t end = 1000 * LOG_SECTOR;
    for (guint i = 0; i < out->len; i++) {
        const struct flat_segment *s = &g_array_index(out, struct flat_segment, i);
        g_assert_cmpuint(s->offset, >=, end);
        g_assert_true(s->frame == FLAT_ZERO || (s->frame >= 7 && s->frame < 507));
        end = s->offset + (uint64_t)s->sectors * LOG_SECTOR;
    }
    return 0;
}
