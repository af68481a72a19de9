/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* Linked into tests under ThreadSanitizer only.  GLib's own locks are futexes in a library that is not instrumented, so the sanitizer
 * would see every access that they guard as a race.  These take their place in our code and are pthread locks, which it knows; run with
 * G_SLICE=always-malloc, so that it knows the memory, too. */

/* GMutex and GCond begin with one pointer, which is NULL when they are static and unused yet. */
static void *
inner(gpointer *place, void *(*make)(void), void (*drop)(void *))
{
    void *have = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (have)
        return have;
    void *fresh = make();
    if (__atomic_compare_exchange_n(place, &have, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return fresh;
    drop(fresh);
    return have;
}

static void *
make_mutex(void)
{
    pthread_mutex_t *m = calloc(1, sizeof *m);
    pthread_mutex_init(m, NULL);
    return m;
}

static void
drop_mutex(void *m)
{
    if (m)
        pthread_mutex_destroy(m);
    free(m);
}

static void *
make_cond(void)
{
    pthread_cond_t *c = calloc(1, sizeof *c);
    pthread_cond_init(c, NULL);
    return c;
}

static void
drop_cond(void *c)
{
    if (c)
        pthread_cond_destroy(c);
    free(c);
}

static pthread_mutex_t *
mutex_of(GMutex *m)
{
    return inner(&m->p, make_mutex, drop_mutex);
}

static pthread_cond_t *
cond_of(GCond *c)
{
    return inner(&c->p, make_cond, drop_cond);
}

void
g_mutex_init(GMutex *m)
{
    m->p = NULL;
}

void
g_mutex_clear(GMutex *m)
{
    drop_mutex(m->p);
}

void
g_mutex_lock(GMutex *m)
{
    pthread_mutex_lock(mutex_of(m));
}

gboolean
g_mutex_trylock(GMutex *m)
{
    return pthread_mutex_trylock(mutex_of(m)) == 0;
}

void
g_mutex_unlock(GMutex *m)
{
    pthread_mutex_unlock(mutex_of(m));
}

void
g_cond_init(GCond *c)
{
    c->p = NULL;
}

void
g_cond_clear(GCond *c)
{
    drop_cond(c->p);
}

void
g_cond_wait(GCond *c, GMutex *m)
{
    pthread_cond_wait(cond_of(c), mutex_of(m));
}

void
g_cond_signal(GCond *c)
{
    pthread_cond_signal(cond_of(c));
}

void
g_cond_broadcast(GCond *c)
{
    pthread_cond_broadcast(cond_of(c));
}
