/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bulk.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "log/verify.h"
#include "store/layout.h"
#include "store/private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A log on its way in.  Its bytes go through the verifier before they go to the file, so incoming/<LOG ID>.part holds nothing wrong, and
 * only its tail may lack after a power cut: what is left of it is verified again before a sender may resume.
 *
 * After a flush that failed the kernel takes for written what never reached the disk: another flush succeeds, and so does reading, until
 * memory is needed.  Then the part is thrown away, and the sender begins anew. */

#define SCAN_BYTES (1u << 20)
#define WRITE_BEHIND (8u << 20)

struct store_intake {
    struct store *store;
    struct uuid id;
    char *path;
    int fd;
    struct bulk *bulk;          /* of a long read's log; its bytes reach the file in pieces */
    uint64_t size, written_behind;
    struct log_verifier *verifier;
    bool checked;  /* the header was there and fits this store */
    bool complete; /* the verifier has seen the end */
    bool over;     /* refused, failed or committed: nothing more may be written */
};

/* Feeds the first `size` bytes of the file. */
static bool
scan(struct store_intake *in, uint64_t size, enum log_verify_state *state, GError **err)
{
    g_autofree char *buf = g_malloc(SCAN_BYTES);
    g_clear_pointer(&in->verifier, log_verifier_free);
    in->verifier = log_verifier_new();
    *state = LOG_VERIFY_MORE;
    for (uint64_t at = 0; at < size && *state != LOG_VERIFY_BAD;) {
        size_t n = (size_t)MIN(size - at, SCAN_BYTES);
        if (!file_read_full(in->fd, buf, n, at, in->path, err))
            return false;
        *state = log_verifier_feed(in->verifier, buf, n, NULL);
        at += n;
    }
    return true;
}

static void
set_size(struct store_intake *in, uint64_t size)
{
    HOLD(&in->store->lock);
    in->size = size;
}

/* Cuts the file down to its last whole part and leaves the verifier there. */
static bool
load_part(struct store_intake *in, GError **err)
{
    enum log_verify_state state;
    struct stat st;

    if (fstat(in->fd, &st) < 0)
        return err_errno(err, "Cannot ask for the size of '%s'", in->path);
    uint64_t size = (uint64_t)st.st_size;
    if (!scan(in, size, &state, err))
        return false;
    if (state != LOG_VERIFY_COMPLETE && log_verifier_good(in->verifier) < size) {
        size = log_verifier_good(in->verifier);
        if (ftruncate(in->fd, (off_t)size) < 0)
            return err_errno(err, "Cannot shorten '%s'", in->path);
        if (!scan(in, size, &state, err))
            return false;
    }
    set_size(in, size);
    in->complete = state == LOG_VERIFY_COMPLETE;
    return true;
}

static void
intake_free(struct store_intake *in)
{
    g_clear_pointer(&in->verifier, log_verifier_free);
    bulk_free(in->bulk);
    if (in->fd >= 0)
        close(in->fd);
    g_free(in->path);
    g_free(in);
}

/* There is one intake at a time; the slot keeps others out while the scan runs without the lock. */
static bool
take_slot(struct store *s, struct store_intake *in, GError **err)
{
    HOLD(&s->lock);
    if (s->intake)
        return err_set(err, ERR_IN_USE, "Another log is being received into '%s'.", s->dir);
    s->intake = in;
    return true;
}

static void
give_slot(struct store *s)
{
    HOLD(&s->lock);
    s->intake = NULL;
}

static struct store_intake *
intake_new(struct store *s, const struct uuid *id)
{
    struct store_intake *in = g_new0(struct store_intake, 1);
    in->store = s;
    in->id = *id;
    in->fd = -1;
    in->path = layout_part_path(s->dir, id);
    return in;
}

uint64_t
store_incoming_size(struct store *s, const struct uuid *id)
{
    struct store_intake *in = intake_new(s, id);
    uint64_t size = 0;

    if (take_slot(s, in, NULL)) {
        in->fd = s->spoiled ? -1 : open(in->path, O_RDWR | O_CLOEXEC);
        if (in->fd >= 0 && load_part(in, NULL))
            size = in->size;
        give_slot(s);
    } else {
        HOLD(&s->lock);
        if (s->intake && uuid_equal(&s->intake->id, id))
            size = s->intake->size;
    }
    intake_free(in);
    return size;
}

