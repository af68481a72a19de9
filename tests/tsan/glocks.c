/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into tests that are built with ThreadSanitizer: tells it about GLib's locks.
 *
 * GLib's mutexes are futexes of its own and GLib itself is not instrumented, so the sanitizer would see no order between threads that
 * use them rightly.  Each function here is the one of GLib with the order made known.  The sanitizer's entries are weak: in a process
 * without it (a shell that a test starts) nothing happens.
 *
 * What pools and queues allocate for themselves goes from thread to thread in an order that cannot be made known from outside: the last
 * worker of a pool frees it, though it may never have run anything of ours.  To the sanitizer malloc and free are writes, so these are kept
 * from it.  (A suppression needs a stack with a name in it, and the older of the two stacks is forgotten after some million accesses.)
 * Sources: <sanitizer/tsan_interface.h>, compiler-rt's dynamic annotations, GLib reference, Threads. */
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>

#pragma weak __tsan_acquire
#pragma weak __tsan_release
#pragma weak __tsan_mutex_pre_lock
#pragma weak __tsan_mutex_post_lock
#pragma weak __tsan_mutex_pre_unlock
#pragma weak __tsan_mutex_post_unlock
#pragma weak __tsan_mutex_destroy
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#pragma weak AnnotateIgnoreWritesBegin
#pragma weak AnnotateIgnoreWritesEnd

