/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/behind.h"

#include "base/file.h"

#define PIECE (UINT64_C(2) << 20) /* bytes written, however far they are spread */
#define AHEAD 16

struct piece {
    int fd;
    uint64_t from, to;
};

struct behind {
    struct queue *pieces;
    GThread *thread;
    struct piece next;
    uint64_t gathered;
};

static void *
work(void *user)
{
    struct behind *b = user;
    for (struct piece *p; (p = queue_pop(b->pieces)); g_free(p))
        file_write_behind(p->fd, p->from, p->to - p->from);
    return NULL;
}

struct behind *
behind_new(void)
{
    struct behind *b = g_new0(struct behind, 1);
    b->pieces = queue_new(AHEAD, g_free);
    b->thread = g_thread_new("write-behind", work, b);
    return b;
}

static void
hand_over(struct behind *b)
{
    if (b->gathered > 0 && !queue_push(b->pieces, g_memdup2(&b->next, sizeof b->next)))
        g_assert_not_reached(); /* it is never aborted */
    b->gathered = 0;
}

void
behind_wrote(struct behind *b, int fd, uint64_t offset, uint64_t length)
{
    if (b->gathered > 0 && (b->next.fd != fd || offset < b->next.to))
        hand_over(b);
    if (b->gathered == 0)
        b->next = (struct piece){.fd = fd, .from = offset};
    b->next.to = offset + length;
    b->gathered += length;
    if (b->gathered >= PIECE)
        hand_over(b);
}

void
behind_free(struct behind *b)
{
    if (!b)
        return;
    hand_over(b);
    queue_close(b->pieces);
    g_thread_join(b->thread);
    queue_free(b->pieces);
    g_free(b);
}
