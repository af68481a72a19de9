/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/coding.h"

#include <lz4.h>
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

bool
log_codec_known(guint version, guint codec)
{
    return codec <= (version >= LOG_VERSION_LZ4 ? LOG_CODEC_LZ4 : LOG_CODEC_ZSTD);
}

const char *
log_codec_name(guint codec)
{
    return codec == LOG_CODEC_RAW ? "raw" : codec == LOG_CODEC_ZSTD ? "zstd" : codec == LOG_CODEC_LZ4 ? "lz4" : "unknown";
}

gsize
log_compress_room(gsize len)
{
    return MAX(ZSTD_compressBound(len), (gsize)LZ4_COMPRESSBOUND(len));
}

static gsize
compress_zstd(int level, const void *from, gsize len, void *to, gsize room)
{
    ZSTD_CCtx *ctx = g_private_get(&compressor);
    if (!ctx)
        g_private_set(&compressor, ctx = ZSTD_createCCtx());
    g_assert(ctx);
    gsize n = ZSTD_compressCCtx(ctx, to, room, from, len, level);
    return ZSTD_isError(n) ? 0 : n;
}

static gsize
compress_lz4(const void *from, gsize len, void *to, gsize room)
{
    if (len > LZ4_MAX_INPUT_SIZE)
        return 0;
    return (gsize)LZ4_compress_default(from, to, (int)len, (int)MIN(room, G_MAXINT));
}

/* Both go over data that does not compress at several GB/s, so such frames cost little before they are stored as they are. */
gsize
log_compress(enum log_codec codec, int level, const void *from, gsize len, void *to, gsize room)
{
    gsize n = codec == LOG_CODEC_LZ4 ? compress_lz4(from, len, to, room) : compress_zstd(level, from, len, to, room);
    /* Less than one part in twenty saved is not worth the reader's time. */
    return n >= len - len / 20 ? 0 : n;
}

static gsize
decompress_zstd(const void *from, gsize len, void *to, gsize raw)
{
    ZSTD_DCtx *ctx = g_private_get(&decompressor);
    if (!ctx)
        g_private_set(&decompressor, ctx = ZSTD_createDCtx());
    g_assert(ctx);
    gsize n = ZSTD_decompressDCtx(ctx, to, raw, from, len);
    return ZSTD_isError(n) ? raw + 1 : n;
}

static gsize
decompress_lz4(const void *from, gsize len, void *to, gsize raw)
{
    int n = len <= G_MAXINT && raw <= G_MAXINT ? LZ4_decompress_safe(from, to, (int)len, (int)raw) : -1;
    return n < 0 ? raw + 1 : (gsize)n;
}

gsize
log_decompress(guint16 codec, const void *from, gsize len, void *to, gsize raw)
{
    switch (codec) {
    case LOG_CODEC_RAW:
        if (len == raw && raw > 0) /* a frame of zeros alone has no data, and its reader perhaps no memory for it */
            memcpy(to, from, raw);
        return len;
    case LOG_CODEC_ZSTD:
        return decompress_zstd(from, len, to, raw);
    case LOG_CODEC_LZ4:
        return decompress_lz4(from, len, to, raw);
    default:
        return raw + 1;
    }
}