#define REAL(name)                                                                                                                         \
    static __typeof__(&name) real;                                                                                                         \
    if (!real)                                                                                                                             \
    real = (__typeof__(&name))(gpointer)dlsym(RTLD_NEXT, #name)

static void
before_lock(gpointer lock, unsigned how)
{
    if (__tsan_mutex_pre_lock)
        __tsan_mutex_pre_lock(lock, how);
}

static void
after_lock(gpointer lock, unsigned how)
{
    if (__tsan_mutex_post_lock)
        __tsan_mutex_post_lock(lock, how, 0);
}

static void
before_unlock(gpointer lock, unsigned how)
{
    if (__tsan_mutex_pre_unlock)
        __tsan_mutex_pre_unlock(lock, how);
}

static void
after_unlock(gpointer lock, unsigned how)
{
    if (__tsan_mutex_post_unlock)
        __tsan_mutex_post_unlock(lock, how);
}

static void
give(gpointer what)
{
    if (__tsan_release && what)
        __tsan_release(what);
}

static void
take(gpointer what)
{
    if (__tsan_acquire && what)
        __tsan_acquire(what);
}

/* From here to enter() this thread allocates and frees for GLib itself.  Neither nests with the other's users. */
static void
leave(void)
{
    if (AnnotateIgnoreWritesBegin)
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static void
enter(void)
{
    if (AnnotateIgnoreWritesEnd)
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
}

/* NAME_lock, NAME_unlock, NAME_trylock of a kind of lock. */
#define LOCK(type, lock, unlock, trylock, how)                                                                                             \
    void(lock)(type * l)                                                                                                                   \
    {                                                                                                                                      \
        REAL(lock);                                                                                                                        \
        before_lock(l, how);                                                                                                               \
        real(l);                                                                                                                           \
        after_lock(l, how);                                                                                                                \
    }                                                                                                                                      \
    void(unlock)(type * l)                                                                                                                 \
    {                                                                                                                                      \
        REAL(unlock);                                                                                                                      \
        before_unlock(l, how);                                                                                                             \
        real(l);                                                                                                                           \
        after_unlock(l, how);                                                                                                              \
    }                                                                                                                                      \
    gboolean(trylock)(type * l)                                                                                                            \
    {                                                                                                                                      \
        REAL(trylock);                                                                                                                     \
        before_lock(l, (how) | __tsan_mutex_try_lock);                                                                                     \
        gboolean got = real(l);                                                                                                            \
        after_lock(l, (how) | __tsan_mutex_try_lock | (got ? 0 : __tsan_mutex_try_lock_failed));                                           \
        return got;                                                                                                                        \
    }

LOCK(GMutex, g_mutex_lock, g_mutex_unlock, g_mutex_trylock, 0)
LOCK(GRecMutex, g_rec_mutex_lock, g_rec_mutex_unlock, g_rec_mutex_trylock, __tsan_mutex_write_reentrant)
LOCK(GRWLock, g_rw_lock_writer_lock, g_rw_lock_writer_unlock, g_rw_lock_writer_trylock, 0)
LOCK(GRWLock, g_rw_lock_reader_lock, g_rw_lock_reader_unlock, g_rw_lock_reader_trylock, __tsan_mutex_read_lock)

/* Else a lock that comes to lie in the same place later would count as the same one. */
#define CLEAR(type, clear)                                                                                                                 \
    void(clear)(type * l)                                                                                                                  \
    {                                                                                                                                      \
        REAL(clear);                                                                                                                       \
        if (__tsan_mutex_destroy)                                                                                                          \
            __tsan_mutex_destroy(l, 0);                                                                                                    \
        real(l);                                                                                                                           \
    }

CLEAR(GMutex, g_mutex_clear)
CLEAR(GRecMutex, g_rec_mutex_clear)
CLEAR(GRWLock, g_rw_lock_clear)

void
g_cond_wait(GCond *cond, GMutex *mutex)
{
    REAL(g_cond_wait);
    before_unlock(mutex, 0);
    after_unlock(mutex, 0);
    before_lock(mutex, 0);
    real(cond, mutex);
    after_lock(mutex, 0);
}

gboolean
g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    REAL(g_cond_wait_until);
    before_unlock(mutex, 0);
    after_unlock(mutex, 0);
    before_lock(mutex, 0);
    gboolean woken = real(cond, mutex, end_time);
    after_lock(mutex, 0);
    return woken;
}

/* False: another thread has done it, perhaps while this one waited. */
gboolean(g_once_init_enter)(volatile void *location)
{
    REAL(g_once_init_enter);
    const gboolean first = real(location);
    if (!first)
        take((gpointer)(guintptr)location);
    return first;
}

void(g_once_init_leave)(volatile void *location, gsize result)
{
    REAL(g_once_init_leave);
    give((gpointer)(guintptr)location);
    real(location, result);
}

/* Whoever drops the last reference comes after all that others did with theirs. */
gboolean(g_atomic_ref_count_dec)(gatomicrefcount *count)
{
    REAL(g_atomic_ref_count_dec);
    give(count);
    const gboolean last = real(count);
    if (last)
        take(count);
    return last;
}

void
g_async_queue_push(GAsyncQueue *queue, gpointer data)
{
    REAL(g_async_queue_push);
    give(data);
    leave();
    real(queue, data);
    enter();
}

gpointer
g_async_queue_pop(GAsyncQueue *queue)
{
    REAL(g_async_queue_pop);
    leave();
    gpointer data = real(queue);
    enter();
    take(data);
    return data;
}

gpointer
g_async_queue_timeout_pop(GAsyncQueue *queue, guint64 timeout)
{
    REAL(g_async_queue_timeout_pop);
    leave();
    gpointer data = real(queue, timeout);
    enter();
    take(data);
    return data;
}

/* What a pool runs, with the order from push to run and from run to the end of g_thread_pool_free. */
struct pool_work {
    GFunc function;
    gpointer user_data;
};

static void
pool_run(gpointer data, gpointer user_data)
{
    struct pool_work *work = user_data;
    take(data);
    work->function(data, work->user_data);
    give(work);
}

GThreadPool *
g_thread_pool_new(GFunc function, gpointer user_data, gint max_threads, gboolean exclusive, GError **error)
{
    REAL(g_thread_pool_new);
    struct pool_work *work = g_new(struct pool_work, 1);
    *work = (struct pool_work){function, user_data};
    leave();
    GThreadPool *pool = real(pool_run, work, max_threads, exclusive, error);
    enter();
    return pool;
}

gboolean
g_thread_pool_push(GThreadPool *pool, gpointer data, GError **error)
{
    REAL(g_thread_pool_push);
    give(data);
    leave();
    const gboolean done = real(pool, data, error);
    enter();
    return done;
}

void
g_thread_pool_free(GThreadPool *pool, gboolean immediate, gboolean wait)
{
    REAL(g_thread_pool_free);
    struct pool_work *work = pool->user_data;
    leave();
    real(pool, immediate, wait);
    enter();
    if (!wait)
        return; /* its last work may still run */
    take(work);
    g_free(work);
}
