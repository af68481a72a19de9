/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/pins.h"

#include "base/err.h"
#include "store/private.h"

static const int64_t SAVE_US = 600 * (int64_t)G_USEC_PER_SEC;
static const int64_t LONGEST_US = (int64_t)100 * 366 * 86400 * G_USEC_PER_SEC;

#define PIN(m, i) g_array_index((m)->pins, struct store_pin, i)

/* ---- time ---- */

/* What the kernel vouches for since the count was taken; nothing across a boot. */
static int64_t
served_now(const struct served *s)
{
    char boot[CLOCK_BOOT_TEXT];
    const int64_t now = clock_boot_us(boot);
    const bool same = *boot && g_str_equal(boot, s->boot) && now > s->boot_us;
    return s->us + (same ? now - s->boot_us : 0);
}

static void
take_time(struct served *s)
{
    s->us = served_now(s);
    s->boot_us = clock_boot_us(s->boot);
}

static bool
in_force(const struct manifest *m, const struct store_pin *p)
{
    return p->until_us && (clock_wall_us() < p->until_us || served_now(&m->served) < p->served_us);
}

/* ---- with the lock held ---- */

static struct store_pin *
find(const struct manifest *m, const struct uuid *id)
{
    for (guint i = 0; m->pins && i < m->pins->len; i++)
        if (uuid_equal(&PIN(m, i).id, id))
            return &PIN(m, i);
    return NULL;
}

bool
store_kept_locked(const struct store *s, const struct uuid *id)
{
    const struct store_pin *p = find(&s->manifest, id);
    return p && (p->pinned || in_force(&s->manifest, p));
}

bool
store_refuse_kept(const struct store *s, const struct uuid *id, GError **err)
{
    char text[UUID_TEXT];
    return !store_kept_locked(s, id) ||
           err_set(err, ERR_IN_USE, "The recovery point '%s' is pinned or protected; it stays.", uuid_format(id, text));
}

static bool
is_point(const struct store *s, const struct uuid *id)
{
    const struct manifest *m = &s->manifest;
    guint i;
    if (store_index_locked(s, id, &i))
        return !STORE_LOG(s, i).fuzzy && (!m->merging || STORE_LOG(s, i).sequence >= m->merging_to);
    return manifest_base_is_exact(m) && !m->base.fuzzy && uuid_equal(&m->base.id, id);
}

static bool
is_known(const struct store *s, const struct uuid *id)
{
    guint i;
    return store_index_locked(s, id, &i) || (s->manifest.has_base && uuid_equal(&s->manifest.base.id, id));
}

/* Writes the pins, without those that say nothing any more; on failure what was is what is.  Only what is this module's is
 * written in memory: the thread that merges reads the base in the manifest without the lock, as the only one that changes it. */
static bool
save(struct store *s, GArray *pins, GError **err)
{
    struct manifest next = s->manifest;
    next.pins = pins;
    take_time(&next.served);
    for (guint i = pins->len; i-- > 0;)
        if ((!PIN(&next, i).pinned && !in_force(&next, &PIN(&next, i))) || !is_known(s, &PIN(&next, i).id))
            g_array_remove_index(pins, i);
    if (!manifest_write(s->dir, &next, err)) {
        g_array_unref(pins);
        return false;
    }
    if (s->manifest.pins)
        g_array_unref(s->manifest.pins);
    s->manifest.pins = next.pins;
    s->manifest.served = next.served;
    store_step(s, "pins-saved");
    return true;
}

static GArray *
copy_pins(const struct manifest *m)
{
    GArray *copy = g_array_new(FALSE, TRUE, sizeof(struct store_pin));
    if (m->pins && m->pins->len)
        g_array_append_vals(copy, m->pins->data, m->pins->len);
    return copy;
}

/* A copy of the pins, and in it that of a log, made when there is none. */
static GArray *
copy_with(const struct store *s, const struct uuid *id, struct store_pin **out)
{
    GArray *copy = copy_pins(&s->manifest);
    const struct manifest view = {.pins = copy};
    if (!find(&view, id)) {
        const struct store_pin fresh = {.id = *id};
        g_array_append_val(copy, fresh);
    }
    *out = find(&view, id);
    return copy;
}

static bool
no_such_point(const struct uuid *id, GError **err)
{
    char text[UUID_TEXT];
    return err_set(err, ERR_NOT_FOUND, "There is no recovery point '%s' (any more).", uuid_format(id, text));
}

/* ---- what is offered ---- */

bool
store_pin(struct store *s, const struct uuid *id, bool pinned, GError **err)
{
    struct store_pin *p;
    HOLD(&s->lock);
    if (!is_point(s, id))
        return no_such_point(id, err);
    if (!find(&s->manifest, id) && !pinned)
        return true;
    GArray *pins = copy_with(s, id, &p);
    p->pinned = pinned;
    return save(s, pins, err);
}

