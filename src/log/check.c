/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "log/coding.h"
#include "log/reader.h"
#include "log/verify.h"

#include <fcntl.h>
#include <sys/stat.h>

#define PIECE (1u << 20)

static bool
feed_file(int fd, const char *path, struct log_verifier *v, GError **err)
{
    g_autofree guint8 *buf = g_malloc(PIECE);
    enum log_verify_state state = LOG_VERIFY_MORE;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(err, "Cannot ask for the size of '%s'", path);
    for (guint64 offset = 0, size = (guint64)st.st_size; offset < size; offset += PIECE) {
        gsize n = (gsize)MIN(PIECE, size - offset);
        if (!file_read_full(fd, buf, n, offset, path, err))
            return false;
        state = log_verifier_feed(v, buf, n, err);
        if (state == LOG_VERIFY_BAD) {
            g_prefix_error(err, "Change log '%s': ", path);
            return false;
        }
    }
    if (state != LOG_VERIFY_COMPLETE)
        return err_set(err, ERR_CORRUPT, "Change log '%s' is torn after byte %" G_GUINT64_FORMAT ".", path, log_verifier_good(v));
    return true;
}

static bool
unpack_all(const struct log_reader *r, GError **err)
{
    g_autofree guint8 *buf = g_malloc(log_reader_info(r)->frame_raw_max + 1);
    for (unsigned i = 0; i < log_reader_frames(r); i++)
        if (!log_reader_data(r, i, buf, err))
            return false;
    return true;
}

bool
log_check_file(const char *path, GError **err)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Cannot open change log '%s'", path);
    struct log_verifier *v = log_verifier_new();
    bool ok = feed_file(fd, path, v, err);
    log_verifier_free(v);
    struct log_reader *r = ok ? log_reader_open(path, err) : NULL;
    ok = r && unpack_all(r, err);
    log_reader_close(r);
    return ok;
}

static const char *
kind_name(const struct log_info *info)
{
    if (info->flags & LOG_FLAG_FUZZY)
        return "fuzzy (no recovery point)";
    return info->kind == LOG_KIND_APPLICATION ? "application-consistent" : info->kind == LOG_KIND_PLANNED ? "planned failover" : "standard";
}

static void
dump_header(const struct log_reader *r, GString *out)
{
    const struct log_info *info = log_reader_info(r);
    char vm[UUID_TEXT], id[UUID_TEXT], parent[UUID_TEXT];
    g_autofree char *time = clock_iso8601(info->capture_us);

    g_string_append_printf(out,
                           "change log  %s\n  VM        %s\n  parent    %s\n  sequence  %" G_GUINT64_FORMAT ", epoch %" G_GUINT64_FORMAT
                           "\n  captured  %s\n  kind      %s\n",
                           uuid_format(&info->id, id), uuid_format(&info->vm, vm),
                           uuid_is_nil(&info->parent) ? "none" : uuid_format(&info->parent, parent), info->sequence, info->epoch, time,
                           kind_name(info));
    for (unsigned i = 0; i < info->disk_count; i++)
        g_string_append_printf(out, "  disk %-4u %s, %" G_GUINT64_FORMAT " bytes\n", info->disks[i].id, info->disks[i].target,
                               info->disks[i].size);
}

static void
dump_sections(const struct log_reader *r, GString *out)
{
    static const char *const names[] = {[LOG_SECTION_DOMAIN_XML] = "domain XML",
                                        [LOG_SECTION_NVRAM] = "NVRAM",
                                        [LOG_SECTION_TPM] = "TPM",
                                        [LOG_SECTION_QUIESCE] = "quiesce report",
                                        [LOG_SECTION_GROUP] = "group"};
    for (guint i = LOG_SECTION_DOMAIN_XML; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) err = NULL;
        size_t len = 0;
        g_autofree char *data = log_reader_section(r, (enum log_section)i, &len, &err);
        /* It came from another host: control characters stay out of the terminal. */
        g_autofree char *report = data && i >= LOG_SECTION_QUIESCE ? g_strescape(data, "\"") : NULL;
        if (data)
            g_string_append_printf(out, "  section   %s, %zu bytes%s%s\n", names[i], len, report ? ": " : "",
                                   report ? report : "");
        else if (err)
            g_string_append_printf(out, "  section   %s: %s\n", names[i], err->message);
    }
}

static void
dump_frame(const struct log_reader *r, unsigned i, GString *out)
{
    const struct log_frame *f = log_reader_frame(r, i);
    struct log_extent_iter it = log_frame_extents(f);
    struct log_extent e;

    g_string_append_printf(out, "  frame %-6u at %-12" G_GUINT64_FORMAT " disk %u  %-4s  %u -> %u bytes, %u extents\n", i, f->file_offset,
                           f->disk, log_codec_name(f->codec), f->raw_length, f->stored_length, f->extent_count);
    while (log_extent_next(&it, &e))
        g_string_append_printf(out, "    %s %12" G_GUINT64_FORMAT " + %" G_GUINT64_FORMAT "\n", e.zero ? "zero" : "data", e.offset,
                               e.length);
}

bool
log_dump_file(const char *path, GString *out, GError **err)
{
    struct log_reader *r = log_reader_open(path, err);
    if (!r)
        return false;
    dump_header(r, out);
    dump_sections(r, out);
    for (unsigned i = 0; i < log_reader_frames(r); i++)
        dump_frame(r, i, out);
    g_string_append_printf(
        out, "  total     %u frames, %" G_GUINT64_FORMAT " bytes of data, %" G_GUINT64_FORMAT " of zeros, file %" G_GUINT64_FORMAT "\n",
        log_reader_frames(r), log_reader_raw_bytes(r), log_reader_zero_bytes(r), log_reader_file_bytes(r));
    log_reader_close(r);
    return true;
}
