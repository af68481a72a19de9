/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/lend.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A page that was taken away reads as zeros, and one that is written to is no longer lent.  So the first byte of each page is set aside and
 * a mark put there; exchanging the two again both keeps the page and tells whether it is the old one. */
#define MARK 0xa5

static size_t
page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t
whole_pages(size_t len)
{
    return (len + page_size() - 1) / page_size() * page_size();
}

void *
lend_new(size_t len)
{
    void *data = aligned_alloc(page_size(), MAX(whole_pages(len), page_size()));
    if (!data)
        g_error("There is no memory for %zu bytes of a cache.", len);
    return data;
}

void
lend_free(void *data)
{
    free(data);
}

static void
take_marks_out(uint8_t *data, size_t pages, const uint8_t *marks)
{
    for (size_t i = 0; i < pages; i++)
        data[i * page_size()] = marks[i];
}

uint8_t *
lend(void *data, size_t len)
{
    const size_t step = page_size(), pages = whole_pages(len) / step;
    uint8_t *bytes = data;
    if (len < step)
        return NULL;
    uint8_t *marks = g_malloc(pages);
    for (size_t i = 0; i < pages; i++) {
        marks[i] = bytes[i * step];
        bytes[i * step] = MARK;
    }
    if (madvise(data, pages * step, MADV_FREE) == 0)
        return marks;
    take_marks_out(bytes, pages, marks);
    g_free(marks);
    return NULL;
}

bool
lend_take_back(void *data, size_t len, uint8_t *marks)
{
    const size_t step = page_size(), pages = whole_pages(len) / step;
    uint8_t *bytes = data;
    bool there = true;
    for (size_t i = 0; i < pages; i++) /* the kernel may take a page between a look and a write: it must be one step */
        there = __atomic_exchange_n(&bytes[i * step], marks[i], __ATOMIC_ACQ_REL) == MARK && there;
    g_free(marks);
    return there;
}

/* gcc's ThreadSanitizer does not know fences; here it misses nothing, since the other side is the kernel. */
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic ignored "-Wtsan"
#endif

/* A page whose mark is there after the copy was there during it: what the kernel has taken stays zeros. */
bool
lend_peek(const void *data, const uint8_t *marks, size_t from, void *to, size_t n)
{
    const size_t step = page_size();
    const uint8_t *bytes = data;
    uint8_t *out = to;
    memcpy(to, bytes + from, n);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    for (size_t page = from / step; page * step < from + n; page++) {
        if (__atomic_load_n(&bytes[page * step], __ATOMIC_RELAXED) != MARK)
            return false;
        if (page * step >= from)
            out[page * step - from] = marks[page];
    }
    return true;
}

void
lend_lose(void *data, size_t len)
{
    madvise(data, whole_pages(len), MADV_DONTNEED);
}
