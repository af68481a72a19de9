/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/nbdblock.h"

#include "base/clean.h"
#include "base/err.h"

#include <errno.h>
#include <libnbd.h>
#include <string.h>

enum { POOL_MAX = 4, IN_FLIGHT_MAX = 16, PIECE = 256 << 10 };
static const uint64_t STATUS_STEP = 1 << 30;

struct nbdblock {
    struct block base;
    char *socket, *export_name;
    char *context; /* the one metadata context that we ask for */
    bool granted;  /* the server gives it: learned when opened, since later it may be gone, which is something else */
    GMutex lock;   /* idle, made; `freed` is signalled when a connection comes back or is given up */
    GCond freed;
    struct nbd_handle *idle[POOL_MAX];
    guint idle_count, made;
};

static bool
nbd_error(GError **err, const struct nbdblock *b, const char *doing)
{
    const int number = nbd_get_errno();
    const bool gone = number == ENOTCONN || number == ECONNREFUSED || number == ECONNRESET || number == EPIPE || number == ESHUTDOWN ||
                      number == ENOENT || number == 0;
    return err_set(err, gone ? ERR_NOT_AVAILABLE : ERR_IO, "Disk '%s' cannot be %s over NBD at '%s': %s.", b->export_name, doing, b->socket,
                   nbd_get_error());
}

static struct nbd_handle *
dial(struct nbdblock *b, GError **err)
{
    struct nbd_handle *h = nbd_create();
    if (h && nbd_set_pread_initialize(h, false) == 0 && /* what was not read is never looked at */
        nbd_set_export_name(h, b->export_name) == 0 && nbd_add_meta_context(h, b->context) == 0 &&
        nbd_connect_unix(h, b->socket) == 0)
        return h;
    nbd_error(err, b, "opened");
    if (h)
        nbd_close(h);
    return NULL;
}

static struct nbd_handle *
take(struct nbdblock *b, GError **err)
{
    {
        HOLD(&b->lock);
        while (b->idle_count == 0 && b->made == POOL_MAX)
            g_cond_wait(&b->freed, &b->lock);
        if (b->idle_count > 0)
            return b->idle[--b->idle_count];
        b->made++;
    }
    struct nbd_handle *h = dial(b, err);
    if (!h) {
        HOLD(&b->lock);
        b->made--;
        g_cond_signal(&b->freed);
    }
    return h;
}

/* A connection on which something failed is not used again. */
static void
give(struct nbdblock *b, struct nbd_handle *h, bool sound)
{
    HOLD(&b->lock);
    if (sound) {
        b->idle[b->idle_count++] = h;
    } else {
        nbd_close(h);
        b->made--;
    }
    g_cond_signal(&b->freed);
}

/* ---- reading ---- */

struct flight {
    guint pending;
    int error;
};

static int
landed(void *user, int *error)
{
    struct flight *f = user;
    f->pending--;
    if (*error && !f->error)
        f->error = *error;
    return 1; /* retires the command */
}

/* Waits until at most `limit` requests are in flight. */
static bool
settle(struct nbd_handle *h, struct flight *f, guint limit)
{
    while (f->pending > limit)
        if (nbd_poll(h, -1) < 0)
            return false;
    return true;
}

/* Asks for a range; what is still under way afterwards is the flight's. */
static bool
ask(struct nbd_handle *h, char *to, size_t len, uint64_t off, struct flight *f)
{
    while (len > 0) {
        const size_t n = MIN(len, (size_t)PIECE);
        if (!settle(h, f, IN_FLIGHT_MAX - 1) || f->error)
            return false;
        const nbd_completion_callback done = { .callback = landed, .user_data = f };
        f->pending++;
        if (nbd_aio_pread(h, to, n, off, done, 0) < 0) {
            f->pending--;
            return false;
        }
        to += n;
        off += n;
        len -= n;
    }
    return true;
}

static bool
nbdblock_read_all(struct block *base, const struct block_range *ranges, size_t count, GError **err)
{
    struct nbdblock *b = (struct nbdblock *)base;
    struct nbd_handle *h = take(b, err);
    if (!h)
        return false;
    struct flight f = { 0 };
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++)
        ok = ask(h, ranges[i].buf, ranges[i].len, ranges[i].off, &f);
    ok = ok && settle(h, &f, 0) && !f.error;
    if (!ok && f.error && f.error != ENOTCONN && f.error != ESHUTDOWN)
        err_set(err, ERR_IO, "Disk '%s' cannot be read at byte %" G_GUINT64_FORMAT "%s: %s.", b->export_name, ranges[0].off,
                count > 1 ? " or after it" : "", g_strerror(f.error));
    else if (!ok)
        nbd_error(err, b, "read");
    give(b, h, ok); /* closing drops what is still in flight, so `f` and the buffers are free afterwards */
    return ok;
}

static bool
nbdblock_read(struct block *base, void *buf, size_t len, uint64_t off, GError **err)
{
    return nbdblock_read_all(base, &(struct block_range){ buf, len, off }, 1, err);
}

/* ---- block status ---- */