/* Names of the other parts: only one log can follow the head, so they are of no use any more. */
static bool
drop_others(struct store *s, const char *keep, GError **err)
{
    g_autoptr(GPtrArray) names = layout_list_names(s->dir, "incoming", err);
    for (guint i = 0; names && i < names->len; i++) {
        g_autofree char *path = g_build_filename(s->dir, "incoming", names->pdata[i], NULL);
        if (g_str_has_suffix(path, ".part") && g_strcmp0(path, keep) != 0 && !file_unlink_durably(path, err))
            return false;
    }
    return names != NULL;
}

static bool
drop_spoiled(struct store *s, GError **err)
{
    if (s->spoiled && !drop_others(s, NULL, err))
        return false;
    s->spoiled = false;
    return true;
}

/* With the lock held.  The log must be the next one of this guest. */
static bool
check_place(const struct store *s, const struct uuid *id, const struct log_info *info, GError **err)
{
    char text[UUID_TEXT], other[UUID_TEXT];
    struct store_log head = {.id = UUID_NIL};
    bool have = store_head_locked(s, &head);

    if (!uuid_equal(&info->vm, &s->manifest.vm))
        return err_set(err, ERR_INVALID_PARAMETER, "Log '%s' belongs to the virtual machine '%s', not to that of '%s'.",
                       uuid_format(id, text), uuid_format(&info->vm, other), s->dir);
    if (!uuid_equal(&info->id, id))
        return err_set(err, ERR_CORRUPT, "Log '%s' was announced, but '%s' came.", uuid_format(id, text), uuid_format(&info->id, other));
    if (!uuid_equal(&info->parent, &head.id))
        return err_set(err, ERR_OUT_OF_SEQUENCE, "Log '%s' does not follow the newest log '%s'. Ask for the head and go on from there.",
                       uuid_format(id, text), uuid_format(&head.id, other));
    if (info->sequence > LAYOUT_SEQUENCE_MAX || (have && info->sequence <= head.sequence))
        return err_set(err, ERR_OUT_OF_SEQUENCE, "Log '%s' has number %" G_GUINT64_FORMAT ", which cannot follow %" G_GUINT64_FORMAT ".",
                       uuid_format(id, text), info->sequence, head.sequence);
    if (have && info->epoch < head.epoch)
        return err_set(err, ERR_OUT_OF_SEQUENCE, "Log '%s' was made before the last change of roles (epoch %" G_GUINT64_FORMAT
                       ", now %" G_GUINT64_FORMAT ").", uuid_format(id, text), info->epoch, head.epoch);
    return true;
}

static bool
check_header(struct store_intake *in, GError **err)
{
    const struct log_info *info = log_verifier_info(in->verifier);
    if (in->checked || !info)
        return true;
    HOLD(&in->store->lock);
    in->checked = check_place(in->store, &in->id, info, err);
    return in->checked;
}