static bool
check_date(const struct store *s, const struct store_pin *p, int64_t until_us, GError **err)
{
    g_autofree char *date = clock_iso8601(until_us), *old = p ? clock_iso8601(p->until_us) : NULL;
    const int64_t now = clock_wall_us();
    if (until_us <= now || until_us - now > LONGEST_US)
        return err_set(err, ERR_INVALID_PARAMETER, "'%s' is no date until which a recovery point can be protected: it must lie in the "
                                                   "future, and within 100 years.", date);
    return !p || !in_force(&s->manifest, p) || until_us >= p->until_us ||
           err_set(err, ERR_INVALID_STATE, "The recovery point is protected until %s; that cannot be made shorter.", old);
}

bool
store_protect(struct store *s, const struct uuid *id, int64_t until_us, GError **err)
{
    struct store_pin *p;
    HOLD(&s->lock);
    if (!is_point(s, id))
        return no_such_point(id, err);
    if (!check_date(s, find(&s->manifest, id), until_us, err))
        return false;
    GArray *pins = copy_with(s, id, &p);
    p->until_us = until_us;
    p->served_us = MAX(p->served_us, served_now(&s->manifest.served) + until_us - clock_wall_us());
    return save(s, pins, err);
}

bool
store_pin_of(struct store *s, const struct uuid *id, struct store_pin *out)
{
    HOLD(&s->lock);
    const struct store_pin *p = find(&s->manifest, id);
    *out = p ? *p : (struct store_pin){.id = *id};
    if (!p || !in_force(&s->manifest, p))
        out->until_us = 0;
    return out->pinned || out->until_us;
}

GHashTable *
store_pinned(struct store *s)
{
    GHashTable *out = g_hash_table_new_full(uuid_hash, uuid_same, g_free, NULL);
    HOLD(&s->lock);
    const struct manifest *m = &s->manifest;
    for (guint i = 0; m->pins && i < m->pins->len; i++)
        if (PIN(m, i).pinned || in_force(m, &PIN(m, i)))
            g_hash_table_add(out, g_memdup2(&PIN(m, i).id, sizeof(struct uuid)));
    return out;
}

bool
store_unpin_all(struct store *s, GError **err)
{
    HOLD(&s->lock);
    if (!s->manifest.pins || !s->manifest.pins->len)
        return true;
    GArray *pins = copy_pins(&s->manifest);
    for (guint i = 0; i < pins->len; i++)
        g_array_index(pins, struct store_pin, i).pinned = false;
    return save(s, pins, err);
}

/* The one that is protected longest; NULL: none. */
static const struct store_pin *
last_protected(const struct manifest *m)
{
    const struct store_pin *last = NULL;
    for (guint i = 0; m->pins && i < m->pins->len; i++)
        if (in_force(m, &PIN(m, i)) && (!last || PIN(m, i).until_us > last->until_us))
            last = &PIN(m, i);
    return last;
}

static bool
refuse(const struct manifest *m, const char *what, GError **err)
{
    const struct store_pin *p = last_protected(m);
    char text[UUID_TEXT];
    if (!p)
        return true;
    g_autofree char *date = clock_iso8601(p->until_us);
    return err_set(err, ERR_INVALID_STATE,
                   "%s would delete the recovery point '%s' of guest '%s', which is protected until %s. Wait until then.", what,
                   uuid_format(&p->id, text), m->name, date);
}

bool
store_refuse_protected(struct store *s, const char *what, GError **err)
{
    HOLD(&s->lock);
    return refuse(&s->manifest, what, err);
}

bool
store_refuse_protected_folder(const char *dir, const char *what, GError **err)
{
    struct manifest m = {0};
    g_autoptr(GError) why = NULL;
    if (!manifest_read(dir, &m, &why)) {
        if (err_is(why, ERR_NOT_FOUND))
            return true;
        g_propagate_error(err, g_steal_pointer(&why));
        g_prefix_error(err, "%s could delete protected recovery points, and which are cannot be read: ", what);
        return false;
    }
    const bool ok = refuse(&m, what, err);
    manifest_clear(&m);
    return ok;
}

bool
store_keep_time(struct store *s, GError **err)
{
    HOLD(&s->lock);
    const struct served *known = &s->manifest.served;
    char boot[CLOCK_BOOT_TEXT];
    if (!last_protected(&s->manifest))
        return true;
    const int64_t now = clock_boot_us(boot);
    return (g_str_equal(boot, known->boot) && now - known->boot_us < SAVE_US) || save(s, copy_pins(&s->manifest), err);
}