struct walk {
    const char *context;
    uint64_t next;     /* first byte not yet reported */
    uint64_t end;
    uint32_t flag;     /* which bit means `set` */
    struct extents *out;
    bool only_set;     /* ranges without the bit are left out */
    enum extent_kind set, clear;
};

static int
report(void *user, const char *context, uint64_t offset, uint32_t *entries, size_t count, int *error)
{
    struct walk *w = user;
    if (strcmp(context, w->context) != 0)
        return 0;
    for (size_t i = 0; i + 1 < count && offset < w->end; i += 2) {
        const uint64_t length = MIN((uint64_t)entries[i], w->end - offset);
        const bool set = entries[i + 1] & w->flag;
        if (length > 0 && (set || !w->only_set))
            extents_add(w->out, offset, length, set ? w->set : w->clear);
        offset += length;
    }
    w->next = MAX(w->next, offset);
    return 0;
}

static bool
walk_status(struct nbdblock *b, struct walk *w, GError **err)
{
    struct nbd_handle *h = take(b, err);
    if (!h)
        return false;
    bool ok = true;
    while (ok && w->next < w->end) {
        const uint64_t from = w->next;
        const nbd_extent_callback cb = { .callback = report, .user_data = w };
        ok = nbd_block_status(h, MIN(STATUS_STEP, w->end - from), from, cb, 0) == 0;
        if (!ok)
            nbd_error(err, b, "mapped");
        else if (w->next == from)
            ok = err_set(err, ERR_MALFORMED, "The server of disk '%s' does not answer for '%s'.", b->export_name, w->context);
    }
    give(b, h, ok);
    return ok;
}

static bool
nbdblock_extents(struct block *base, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    struct nbdblock *b = (struct nbdblock *)base;
    if (!b->granted) {
        extents_add(out, off, len, EXTENT_DATA);
        return true;
    }
    struct walk w = { .context = b->context, .next = off, .end = off + len, .flag = LIBNBD_STATE_ZERO, .out = out,
                      .set = EXTENT_ZERO, .clear = EXTENT_DATA };
    return walk_status(b, &w, err);
}

/* ---- life ---- */

static void
nbdblock_close(struct block *base)
{
    struct nbdblock *b = (struct nbdblock *)base;
    for (guint i = 0; i < b->idle_count; i++) {
        nbd_shutdown(b->idle[i], 0);
        nbd_close(b->idle[i]);
    }
    g_mutex_clear(&b->lock);
    g_cond_clear(&b->freed);
    g_free(b->socket);
    g_free(b->export_name);
    g_free(b->context);
    g_free(b);
}

static const struct block_ops nbdblock_ops = {
    .read = nbdblock_read,
    .extents = nbdblock_extents,
    .close = nbdblock_close,
    .read_all = nbdblock_read_all,
};

static struct nbdblock *
open_context(const char *socket, const char *export_name, const char *context, GError **err)
{
    struct nbdblock *b = g_new0(struct nbdblock, 1);
    b->base.ops = &nbdblock_ops;
    b->socket = g_strdup(socket);
    b->export_name = g_strdup(export_name);
    b->context = g_strdup(context);
    g_mutex_init(&b->lock);
    g_cond_init(&b->freed);
    struct nbd_handle *h = take(b, err);
    const int64_t size = h ? nbd_get_size(h) : -1;
    const int granted = size >= 0 ? nbd_can_meta_context(h, context) : -1;
    if (h && granted < 0)
        nbd_error(err, b, "measured");
    if (h)
        give(b, h, true);
    if (granted < 0) {
        nbdblock_close(&b->base);
        return NULL;
    }
    b->base.size = (uint64_t)size;
    b->granted = granted > 0;
    return b;
}

struct block *
nbdblock_open(const char *socket, const char *export_name, GError **err)
{
    struct nbdblock *b = open_context(socket, export_name, "base:allocation", err);
    return b ? &b->base : NULL;
}

bool
nbdblock_bitmap(const char *socket, const char *export_name, const char *bitmap, struct extents *out, GError **err)
{
    enum { DIRTY = 1 };
    g_autofree char *context = g_strconcat("qemu:dirty-bitmap:", bitmap, NULL);
    struct nbdblock *b = open_context(socket, export_name, context, err);
    if (!b)
        return false;
    struct walk w = { .context = context, .end = b->base.size, .flag = DIRTY, .out = out, .only_set = true,
                      .set = EXTENT_DATA, .clear = EXTENT_DATA };
    const bool ok = b->granted ? walk_status(b, &w, err)
                               : err_set(err, ERR_TRACKING_LOST, "Export '%s' does not offer bitmap '%s'.", export_name, bitmap);
    nbdblock_close(&b->base);
    return ok;
}

bool
nbdblock_answers(const char *socket)
{
    struct nbd_handle *h = nbd_create();
    const bool ok = h && nbd_set_opt_mode(h, true) == 0 && nbd_connect_unix(h, socket) == 0;
    if (ok)
        nbd_opt_abort(h);
    if (h)
        nbd_close(h);
    return ok;
}