static bool
open_part(struct store_intake *in, uint64_t offset, GError **err)
{
    struct store *s = in->store;
    if (!drop_spoiled(s, err) || !(s->tidy || drop_others(s, in->path, err)))
        return false;
    s->tidy = false; /* until this one is committed */
    in->fd = open(in->path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (in->fd < 0)
        return err_errno(err, "Cannot create '%s'", in->path);
    if (!load_part(in, err))
        return false;
    if (offset != in->size)
        return err_set(err, ERR_OUT_OF_SEQUENCE, "'%s' has %" G_GUINT64_FORMAT " bytes, but the sender goes on at %" G_GUINT64_FORMAT
                       ". Ask for the size and go on from there.", in->path, in->size, offset);
    return check_header(in, err);
}

struct store_intake *
store_intake_open(struct store *s, const struct uuid *id, uint64_t offset, GError **err)
{
    struct store_intake *in = intake_new(s, id);
    if (take_slot(s, in, err)) {
        if (open_part(in, offset, err))
            return in;
        give_slot(s);
    }
    intake_free(in);
    return NULL;
}

/* Logs of a long read come by the hundred, and nobody looks at them soon.  What a cycle brings is small, and is merged soon. */
static bool
put(struct store_intake *in, const void *data, size_t len, GError **err)
{
    if (!in->bulk && in->checked && log_verifier_info(in->verifier)->flags & LOG_FLAG_FUZZY)
        in->bulk = bulk_new(in->fd, in->path, in->size);
    if (in->bulk)
        return bulk_write(in->bulk, data, len, err);
    if (!file_write_full(in->fd, data, len, in->size, in->path, err))
        return false;
    if (in->size + len - in->written_behind >= WRITE_BEHIND) { /* so that the commit has less to wait for */
        file_write_behind(in->fd, in->written_behind, in->size + len - in->written_behind);
        in->written_behind = in->size + len;
    }
    return true;
}

static bool
drop(struct store_intake *in)
{
    file_unlink_durably(in->path, NULL);
    in->over = true;
    set_size(in, 0);
    return false;
}

bool
store_intake_write(struct store_intake *in, const void *data, size_t len, GError **err)
{
    if (in->over)
        return err_set(err, ERR_CORRUPT, "The log that arrived as '%s' was refused before.", in->path);
    if (len == 0)
        return true;
    enum log_verify_state state = log_verifier_feed(in->verifier, data, len, err);
    if (state == LOG_VERIFY_BAD || !check_header(in, err))
        return drop(in);
    in->complete = state == LOG_VERIFY_COMPLETE;
    if (!put(in, data, len, err)) {
        in->over = true; /* the verifier is ahead of the file now; what the file has is good for a resume */
        return false;
    }
    set_size(in, in->size + len);
    return true;
}

/* The parent is checked again: logs may have been dropped since the header came. */
static bool
commit(struct store_intake *in, struct store_log *out, GError **err)
{
    struct store *s = in->store;
    const struct log_info *info = log_verifier_info(in->verifier);
    g_autofree char *path = layout_log_path(s->dir, info->sequence, &in->id);
    struct store_log log;
    struct hash128 definition;

    HOLD(&s->lock);
    if (!check_place(s, &in->id, info, err) || !layout_read_log_fd(in->fd, in->path, &log, &definition, err) ||
        !file_rename_durably(in->path, path, err))
        return false;
    store_step(s, "intake-renamed");
    g_array_append_val(s->logs, log);
    s->arrived = in->id;
    s->definition = definition;
    *out = log;
    return true;
}

bool
store_intake_commit(struct store_intake *in, struct store_log *out, GError **err)
{
    if (in->over || !in->complete)
        return err_set(err, ERR_CORRUPT, "The log in '%s' ended before its end.", in->path);
    if (in->bulk && !bulk_flush(in->bulk, err)) {
        in->over = true; /* as when writing fails */
        return false;
    }
    if (!store_set_received(in->path, clock_wall_us(), err))
        return false;
    if (!file_sync(in->fd, in->path, err)) {
        in->store->spoiled = true;
        return drop(in);
    }
    store_step(in->store, "intake-synced");
    if (!commit(in, out, err))
        return false;
    in->store->tidy = in->over = true;
    return true;
}

/* What was not committed is cut to its last whole part; a next intake finds the same place by itself if this fails. */
void
store_intake_close(struct store_intake *in)
{
    if (!in)
        return;
    uint64_t good = log_verifier_good(in->verifier);
    if (!in->over && in->bulk && !bulk_flush(in->bulk, NULL))
        in->over = true; /* the file is shorter, and a next intake finds where it ends */
    if (!in->over && !in->complete && good < in->size && ftruncate(in->fd, (off_t)good) < 0)
        in->over = true;
    give_slot(in->store);
    intake_free(in);
}

bool
store_drop_incoming(struct store *s, GError **err)
{
    struct store_intake *in = intake_new(s, &UUID_NIL);
    bool ok = take_slot(s, in, err);
    if (ok) {
        ok = drop_others(s, NULL, err);
        give_slot(s);
    }
    intake_free(in);
    return ok;
}
