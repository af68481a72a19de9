/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/coding.h"

#include <string.h>
#include <zstd.h>

/* zstd contexts are large; each thread keeps one of each kind until it ends. */
static void
free_compressor(gpointer p)
{
    ZSTD_freeCCtx(p);
}

static void
free_decompressor(gpointer p)
{
    ZSTD_freeDCtx(p);
}

static GPrivate compressor = G_PRIVATE_INIT(free_compressor);
static GPrivate decompressor = G_PRIVATE_INIT(free_decompressor);

gsize
log_compress_room(gsize len)
{
    return ZSTD_compressBound(len);
}

gsize
log_compress(int level, const void *from, gsize len, void *to, gsize room)
{
    ZSTD_CCtx *ctx = g_private_get(&compressor);
    if (!ctx)
        g_private_set(&compressor, ctx = ZSTD_createCCtx());
    g_assert(ctx);
    gsize n = ZSTD_compressCCtx(ctx, to, room, from, len, level);
    /* Less than one part in twenty saved is not worth the reader's time. */
    return ZSTD_isError(n) || n >= len - len / 20 ? 0 : n;
}

gsize
log_decompress(guint16 codec, const void *from, gsize len, void *to, gsize raw)
{
    if (codec == LOG_CODEC_RAW) {
        if (len == raw)
            memcpy(to, from, raw);
        return len;
    }
    ZSTD_DCtx *ctx = g_private_get(&decompressor);
    if (!ctx)
        g_private_set(&decompressor, ctx = ZSTD_createDCtx());
    g_assert(ctx);
    gsize n = ZSTD_decompressDCtx(ctx, to, raw, from, len);
    return ZSTD_isError(n) ? raw + 1 : n;
}
